"""TLS as the server of clients: which context a client gets, by the name that it asks for.

A context is chosen before OpenSSL sees a byte, and belongs to one name alone.  So no session is resumed under another
name than that it was made for, whatever the other name's certificate and rules are.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Final

from OpenSSL import SSL
from OpenSSL.crypto import X509StoreFlags

from proxymux.errors import BadCertificate
from proxymux.net.tls.alpn import select_from
from proxymux.net.tls.certificates import KeyPair
from proxymux.net.tls.context import new_context, trust, use_pair
from proxymux.net.tls.engine import TlsEngine
from proxymux.net.tls.material import Material, MaterialFiles
from proxymux.net.tls.rules import ServerRules

#: The most contexts that are kept: one for each name that clients ask for.
_MOST_CONTEXTS: Final = 256
#: Stands for every name that no certificate has.
_UNKNOWN: Final = "?"


class ServerContexts:
    """The contexts of one TLS listener.

    :param path: a PEM file with key and chain, or a folder of such files.
    :raises BadCertificate: if they cannot be used.
    """

    def __init__(self, path: str, rules: ServerRules) -> None:
        self._rules = rules
        self._files = MaterialFiles(path, rules)
        self._contexts: OrderedDict[tuple[bytes, str], SSL.Context] = OrderedDict()
        self._by_name: dict[str, KeyPair] = {}
        self._use(self._files.read())

    def reload(self, only_changed: bool = False) -> tuple[bool, list[str]]:
        """Read the files again.  A file that cannot be used any more is reported, and what it held before is kept.

        :param only_changed: return at once if no file seems to have changed since the last call.
        :returns: whether anything is different from now on, and what could not be used, in one line each.
        """
        if only_changed and not self._files.have_changed():
            return False, []
        old = self._material
        new, problems = self._files.read_again(old)
        if new.digest == old.digest:
            return False, problems
        try:
            self._use(new)
        except BadCertificate as problem:
            return False, [*problems, str(problem)]
        return True, problems

    def _use(self, material: Material) -> None:
        for pair in material.pairs:
            _make_context(pair, material, self._rules, True)  # so that what OpenSSL does not accept is found now
        self._material = material
        self._by_name = {}
        for pair in material.pairs:
            for name in pair.names:
                self._by_name.setdefault(name, pair)
        self._contexts.clear()

    def engine(self, server_name: str | None) -> TlsEngine:
        """Make the engine for a client.

        :param server_name: the name that the client asks for, or None.
        """
        handle = SSL.Connection(self._context_for((server_name or "").rstrip(".").lower()), None)
        handle.set_accept_state()
        return TlsEngine(handle)

    def _context_for(self, name: str) -> SSL.Context:
        pair = self._by_name.get(name) or self._by_name.get("*." + name.partition(".")[2])
        if pair is None:
            pair, name = self._material.pairs[0], name and _UNKNOWN
        context = self._contexts.get((pair.digest, name))
        if context is None:
            context = _make_context(pair, self._material, self._rules, name != _UNKNOWN)
            self._contexts[pair.digest, name] = context
            if len(self._contexts) > _MOST_CONTEXTS:
                self._contexts.popitem(last=False)
        else:
            self._contexts.move_to_end((pair.digest, name))  # names that nobody asks for any more go first
        return context


def _make_context(pair: KeyPair, material: Material, rules: ServerRules, resumes: bool) -> SSL.Context:
    """Make a context.

    :param resumes: give clients tickets, to resume their sessions.
    :raises BadCertificate: if OpenSSL does not accept the files.
    """
    context = new_context(SSL.TLS_SERVER_METHOD, rules.minimum)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)  # a ticket is kept by the client alone
    context.set_session_id(hashlib.sha256(pair.digest).digest())
    use_pair(context, pair)
    if pair.ocsp:
        context.set_ocsp_server_callback(lambda handle, answer: answer or b"", pair.ocsp)
    if rules.alpn:
        select_from(context, rules.alpn)
    if material.authorities:
        _demand_certificate(context, material)
    if material.authorities or not resumes:
        context.set_options(SSL.OP_NO_TICKET)  # a ticket would outlive the revocation of a client's certificate
    return context


def _demand_certificate(context: SSL.Context, material: Material) -> None:
    """Have every client show a certificate of the authorities, and not a revoked one."""
    store = trust(context, material.authorities)
    for authority in material.authorities:
        context.add_client_ca(authority)
    for revocations in material.revocations:
        store.add_crl(revocations)
        store.set_flags(X509StoreFlags.CRL_CHECK)
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
