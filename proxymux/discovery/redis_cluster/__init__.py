"""Members from a Redis Cluster."""
