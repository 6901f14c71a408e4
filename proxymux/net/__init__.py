"""What touches sockets.  No policy here: it is told what to do by :mod:`proxymux.core`."""
