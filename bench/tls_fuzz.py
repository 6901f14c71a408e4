"""Feed mutated ClientHellos and records to TLS listeners in memory, and see that each is answered or refused.

    python bench/tls_fuzz.py --hellos 1000000

Every input goes through the reader of hellos, the choice of the context by name and OpenSSL, as a client's would.
What must not happen: an exception other than TlsError, an error of OpenSSL's that is left behind, memory that grows.
"""

from __future__ import annotations

import argparse
import random
import resource
import ssl
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from OpenSSL._util import lib

from bench.tls import certificate
from proxymux.net.tls.engine import TlsEngine, TlsError, pointer_to
from proxymux.net.tls.rules import ServerRules
from proxymux.net.tls.server import ServerContexts
from proxymux.sniff.tls import ClientHello, tls_client_hello

_SPLICES: Final = (
    b"\x16\x03\x01",
    b"\x16\x03\x03",
    b"\x15\x03\x03\x00\x02\x02\x28",
    b"\x17\x03\x03",
    b"\0" * 32,
    b"\xff",
)


def hellos() -> list[bytes]:
    """ClientHellos of Python's own client: 1.2, 1.3, with a name, with protocols."""
    found = []
    for highest in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        for protocols in ([], ["h2", "http/1.1"]):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.maximum_version = highest
            if protocols:
                context.set_alpn_protocols(protocols)
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            client = context.wrap_bio(incoming, outgoing, server_hostname="bench.example")
            try:
                client.do_handshake()
            except ssl.SSLWantReadError:
                found.append(outgoing.read())
    return found


def mutated(data: bytes, dice: random.Random) -> bytes:
    """``data`` with some of its bytes changed, removed, repeated or replaced."""
    out = bytearray(data)
    for _ in range(dice.randint(1, 6)):
        at = dice.randrange(len(out)) if out else 0
        kind = dice.randrange(5)
        if kind == 0 and out:
            out[at] ^= 1 << dice.randrange(8)
        elif kind == 1 and out:
            out[at] = dice.randrange(256)
        elif kind == 2:
            del out[at : at + dice.randint(1, 40)]
        elif kind == 3:
            out[at:at] = out[at : at + dice.randint(1, 40)]
        else:
            out[at:at] = dice.choice(_SPLICES)
    return bytes(out)


def feed(contexts: ServerContexts, data: bytes, buffer: bytearray) -> bool:
    """Answer one client; False if TLS refuses what it has sent."""
    hello = tls_client_hello(data)
    engine: TlsEngine = contexts.engine(hello.server_name if isinstance(hello, ClientHello) else None)
    try:
        engine.put_bytes(data)
        if engine.handshake():
            engine.read_into(pointer_to(buffer), len(buffer))
    except TlsError:
        return False
    finally:
        engine.take()
        assert lib.ERR_peek_error() == 0, "OpenSSL's error was left in its queue"
    return True


def main() -> None:
    """Do as many as the options say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hellos", type=int, default=1_000_000, help="[default: 1000000]")
    parser.add_argument("--seconds", type=float, default=3600, help="stop after that long [default: 3600]")
    parser.add_argument("--seed", type=int, default=None, help="[default: any]")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    print(f"seed {seed}")
    dice, buffer, known = random.Random(seed), bytearray(1 << 16), hellos()
    accepted = done = 0
    with tempfile.TemporaryDirectory(prefix="tls-fuzz-") as name:
        contexts = ServerContexts(str(certificate(Path(name), "p256")), ServerRules(alpn=("h2", "http/1.1")))
        before, end = 0, time.monotonic() + options.seconds
        while done < options.hellos and time.monotonic() < end:
            data = mutated(dice.choice(known), dice)
            try:
                accepted += feed(contexts, data, buffer)
            except Exception:
                print(f"this input failed: {data.hex()}")
                raise
            done += 1
            if done == 20_000:
                before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before if before else 0
    print(f"{done} hellos, {accepted} of them not refused; memory grew by {grown} KiB after the first 20000")


if __name__ == "__main__":
    main()
