"""The pool service: fixed targets, and how its options are read."""
