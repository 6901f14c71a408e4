"""PEM files with a key and a chain."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa

from proxymux.errors import BadCertificate
from proxymux.net.tls.certificates import pem_files, read_certificates, read_key_pair
from tests.services.certificates import Authority, Credentials


def test_a_file_stands_for_itself(tmp_path: Path) -> None:
    assert pem_files(str(tmp_path / "any.crt")) == [str(tmp_path / "any.crt")]


def test_the_default_is_the_first_of_a_folder(tmp_path: Path) -> None:
    for name in ("b.pem", "a.pem", "default.pem", ".hidden.pem", "a.ocsp", "notes.txt"):
        (tmp_path / name).touch()
    assert pem_files(str(tmp_path)) == [str(tmp_path / name) for name in ("default.pem", "a.pem", "b.pem")]


def test_a_folder_without_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadCertificate, match=r"there is no \*\.pem file"):
        pem_files(str(tmp_path))


def test_the_order_of_key_and_chain_does_not_matter(tmp_path: Path, own: Credentials, authority: Authority) -> None:
    both = own.file.read_bytes()
    start = both.index(b"-----BEGIN CERTIFICATE")
    turned = tmp_path / "turned.pem"
    turned.write_bytes(both[start:] + authority.file.read_bytes() + both[:start])
    read = read_key_pair(str(turned))
    assert read.names == ("proxy.example",)
    assert [each.subject.rfc4514_string() for each in read.chain] == ["CN=proxy.example", "CN=authority"]


def test_names_are_in_lower_case_and_of_hosts_alone(authority: Authority) -> None:
    alternatives = x509.DNSName("A.Example"), x509.UniformResourceIdentifier("spiffe://a"), x509.DNSName("*.b.example")
    assert read_key_pair(str(authority.issue_with("c", *alternatives).file)).names == ("a.example", "*.b.example")


def test_the_common_name_counts_where_there_is_no_other(authority: Authority) -> None:
    assert read_key_pair(str(authority.issue_with("Old.Example").file)).names == ("old.example",)


def test_an_encrypted_key_needs_its_password(tmp_path: Path, own: Credentials) -> None:
    file = tmp_path / "locked.pem"
    file.write_bytes(own.encrypted(b"sesame"))
    with pytest.raises(BadCertificate, match="encrypted; give its password by --tls-key-password-file"):
        read_key_pair(str(file))
    with pytest.raises(BadCertificate, match="or its password is wrong"):
        read_key_pair(str(file), b"open")
    assert read_key_pair(str(file), b"sesame").names == ("proxy.example",)


def test_a_password_does_not_hinder_a_key_that_has_none(own: Credentials) -> None:
    assert read_key_pair(str(own.file), b"sesame").names == ("proxy.example",)


def test_the_digest_is_of_both_files(tmp_path: Path, own: Credentials) -> None:
    file = tmp_path / "a.pem"
    file.write_bytes(own.file.read_bytes())
    plain = read_key_pair(str(file))
    (tmp_path / "a.ocsp").write_bytes(b"good")
    with_answer = read_key_pair(str(file))
    assert (plain.ocsp, with_answer.ocsp) == (b"", b"good")
    assert plain.digest != with_answer.digest
    assert plain.digest == read_key_pair(str(own.file)).digest


def key_of(kind: str, own: Credentials, authority: Authority) -> bytes:
    both = own.file.read_bytes()
    start = both.index(b"-----BEGIN CERTIFICATE")
    if kind == "other":
        other = authority.issue("other.example").file.read_bytes()
        return other[: other.index(b"-----BEGIN CERTIFICATE")] + both[start:]
    if kind == "dsa":
        key = dsa.generate_private_key(1024)
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        return key.private_bytes(encoding, form, serialization.NoEncryption()) + both[start:]
    return {"none": both[start:], "cut": both[:60] + b"\n-----END PRIVATE KEY-----\n" + both[start:]}[kind]


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("none", "there is no private key in PEM form"),
        ("cut", "the private key cannot be read"),
        ("other", "the key is not that of the first certificate"),
        ("dsa", "a key of this kind is not accepted"),
    ],
)
def test_what_is_wrong_with_a_key_is_said(
    tmp_path: Path, own: Credentials, authority: Authority, kind: str, problem: str
) -> None:
    file = tmp_path / "server.pem"
    file.write_bytes(key_of(kind, own, authority))
    with pytest.raises(BadCertificate, match=f"^{file}: {problem}"):
        read_key_pair(str(file))


@pytest.mark.parametrize("read", [read_key_pair, read_certificates])
def test_what_is_no_certificate_is_said(tmp_path: Path, read: object) -> None:
    assert callable(read)
    file = tmp_path / "server.pem"
    with pytest.raises(BadCertificate, match="No such file"):
        read(str(file))
    file.write_text("rubbish")
    with pytest.raises(BadCertificate, match="there is no certificate in PEM form"):
        read(str(file))
