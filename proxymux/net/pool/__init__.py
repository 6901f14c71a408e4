"""The pool: upstream connections that clients share, and the exchanges that share them."""
