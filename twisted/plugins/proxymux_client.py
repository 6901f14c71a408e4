"""The client endpoint ``gateway:``, for example ``gateway:tcp\\:gw.example\\:8000:token=pm1.…``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from twisted.internet.interfaces import IReactorCore, IReactorTime, IStreamClientEndpointStringParserWithReactor
from twisted.plugin import IPlugin
from zope.interface import implementer

if TYPE_CHECKING:
    from proxymux.client import GatewayClientEndpoint


@implementer(IPlugin, IStreamClientEndpointStringParserWithReactor)
class _GatewayParser:
    """Reads ``gateway:ENDPOINT:token=TOKEN``, and ``timeout=``, seconds or such as ``5m``."""

    prefix = "gateway"

    def parseStreamClient(self, reactor: IReactorCore, *args: Any, **kwargs: Any) -> GatewayClientEndpoint:
        """The endpoint that the words after the prefix describe."""
        return self._parse(cast("IReactorTime", reactor), *args, **kwargs)

    @staticmethod
    def _parse(reactor: IReactorTime, endpoint: str, *, token: str, timeout: str = "30") -> GatewayClientEndpoint:
        # Imported here because Twisted loads every plug-in, for any endpoint string and for twistd --help.
        from twisted.internet.endpoints import clientFromString

        from proxymux.client import GatewayClientEndpoint
        from proxymux.core.quantity import SECONDS, in_plain

        seconds = float(in_plain(timeout, SECONDS))
        return GatewayClientEndpoint(reactor, clientFromString(reactor, endpoint), token, seconds)


gateway_client = _GatewayParser()
