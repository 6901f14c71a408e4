"""The router service's decider: loads the user's functions, calls them, and contains their errors."""
