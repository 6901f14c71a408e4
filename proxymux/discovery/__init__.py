"""Discovery: where the members of clusters come from, and what keeps a cluster up to date.

A source of a new kind is a new module, with its scheme in :mod:`proxymux.discovery.sources`.
"""
