"""The user's functions that decide something: what they are, and how they are called so that errors are contained."""
