"""The twistd plugins' options and wiring."""
