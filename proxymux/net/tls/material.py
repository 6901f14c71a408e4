"""What a TLS listener reads from files, at the start and whenever they change."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from cryptography import x509

from proxymux.errors import BadCertificate
from proxymux.net.tls.certificates import KeyPair, ocsp_path, pem_files, read_certificates, read_file, read_key_pair
from proxymux.net.tls.files import WatchedFiles
from proxymux.net.tls.rules import ServerRules

_CRL: Final = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)


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
        self._watched = WatchedFiles()

    def have_changed(self) -> bool:
        """True if a file seems to have changed since the last call."""
        rules = self._rules
        paths = [each for each in (rules.client_ca, rules.crl, rules.password_file) if each is not None]
        try:
            pairs = pem_files(self._path)
        except BadCertificate:
            pairs = []  # reported when it is read
        return self._watched.have_changed([*paths, *pairs, *map(ocsp_path, pairs)])

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
        lists = _CRL.findall(read_file(path))
        try:
            if lists:
                return tuple(map(x509.load_pem_x509_crl, lists))
        except ValueError:
            pass  # one that is broken is as good as none
        raise BadCertificate(f"{path}: there is no certificate revocation list in PEM form") from None


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
