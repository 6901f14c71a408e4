"""The driver of our own: plain sockets, watched by one edge-triggered epoll."""
