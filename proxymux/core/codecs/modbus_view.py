"""What a router sees of a Modbus request: the device and the function, which are at fixed places of the message."""

from __future__ import annotations

from typing import Final

from proxymux.core.codecs.view import RequestView

_UNIT: Final = 6
_FUNCTION: Final = 7


class ModbusView(RequestView):
    """One Modbus TCP request.

    :param data: a whole request, as the request scanner found it.
    """

    codec = "modbus"

    def __init__(self, data: bytes) -> None:
        self.data = data

    @property
    def unit(self) -> int:
        """The unit identifier, from 0 to 255: of the device behind a gateway."""
        return self.data[_UNIT]

    @property
    def function(self) -> int:
        """The function code, such as 3 for reading registers."""
        return self.data[_FUNCTION]
