"""The reactor driver: connections on Twisted's transports.

Private names of Twisted's, and attributes that are replaced on its objects, appear in this folder only.  They were
tried with Twisted 24.11 and 26.10.
"""
