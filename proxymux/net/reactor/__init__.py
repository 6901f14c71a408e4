"""Twisted's driver: transports of the reactor.  The only place of Twisted's private names."""
