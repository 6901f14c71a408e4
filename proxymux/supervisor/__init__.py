"""The supervisor: keeps the listening sockets, starts the workers that serve on them, and replaces those that end."""
