"""Redis Cluster: who serves which keys, as its nodes say it, in answers and in redirects.

A key belongs to one of 16,384 hash slots, and each slot to one primary at a time.
"""
