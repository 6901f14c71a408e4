"""Modbus units over several gateways: one address for all, whichever gateway a unit is behind.

A unit that is behind none is answered with the exception 0A, "gateway path unavailable"; so is a broadcast (unit 0),
which would have to go to all of them. Each gateway has one connection, as many of them take no second one.

Run it::

    twistd -n proxymux-pool --listen tcp:5020 --codec modbus --router units.py \\
        --target 127.0.0.1:5021 --target 127.0.0.1:5022

Try it, with a gateway on port 5021, by a read of a register of unit 7, then of unit 99::

    printf '\\0\\1\\0\\0\\0\\6\\7\\3\\0\\0\\0\\1' | nc -q 1 127.0.0.1 5020 | xxd
    printf '\\0\\1\\0\\0\\0\\6\\143\\3\\0\\0\\0\\1' | nc -q 1 127.0.0.1 5020 | xxd
"""

GATEWAYS = {range(1, 33): "127.0.0.1:5021", range(33, 65): "127.0.0.1:5022"}
NO_PATH = 0x0A


def route(request):
    """Say where a request goes."""
    for units, gateway in GATEWAYS.items():
        if request.unit in units:
            return gateway
    # Transaction and protocol of the request; 3 bytes follow: unit, function with the mark of an exception, code.
    return {"reply": request.data[:4] + bytes([0, 3, request.unit, request.function | 0x80, NO_PATH])}
