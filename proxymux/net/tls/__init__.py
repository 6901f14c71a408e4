"""TLS on connections of our own: an engine without sockets, the contexts, and the names in certificates."""
