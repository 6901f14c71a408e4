"""Network I/O: connections, drivers and exchanges.

What happens to a client is decided in :mod:`proxymux.core` and :mod:`proxymux.session`; nothing here knows of services,
routers or tokens.
"""
