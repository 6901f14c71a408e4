"""What ``twistd --help`` lists."""

from twisted.application.service import ServiceMaker

router = ServiceMaker(
    "proxymux router",
    "proxymux.tap.router",
    "Content-aware TCP routing programmed in Python",
    "proxymux",
)
