"""The certificates of a TLS listener: which client gets which, and when they change."""

from __future__ import annotations

import os
import shutil
import ssl
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL

from proxymux.errors import BadCertificate
from proxymux.net.tls.rules import ServerRules
from proxymux.net.tls.server import ServerContexts
from tests.net.tls.memory import MemoryClient
from tests.services.certificates import Authority, Credentials


def put(credentials: Credentials, file: Path) -> Credentials:
    """Put a copy of the key and the certificate where ``file`` is."""
    shutil.copy(credentials.file, file)
    return credentials


def connect(
    contexts: ServerContexts, authority: Authority, name: str | None, session: ssl.SSLSession | None = None
) -> MemoryClient:
    """A client that asks for ``name`` and has done its handshake."""
    context = authority.for_client()
    context.check_hostname = False
    return shaken(MemoryClient(contexts.engine(name), context, name, session))


def shaken(client: MemoryClient) -> MemoryClient:
    client.shake_hands()
    return client


def name_of(client: MemoryClient) -> str:
    """The common name of the certificate that the client was shown."""
    certificate = client.tls.getpeercert()
    assert certificate is not None
    subject: Any = certificate["subject"]
    return str(dict(pair for rdn in subject for pair in rdn)["commonName"])


@pytest.fixture
def folder(tmp_path: Path, authority: Authority) -> Path:
    """Three certificates: one exact, one for a wildcard, and the default."""
    put(authority.issue("a.example", "b.example"), tmp_path / "exact.pem")
    put(authority.issue("*.wild.example"), tmp_path / "wild.pem")
    put(authority.issue("default.example"), tmp_path / "default.pem")
    (tmp_path / "notes.txt").write_text("not a certificate")
    (tmp_path / ".hidden.pem").write_text("neither")
    return tmp_path


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("a.example", "a.example"),
        ("B.EXAMPLE", "a.example"),
        ("b.example.", "a.example"),
        ("x.wild.example", "*.wild.example"),
        ("x.y.wild.example", "default.example"),
        ("wild.example", "default.example"),
        ("other.example", "default.example"),
        (None, "default.example"),
    ],
)
def test_the_name_picks_the_certificate(folder: Path, authority: Authority, asked: str | None, shown: str) -> None:
    assert name_of(connect(ServerContexts(str(folder), ServerRules()), authority, asked)) == shown


def test_without_a_default_the_first_by_name_is_for_the_rest(folder: Path, authority: Authority) -> None:
    (folder / "default.pem").unlink()
    assert name_of(connect(ServerContexts(str(folder), ServerRules()), authority, "other.example")) == "a.example"


def test_an_exact_name_wins_over_a_wildcard(folder: Path, authority: Authority) -> None:
    put(authority.issue("x.wild.example"), folder / "zz.pem")
    contexts = ServerContexts(str(folder), ServerRules())
    assert name_of(connect(contexts, authority, "x.wild.example")) == "x.wild.example"
    assert name_of(connect(contexts, authority, "y.wild.example")) == "*.wild.example"


def test_bytes_go_both_ways(own: Credentials, authority: Authority) -> None:
    client = connect(ServerContexts(str(own.file), ServerRules()), authority, "proxy.example")
    client.send(b"hello" * 10_000)
    assert client.received == b"hello" * 10_000
    client.say(b"welcome")
    assert client.read() == b"welcome"
    assert client.problem is None


# Changes


def test_a_changed_file_is_in_force_after_the_next_look(tmp_path: Path, authority: Authority) -> None:
    file = tmp_path / "one.pem"
    put(authority.issue("old.example"), file)
    contexts = ServerContexts(str(file), ServerRules())
    contexts.reload(only_changed=True)
    assert contexts.reload(only_changed=True) == (False, [])
    put(authority.issue("new.example"), file)
    assert contexts.reload(only_changed=True) == (True, [])
    assert name_of(connect(contexts, authority, None)) == "new.example"


def test_a_swapped_link_counts(tmp_path: Path, authority: Authority) -> None:
    put(authority.issue("old.example"), tmp_path / "old")
    put(authority.issue("new.example"), tmp_path / "new")
    link = tmp_path / "now.pem"
    link.symlink_to("old")
    contexts = ServerContexts(str(link), ServerRules())
    (tmp_path / "next").symlink_to("new")
    os.rename(tmp_path / "next", link)
    assert contexts.reload(only_changed=True) == (True, [])
    assert name_of(connect(contexts, authority, None)) == "new.example"


def test_of_a_broken_file_the_old_one_stays_and_the_others_change(folder: Path, authority: Authority) -> None:
    contexts = ServerContexts(str(folder), ServerRules())
    put(authority.issue("a.example", "c.example"), folder / "exact.pem")
    (folder / "wild.pem").write_text("-----BEGIN RUBBISH-----")
    is_new, [problem] = contexts.reload()
    assert is_new
    assert problem == f"{folder / 'wild.pem'}: there is no certificate in PEM form"
    assert name_of(connect(contexts, authority, "c.example")) == "a.example"
    assert name_of(connect(contexts, authority, "x.wild.example")) == "*.wild.example"


def test_a_file_that_goes_from_a_folder_is_withdrawn_but_a_single_one_stays(folder: Path, authority: Authority) -> None:
    contexts, single = (
        ServerContexts(str(folder), ServerRules()),
        ServerContexts(str(folder / "wild.pem"), ServerRules()),
    )
    (folder / "wild.pem").unlink()
    assert contexts.reload() == (True, [])
    assert name_of(connect(contexts, authority, "x.wild.example")) == "default.example"
    is_new, [problem] = single.reload()
    assert not is_new
    assert "No such file" in problem
    assert name_of(connect(single, authority, None)) == "*.wild.example"


# Resumption


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_resumes_under_its_own_name_alone(
    folder: Path, authority: Authority, version: ssl.TLSVersion
) -> None:
    contexts = ServerContexts(str(folder), ServerRules())
    context = authority.for_client()
    context.check_hostname = False
    context.maximum_version = version

    def again(name: str, session: ssl.SSLSession | None) -> MemoryClient:
        return shaken(MemoryClient(contexts.engine(name), context, name, session))

    session = again("a.example", None).tls.session
    assert again("a.example", session).tls.session_reused
    for other in ("b.example", "x.wild.example", "other.example"):
        assert not again(other, session).tls.session_reused
    unknown = again("other.example", None).tls.session
    assert not again("another.example", unknown).tls.session_reused


def test_a_session_survives_a_reload_without_a_change_and_no_other(tmp_path: Path, authority: Authority) -> None:
    file = tmp_path / "one.pem"
    put(authority.issue("one.example"), file)
    contexts = ServerContexts(str(file), ServerRules())
    context = authority.for_client()

    def again(session: ssl.SSLSession | None) -> MemoryClient:
        return shaken(MemoryClient(contexts.engine("one.example"), context, "one.example", session))

    session = again(None).tls.session
    contexts.reload()
    assert again(session).tls.session_reused
    put(authority.issue("one.example"), file)
    contexts.reload()
    assert not again(session).tls.session_reused


# Client certificates


def test_a_client_certificate_is_demanded_and_revoked(
    tmp_path: Path, own: Credentials, authority: Authority, stranger: Authority
) -> None:
    good, bad = authority.issue("good.example"), authority.issue("bad.example")
    crl = tmp_path / "crl.pem"
    crl.write_bytes(authority.revoke())
    contexts = ServerContexts(str(own.file), ServerRules(client_ca=str(authority.file), crl=str(crl)))

    def connects(credentials: Credentials | None) -> bool:
        context = authority.for_client(credentials)
        client = MemoryClient(contexts.engine("proxy.example"), context, "proxy.example")
        client.shake_hands()
        return client.engine.is_secured

    assert (connects(good), connects(bad)) == (True, True)
    assert (connects(None), connects(stranger.issue("good.example"))) == (False, False)
    crl.write_bytes(authority.revoke(bad))
    assert contexts.reload(only_changed=True) == (True, [])
    assert (connects(good), connects(bad)) == (True, False)


def test_a_file_may_have_the_lists_of_several_authorities(
    tmp_path: Path, own: Credentials, authority: Authority, stranger: Authority
) -> None:
    bad = [authority.issue("bad.example"), stranger.issue("bad.example")]
    good = [authority.issue("good.example"), stranger.issue("good.example")]
    both, crl = tmp_path / "ca.pem", tmp_path / "crl.pem"
    both.write_bytes(authority.file.read_bytes() + stranger.file.read_bytes())
    crl.write_bytes(authority.revoke(bad[0]) + stranger.revoke(bad[1]))
    contexts = ServerContexts(str(own.file), ServerRules(client_ca=str(both), crl=str(crl)))
    for credentials in (*bad, *good):
        client = MemoryClient(contexts.engine("proxy.example"), authority.for_client(credentials), "proxy.example")
        client.shake_hands()
        assert client.engine.is_secured == (credentials in good)


def test_names_that_nobody_asks_for_any_more_make_way_for_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxymux.net.tls.server._MOST_CONTEXTS", 3)
    contexts = ServerContexts(str(folder), ServerRules())

    def context_for(name: str) -> SSL.Context:
        return contexts.engine(name).connection.get_context()

    kept, lost = context_for("a.example"), context_for("first.wild.example")
    for number in range(5):
        context_for(f"{number}.wild.example")
        context_for("a.example")
    assert context_for("a.example") is kept
    assert context_for("first.wild.example") is not lost


def test_no_session_outlives_a_revocation(tmp_path: Path, own: Credentials, authority: Authority) -> None:
    contexts = ServerContexts(str(own.file), ServerRules(client_ca=str(authority.file)))
    context = authority.for_client(authority.issue("client.example"))
    first = shaken(MemoryClient(contexts.engine("proxy.example"), context, "proxy.example"))
    again = shaken(MemoryClient(contexts.engine("proxy.example"), context, "proxy.example", first.tls.session))
    assert not again.tls.session_reused
    assert again.engine.is_secured


# Rules


def test_the_servers_order_decides_the_protocol_and_no_common_one_is_an_alert(
    own: Credentials, authority: Authority
) -> None:
    contexts = ServerContexts(str(own.file), ServerRules(alpn=("h2", "http/1.1")))

    def offer(*protocols: str) -> MemoryClient:
        context = authority.for_client(alpn=protocols)
        return MemoryClient(contexts.engine("proxy.example"), context, "proxy.example")

    assert shaken(offer("http/1.1", "h2")).tls.selected_alpn_protocol() == "h2"
    assert shaken(offer("http/1.1")).tls.selected_alpn_protocol() == "http/1.1"
    assert shaken(offer()).tls.selected_alpn_protocol() is None
    for _ in range(3):
        with pytest.raises(ssl.SSLError, match=r"no application protocol|NO_APPLICATION_PROTOCOL"):
            offer("postgresql").shake_hands()


def test_versions_below_the_lowest_are_refused(own: Credentials, authority: Authority) -> None:
    context = authority.for_client()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    for rules, is_good in ((ServerRules(), True), (ServerRules(minimum=0x0304), False)):
        client = MemoryClient(ServerContexts(str(own.file), rules).engine("proxy.example"), context, "proxy.example")
        if is_good:
            client.shake_hands()
        else:
            with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
                client.shake_hands()


# Files


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "there is no certificate in PEM form"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "there is no certificate in PEM form"),
    ],
)
def test_a_file_without_a_certificate(tmp_path: Path, content: bytes, problem: str) -> None:
    file = tmp_path / "one.pem"
    file.write_bytes(content)
    with pytest.raises(BadCertificate, match=problem) as caught:
        ServerContexts(str(file), ServerRules())
    assert str(caught.value).startswith(f"{file}: ")


def test_a_certificate_without_its_key(tmp_path: Path, authority: Authority) -> None:
    file = tmp_path / "one.pem"
    file.write_bytes(authority.file.read_bytes())
    with pytest.raises(BadCertificate, match="there is no private key in PEM form"):
        ServerContexts(str(file), ServerRules())
    other = authority.issue("other.example").file.read_bytes()
    file.write_bytes(authority.file.read_bytes() + other[: other.index(b"-----BEGIN CERTIFICATE")])
    with pytest.raises(BadCertificate, match="the key is not that of the first certificate"):
        ServerContexts(str(file), ServerRules())


def test_a_folder_without_certificates_and_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BadCertificate, match=r"there is no \*.pem file"):
        ServerContexts(str(tmp_path), ServerRules())
    with pytest.raises(BadCertificate, match="No such file"):
        ServerContexts(str(tmp_path / "one.pem"), ServerRules())


def test_an_encrypted_key_needs_its_password(tmp_path: Path, authority: Authority) -> None:
    file, password = tmp_path / "one.pem", tmp_path / "password"
    file.write_bytes(authority.issue("one.example").encrypted(b"open sesame"))
    with pytest.raises(BadCertificate, match="--tls-key-password-file"):
        ServerContexts(str(file), ServerRules())
    password.write_bytes(b"wrong\n")
    with pytest.raises(BadCertificate, match="its password is wrong"):
        ServerContexts(str(file), ServerRules(password_file=str(password)))
    password.write_bytes(b"open sesame\n")
    contexts = ServerContexts(str(file), ServerRules(password_file=str(password)))
    assert name_of(connect(contexts, authority, "one.example")) == "one.example"
