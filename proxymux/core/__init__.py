"""What decides: values and state machines without Twisted, sockets or clocks."""
