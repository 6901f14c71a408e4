"""The gateway service: a decider that reads a token."""
