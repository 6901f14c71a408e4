"""Tests of the epoll driver."""
