"""TLS as the server of clients: which context a client gets, by the name that it asks for.

A context is chosen before OpenSSL sees a byte, and belongs to one name alone.  So no session is resumed under another
name than that it was made for, whatever the other name's certificate and rules are.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Final, NamedTuple

from OpenSSL import SSL
from OpenSSL.crypto import X509StoreFlags

from proxymux.errors import BadCertificate
from proxymux.net.tls.alpn import select_from
from proxymux.net.tls.certificates import KeyPair
from proxymux.net.tls.context import new_context, trust, use_pair
from proxymux.net.tls.engine import TlsEngine
from proxymux.net.tls.material import Material, MaterialFiles
from proxymux.net.tls.rules import ServerRules
from proxymux.net.tls.ticket_keys import NAME_SIZE, TicketKeys, takes_ticket_keys, use_ticket_key

#: The most contexts that are kept: one for each name that clients ask for.
_MOST_CONTEXTS: Final = 256
#: Stands for every name that no certificate has.
_UNKNOWN: Final = "?"


class _Named(NamedTuple):
    """The context of one name in one period of the ticket keys.

    :param earlier: is in the tickets that were encrypted with the key of the period before.
    """

    context: SSL.Context
    earlier: bytes


class ServerContexts:
    """The contexts of one TLS listener.

    :param path: a PEM file with key and chain, or a folder of such files.
    :param tickets: the keys of the tickets; None makes some that never change.
    :raises BadCertificate: if they cannot be used.
    """

    def __init__(self, path: str, rules: ServerRules, tickets: TicketKeys | None = None) -> None:
        self._rules = rules
        self._tickets = tickets or TicketKeys(lambda: 0.0)
        self._period = self._tickets.period
        takes_ticket_keys()
        self._files = MaterialFiles(path, rules)
        self._contexts: OrderedDict[tuple[bytes, str, int], _Named] = OrderedDict()
        self._by_name: dict[str, KeyPair] = {}
        self._use(self._files.read())

    def reload(self, only_changed: bool = False) -> tuple[bool, list[str]]:
        """Read the files again.  A file that cannot be used any more is reported, and what it held before is kept.

        :param only_changed: return at once if no file seems to have changed since the last call.
        :returns: whether anything is different from now on, and what could not be used, in one line each.
        """
        self._change_keys()
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
            _make_context(pair, material, self._rules, b"")  # so that what OpenSSL does not accept is found now
        self._material = material
        self._by_name = {}
        for pair in material.pairs:
            for name in pair.names:
                self._by_name.setdefault(name, pair)
        self._contexts.clear()

    def _change_keys(self) -> None:
        """Forget the contexts if another period has begun, and the old keys with them."""
        period = self._tickets.period
        if period != self._period:
            self._period = period
            self._contexts.clear()

    def engine(self, server_name: str | None, hello: bytes = b"") -> TlsEngine:
        """Make the engine for a client.

        :param server_name: the name that the client asks for, or None.
        :param hello: the ClientHello, with the ticket that the client has.
        """
        self._change_keys()
        handle = SSL.Connection(self._context_for((server_name or "").rstrip(".").lower(), hello), None)
        handle.set_accept_state()
        return TlsEngine(handle)

    def _context_for(self, name: str, hello: bytes) -> SSL.Context:
        pair = self._by_name.get(name) or self._by_name.get("*." + name.partition(".")[2])
        if pair is None:
            pair, name = self._material.pairs[0], name and _UNKNOWN
        named = self._named(pair, name, self._period)
        if named.earlier in hello:
            named = self._named(pair, name, self._period - 1)
        return named.context

    def _named(self, pair: KeyPair, name: str, period: int) -> _Named:
        named = self._contexts.get((pair.digest, name, period))
        if named is not None:
            self._contexts.move_to_end((pair.digest, name, period))  # names that nobody asks for any more go first
            return named
        resumes = name != _UNKNOWN and not self._material.authorities
        domain = _domain(pair, name, self._material, self._rules)
        context = _make_context(pair, self._material, self._rules, domain if resumes else b"")
        use_ticket_key(context, self._tickets.key(domain, period))
        named = _Named(context, self._tickets.key(domain, self._period - 1)[:NAME_SIZE])
        self._contexts[pair.digest, name, period] = named
        if len(self._contexts) > _MOST_CONTEXTS:
            self._contexts.popitem(last=False)
        return named


def _domain(pair: KeyPair, name: str, material: Material, rules: ServerRules) -> bytes:
    """A digest of all that a session is good for: the name, the files of the listener, and its rules."""
    parts = pair.digest, material.digest, str(rules.minimum).encode(), ",".join(rules.alpn).encode(), name.encode()
    return hashlib.sha256(b"\0".join(parts)).digest()


def _make_context(pair: KeyPair, material: Material, rules: ServerRules, domain: bytes) -> SSL.Context:
    """Make a context.

    :param domain: what its sessions are good for; empty for a context without sessions.
    :raises BadCertificate: if OpenSSL does not accept the files.
    """
    context = new_context(SSL.TLS_SERVER_METHOD, rules.minimum)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)  # a ticket is kept by the client alone
    context.set_session_id(domain)  # compared with that of a ticket, whatever its key is
    use_pair(context, pair)
    if pair.ocsp:
        context.set_ocsp_server_callback(lambda handle, answer: answer or b"", pair.ocsp)
    if rules.alpn:
        select_from(context, rules.alpn)
    if material.authorities:
        _demand_certificate(context, material)
    if not domain:
        context.set_options(SSL.OP_NO_TICKET)  # one would outlive the revocation of a client's certificate
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
