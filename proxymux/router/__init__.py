"""The router's decider: the user's functions, loaded, called and kept from doing harm."""
