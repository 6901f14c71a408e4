"""The client endpoint ``gateway:``, for example ``gateway:tcp\\:gw.example\\:8000:token=pm1.…``."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IStreamClientEndpointStringParserWithReactor
from twisted.plugin import IPlugin
from zope.interface import implementer


@implementer(IPlugin, IStreamClientEndpointStringParserWithReactor)
class _GatewayParser:
    """Reads ``gateway:ENDPOINT:token=TOKEN``, and ``timeout=`` in seconds."""

    prefix = "gateway"

    def parseStreamClient(self, reactor: Any, *args: Any, **kwargs: Any) -> Any:
        """The endpoint that the words after the prefix describe."""
        return self._parse(reactor, *args, **kwargs)

    @staticmethod
    def _parse(reactor: Any, endpoint: str, *, token: str, timeout: str = "30") -> Any:
        from twisted.internet.endpoints import clientFromString

        from proxymux.client import GatewayClientEndpoint

        return GatewayClientEndpoint(reactor, clientFromString(reactor, endpoint), token, float(timeout))


gateway_client = _GatewayParser()
