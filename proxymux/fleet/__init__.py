"""The fleet: what instances of proxymux on several machines share through etcd, each under a prefix of keys.

Nothing here is needed to start or to serve: while etcd is away, what is known of it stays, and it is asked again.
"""
