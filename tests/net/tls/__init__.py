"""Tests of the TLS engine, its contexts and its files, without sockets."""
