"""What a TLS listener reads from files, at the start and whenever they change."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

from cryptography import x509

from proxymux.errors import BadCertificate
from proxymux.net.tls.certificates import KeyPair, pem_files, read_certificates, read_file, read_key_pair
from proxymux.net.tls.rules import ServerRules


@dataclass(frozen=True, slots=True)
class Material:
    """The contents of a listener's files at one moment.

    :param pairs: the default is first.
    :param authorities: those whose client certificates are accepted; none are demanded if there are none.
    :param revocations: the lists of revoked client certificates.
    """

    pairs: tuple[KeyPair, ...]
    authorities: tuple[x509.Certificate, ...]
    revocations: tuple[x509.CertificateRevocationList, ...]
    digest: bytes


class MaterialFiles:
    """The files of one TLS listener.

    :param path: a PEM file with key and chain, or a folder of such files.
    """

    def __init__(self, path: str, rules: ServerRules) -> None:
        self._path = path
        self._rules = rules
        self._stamps: tuple[object, ...] = ()
        #: The files looked the same when they were last read as before.
        self._is_settled = False

    def have_changed(self) -> bool:
        """True if a file seems to have changed since the last call.

        After a change they are said to have changed once more: a file that is written twice in an instant may look as
        it did between the two.
        """
        stamps = self._look()
        if stamps == self._stamps and self._is_settled:
            return False
        self._is_settled = stamps == self._stamps
        self._stamps = stamps
        return True

    def read(self) -> Material:
        """Read all files.

        :raises BadCertificate: for the first that cannot be used.
        """
        password = self._rules.password()
        pairs = [read_key_pair(path, password) for path in pem_files(self._path)]
        return _assemble(pairs, self._authorities(), self._revocations())

    def read_again(self, old: Material) -> tuple[Material, list[str]]:
        """Read all files, and keep of ``old`` what cannot be read any more.

        A file that has gone from a folder is not kept; a single one is.

        :returns: what holds from now on, and the problems, in one line each.
        """
        problems: list[str] = []
        known = {pair.path: pair for pair in old.pairs}
        pairs: list[KeyPair] = []
        authorities, revocations = old.authorities, old.revocations
        try:
            password = self._rules.password()
            for path in pem_files(self._path):
                try:
                    pairs.append(read_key_pair(path, password))
                except BadCertificate as problem:
                    problems.append(str(problem))
                    pairs += [known[path]] if path in known else []
        except BadCertificate as problem:
            problems.append(str(problem))
        try:
            authorities, revocations = self._authorities(), self._revocations()
        except BadCertificate as problem:
            problems.append(str(problem))
        return _assemble(pairs or list(old.pairs), authorities, revocations), problems

    def _authorities(self) -> tuple[x509.Certificate, ...]:
        return () if self._rules.client_ca is None else read_certificates(self._rules.client_ca)

    def _revocations(self) -> tuple[x509.CertificateRevocationList, ...]:
        path = self._rules.crl
        if path is None:
            return ()
        try:
            return (x509.load_pem_x509_crl(read_file(path)),)
        except ValueError:
            raise BadCertificate(f"{path}: there is no certificate revocation list in PEM form") from None

    def _look(self) -> tuple[object, ...]:
        """What tells that a file may have changed, without reading any."""
        paths: list[str] = [each for each in (self._rules.client_ca, self._rules.crl) if each is not None]
        try:
            pairs = pem_files(self._path)
        except BadCertificate:
            pairs = []  # reported when it is read
        paths += pairs + [path.removesuffix(".pem") + ".ocsp" for path in pairs]
        return tuple(_stamp(path) for path in paths)


def _assemble(
    pairs: list[KeyPair],
    authorities: tuple[x509.Certificate, ...],
    revocations: tuple[x509.CertificateRevocationList, ...],
) -> Material:
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update(pair.digest)
    for authority in authorities:
        digest.update(authority.tbs_certificate_bytes)
    for each in revocations:
        digest.update(each.tbs_certlist_bytes)
    return Material(tuple(pairs), authorities, revocations, digest.digest())


def _stamp(path: str) -> object:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return path, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size
