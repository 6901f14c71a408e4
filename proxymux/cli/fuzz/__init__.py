"""``proxymux check --fuzz``: tries a router on what clients might send, beside what its samples say that they do."""
