from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from proxymux.cli.admin_client import TOKEN_VARIABLE, AdminClient, NotAnswered, read_token
from tests.cli.endpoints import endpoint


def problem(client: AdminClient, path: str = "/status") -> str:
    with pytest.raises(NotAnswered) as caught:
        client.get(path)
    return str(caught.value)


@pytest.mark.parametrize("form", ["{}", "http://{}", "http://{}/", "port"])
def test_an_endpoint_is_named_in_these_ways(form: str) -> None:
    with endpoint({"/status": {"name": "proxymux"}}) as played:
        url = played.address.partition(":")[2] if form == "port" else form.format(played.address)
        assert AdminClient(url).status() == {"name": "proxymux"}


def test_an_endpoint_may_be_a_unix_socket(tmp_path: Path) -> None:
    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            while b"\r\n\r\n" not in connection.recv(4096):
                pass
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n7")

    path = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        assert AdminClient(f"unix:{path}").get("/status") == 7
        thread.join()
    assert problem(AdminClient(f"unix:{tmp_path}/none")) == f"unix:{tmp_path}/none: no such file or directory"


@pytest.mark.parametrize(
    "url",
    ["", "ftp://a:1", "http://", "http://a:b", "http://a:1/x", "http://a:1/?q", "http://[::1", "http://u:secret@a"],
)
def test_what_is_no_url_is_refused_in_one_line(url: str) -> None:
    with pytest.raises(NotAnswered) as caught:
        AdminClient(url)
    assert "is accepted" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_what_does_not_answer_as_it_should_is_one_printable_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = "{}:{}".format(*closed.getsockname())
    assert problem(AdminClient(address)) == f"{address}: connection refused"
    answers = {"/text": (200, "<html>"), "/no": (421, "\x1b[31mno\nmore"), "/status": {"name": "another"}}
    with endpoint(answers) as played:
        client, name = AdminClient(played.address), played.address
        assert problem(client, "/text") == f"{name}: what answers there is no admin endpoint of proxymux"
        assert problem(client, "/no") == f"{name}: \\x1b[31mno (421)"
        assert problem(client, "/nowhere") == f"{name}: there is no such path (404)"
        with pytest.raises(NotAnswered, match="no admin endpoint of proxymux"):
            client.status()


def test_a_server_of_something_else_is_no_endpoint() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"SSH-2.0-x\r\n")
                connection.recv(4096)

        thread = threading.Thread(target=serve)
        thread.start()
        address = "{}:{}".format(*listener.getsockname())
        assert problem(AdminClient(address)) == f"{address}: what answers there is no HTTP"
        thread.join()


def test_an_action_shows_the_token_and_a_look_does_not() -> None:
    with endpoint({"/reload": (200, "re\x1bloaded"), "/status": {}}) as played:
        client = AdminClient(played.address, "secret")
        assert client.post("/reload") == "re\\x1bloaded"
        client.get("/status")
        assert played.asked == [("POST", "/reload", "Bearer secret"), ("GET", "/status", None)]
        with pytest.raises(NotAnswered, match="give --token-file, or PROXYMUX_ADMIN_TOKEN"):
            AdminClient(played.address).post("/reload")


def test_the_token_is_that_of_the_file_or_else_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    monkeypatch.delitem(os.environ, TOKEN_VARIABLE, raising=False)
    assert read_token(None) is None
    monkeypatch.setitem(os.environ, TOKEN_VARIABLE, "of-environment\n")
    assert read_token(None) == "of-environment"
    file.write_text("of-file\n")
    assert read_token(str(file)) == "of-file"
    for bad in ("", "two words", "caf\xe9"):
        file.write_text(bad)
        with pytest.raises(NotAnswered, match="is no token"):
            read_token(str(file))
    with pytest.raises(NotAnswered, match="No such file"):
        read_token(str(tmp_path / "none"))
