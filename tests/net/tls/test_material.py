"""What a TLS listener reads, and reads again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from proxymux.errors import BadCertificate
from proxymux.net.tls.material import Material, MaterialFiles
from proxymux.net.tls.rules import ServerRules
from tests.services.certificates import Authority


def names(material: Material) -> list[str]:
    return [name for pair in material.pairs for name in pair.names]


@pytest.fixture
def folder(tmp_path: Path, authority: Authority) -> Path:
    made = tmp_path / "certs"
    made.mkdir()
    for name in ("a", "b"):
        shutil.copy(authority.issue(f"{name}.example").file, made / f"{name}.pem")
    return made


def test_the_same_files_have_the_same_digest(folder: Path) -> None:
    files = MaterialFiles(str(folder), ServerRules())
    assert files.read().digest == files.read().digest


def test_a_broken_file_of_a_folder_costs_no_other(folder: Path) -> None:
    files = MaterialFiles(str(folder), ServerRules())
    old = files.read()
    (folder / "a.pem").write_text("rubbish")
    new, problems = files.read_again(old)
    assert names(new) == ["a.example", "b.example"]
    assert problems == [f"{folder / 'a.pem'}: there is no certificate in PEM form"]
    with pytest.raises(BadCertificate):
        files.read()


def test_a_new_file_that_is_broken_is_told_and_left_out(folder: Path) -> None:
    files = MaterialFiles(str(folder), ServerRules())
    old = files.read()
    (folder / "c.pem").write_text("rubbish")
    new, problems = files.read_again(old)
    assert names(new) == ["a.example", "b.example"]
    assert len(problems) == 1
    assert new.digest == old.digest


def test_a_file_that_has_gone_is_withdrawn_but_not_the_last(folder: Path) -> None:
    files = MaterialFiles(str(folder), ServerRules())
    old = files.read()
    (folder / "a.pem").unlink()
    new, problems = files.read_again(old)
    assert (names(new), problems) == (["b.example"], [])
    (folder / "b.pem").unlink()
    last, problems = files.read_again(new)
    assert names(last) == ["b.example"]
    assert len(problems) == 1


def test_authorities_and_revocations_stay_as_they_were_if_one_is_broken(
    folder: Path, tmp_path: Path, authority: Authority
) -> None:
    ca, crl = tmp_path / "ca.pem", tmp_path / "crl.pem"
    shutil.copy(authority.file, ca)
    crl.write_bytes(authority.revoke())
    files = MaterialFiles(str(folder), ServerRules(client_ca=str(ca), crl=str(crl)))
    old = files.read()
    crl.write_bytes(authority.revoke(authority.issue("revoked.example")))
    new, problems = files.read_again(old)
    assert (new.digest != old.digest, problems) == (True, [])
    assert len(list(new.revocations[0])) == 1
    crl.write_text("rubbish")
    kept, problems = files.read_again(new)
    assert kept.digest == new.digest
    assert problems == [f"{crl}: there is no certificate revocation list in PEM form"]


def test_every_file_that_counts_is_watched(folder: Path, tmp_path: Path, authority: Authority) -> None:
    ca, crl = tmp_path / "ca.pem", tmp_path / "crl.pem"
    shutil.copy(authority.file, ca)
    crl.write_bytes(authority.revoke())
    files = MaterialFiles(str(folder), ServerRules(client_ca=str(ca), crl=str(crl)))
    for file in (ca, crl, folder / "a.pem", folder / "b.ocsp", folder / "new.pem"):
        while files.have_changed():
            pass
        file.write_bytes((file.read_bytes() if file.exists() else b"") + b"\n")
        assert files.have_changed(), file


def test_a_new_password_is_a_change(tmp_path: Path, authority: Authority) -> None:
    file, password = tmp_path / "one.pem", tmp_path / "password"
    credentials = authority.issue("one.example")
    file.write_bytes(credentials.encrypted(b"one"))
    password.write_bytes(b"one")
    files = MaterialFiles(str(file), ServerRules(password_file=str(password)))
    files.read()
    assert [files.have_changed() for _ in range(3)] == [True, True, False]
    password.write_bytes(b"two")
    assert [files.have_changed() for _ in range(3)] == [True, True, False]
