"""The epoll driver: plain sockets, all watched by one edge-triggered epoll, without Twisted's transports."""
