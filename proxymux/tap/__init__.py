"""The twistd plugins: their options, and how they put the services together."""
