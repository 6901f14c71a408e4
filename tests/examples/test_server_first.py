"""docs/examples/server_first.py with curl and smtplib, and mail servers that greet first."""

from __future__ import annotations

import smtplib
import socket
import socketserver
from pathlib import Path

import pytest

from proxymux import Client, Forward, Reject
from proxymux.testing import decide
from tests.examples.conftest import EXAMPLES, Example, Serve, curl
from tests.system.conftest import Start, free_port, read_all

ROUTER = str(EXAMPLES / "server_first.py")
HERE, TEN = "127.0.0.1:25", "127.0.0.1:26"
NO = b"554 5.7.1 no service for you here\r\n"


def mail_server(name: str, mails: list[bytes] | None = None) -> type[socketserver.BaseRequestHandler]:
    """A mail server that greets, and keeps what it is sent."""

    class MailServer(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.say(f"220 {name} ESMTP")
            for line in self.rfile:
                verb = line[:4].upper().strip()
                if verb == b"DATA":
                    self.say("354 go on")
                    mail = b"".join(iter(self.rfile.readline, b".\r\n"))
                    if mails is not None:
                        mails.append(mail)
                self.say("221 bye" if verb == b"QUIT" else "250 ok")
                if verb == b"QUIT":
                    return

        def say(self, text: str) -> None:
            self.wfile.write(text.encode() + b"\r\n")

    return MailServer


def come_from(address: str) -> Client:
    return Client((address, 50000), ("192.0.2.1", 2525))


@pytest.mark.parametrize(
    ("address", "decision"),
    [("127.0.0.9", Forward(HERE)), ("10.1.2.3", Forward(TEN)), ("192.0.2.7", Reject(NO)), ("2001:db8::1", Reject(NO))],
)
def test_the_clients_address_decides_before_any_byte(address: str, decision: Forward | Reject) -> None:
    assert decide(ROUTER, client=come_from(address)) == decision


def test_curl_delivers_a_mail(start: Start, example: Example, serve: Serve, tmp_path: Path) -> None:
    mails: list[bytes] = []
    proxy = start(example("server_first.py", {HERE: f"127.0.0.1:{serve(mail_server('here', mails))}"}))
    mail = tmp_path / "mail.txt"
    mail.write_text("Subject: hello\n\nit came through\n")
    url = f"smtp://127.0.0.1:{proxy.port}/"
    done = curl(url, "--mail-from", "a@example.com", "--mail-rcpt", "b@example.com", "--upload-file", str(mail))
    assert done.returncode == 0, done.stderr
    assert [b"it came through" in each for each in mails] == [True]
    assert proxy.records(1)[0]["outcome"] == "completed"


def test_the_greeting_is_that_of_the_clients_own_server(start: Start, example: Example, serve: Serve) -> None:
    edits = {
        "127.0.0.0/24": "127.0.0.1/32",
        "10.0.0.0/8": "127.0.0.2/32",
        HERE: f"127.0.0.1:{serve(mail_server('one'))}",
        TEN: f"127.0.0.1:{serve(mail_server('two'))}",
    }
    proxy = start(example("server_first.py", edits))
    for address, greeting in (("127.0.0.1", b"one ESMTP"), ("127.0.0.2", b"two ESMTP")):
        client = smtplib.SMTP(timeout=60, source_address=(address, 0))
        assert client.connect("127.0.0.1", proxy.port) == (220, greeting)
        client.quit()
    with socket.create_connection(("127.0.0.1", proxy.port), 60, ("127.0.0.3", 0)) as stranger:
        assert read_all(stranger) == NO
    assert sorted(record["outcome"] for record in proxy.records(3)) == ["completed", "completed", "rejected"]


def test_a_server_that_is_away(start: Start, example: Example) -> None:
    proxy = start(example("server_first.py", {HERE: f"127.0.0.1:{free_port()}"}))
    with proxy.connect() as client:
        assert read_all(client) == b"421 4.3.0 the mail server is away, try again later\r\n"
    assert proxy.records(1)[0]["outcome"] == "unreachable"
