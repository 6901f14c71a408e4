"""etcd: a client of version 3 of its API, through the JSON gateway that every member of an etcd cluster has.

:class:`~proxymux.discovery.etcd.client.EtcdClient` asks, :class:`~proxymux.discovery.etcd.following.Following` keeps a
copy of what is under a prefix.  What etcd is for here, members of clusters, shared lists and ids, is decided elsewhere.
"""
