"""Sends every client to one of the targets of the cluster "users"; see haproxy.cfg for how to run and try it."""


def proxy(data):
    return {"remote": "users"}
