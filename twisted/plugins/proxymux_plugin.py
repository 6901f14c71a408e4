"""The services that ``twistd --help`` lists.  Only declarations: what they name is imported when twistd runs it."""

from twisted.application.service import ServiceMaker

router = ServiceMaker(
    "proxymux router",
    "proxymux.tap.router",
    "Content-aware TCP routing programmed in Python",
    "proxymux",
)
gateway = ServiceMaker(
    "proxymux gateway",
    "proxymux.tap.gateway",
    "Hides servers: clients open with the encrypted address of theirs",
    "proxymux-gateway",
)
pool = ServiceMaker(
    "proxymux pool",
    "proxymux.tap.pool",
    "Connection multiplexer: many clients share few upstream connections",
    "proxymux-pool",
)
