"""TLS as the client of upstreams: the contexts, and the sessions that can be resumed."""

from __future__ import annotations

import functools
from collections import OrderedDict
from typing import Final

from OpenSSL import SSL

from proxymux.core.upstream_tls import UpstreamTls
from proxymux.errors import BadCertificate
from proxymux.net.tls.certificates import read_certificates, read_key_pair
from proxymux.net.tls.context import new_context, trust, use_pair
from proxymux.net.tls.engine import TlsEngine
from proxymux.net.tls.expected import Expected, verify_within_handshake
from proxymux.net.tls.files import WatchedFiles
from proxymux.net.tls.names import is_address
from proxymux.net.tls.rules import ClientRules

#: The most contexts and the most sessions that are kept.
_MOST_CONTEXTS: Final = 256
_MOST_SESSIONS: Final = 1024
#: The authorities' file, the file to show, the protocols, and whether names are verified: no session of a pinned
#: certificate, for which no authority vouches, is resumed where they are.
_ContextKey = tuple["str | None", "str | None", "tuple[str, ...]", bool]


class ClientContexts:
    """Makes the engines of connections to upstreams.

    :param rules: hold where the decision does not say.
    """

    def __init__(self, rules: ClientRules) -> None:
        self._rules = rules
        self._watched = WatchedFiles()
        self._contexts: OrderedDict[_ContextKey, SSL.Context] = OrderedDict()
        #: The last session with each server, by the context and the server's name.
        self._sessions: OrderedDict[tuple[_ContextKey, str], SSL.Session] = OrderedDict()

    def reload(self) -> list[str]:
        """Read the files that are in use again, for later connections.  What a file that cannot be used held before
        stays in force.

        :returns: what could not be used, in one line each.
        """
        problems: dict[str, None] = {}  # in their order, each once
        for key in self._contexts:
            try:
                self._contexts[key] = self._make_context(key)
            except BadCertificate as problem:
                problems[str(problem)] = None
        self._sessions.clear()
        return list(problems)

    def have_changed(self) -> bool:
        """True if one of the files that are in use seems to have changed since the last call."""
        paths = {path for ca, cert, _, _ in self._contexts for path in (ca, cert) if path is not None}
        if self._rules.password_file is not None and any(cert is not None for _, cert, _, _ in self._contexts):
            paths.add(self._rules.password_file)
        return bool(paths) and self._watched.have_changed(sorted(paths))

    def check(self, tls: UpstreamTls) -> None:
        """Read the files that TLS as ``tls`` says would need, those of the settings among them.

        :raises BadCertificate: if one of them cannot be used.
        """
        ca, cert, _, _ = key = self._key(tls, tls.pin is not None)
        if ca is not None or cert is not None:  # the system's authorities are read when needed
            self._make_context(key)

    def engine(self, tls: UpstreamTls, expected: Expected) -> TlsEngine:
        """Make the engine of one connection.

        :param expected: is shown the upstream's certificate.  Its server name is sent (SNI), unless that is an IP
            address.
        :raises BadCertificate: if a file cannot be used.
        """
        key = self._key(tls, expected.is_pinned)
        context = self._contexts.get(key)
        if context is None:
            context = self._contexts[key] = self._make_context(key)
            if len(self._contexts) > _MOST_CONTEXTS:
                self._contexts.popitem(last=False)
        handle = SSL.Connection(context, None)
        handle.set_app_data(expected)
        server_name = expected.server_name
        if not is_address(server_name):
            handle.set_tlsext_host_name(server_name.encode("ascii"))
        handle.set_connect_state()
        engine = TlsEngine(handle)
        session = self._sessions.pop((key, server_name), None)
        if session is not None:
            handle.set_session(session)
        engine.when_released = functools.partial(self._keep_session, context, (key, server_name))
        return engine

    def _keep_session(self, context: SSL.Context, key: tuple[_ContextKey, str], handle: SSL.Connection) -> None:
        session = handle.get_session()
        if session is not None and self._contexts.get(key[0]) is context:
            self._sessions[key] = session
            self._sessions.move_to_end(key)
            if len(self._sessions) > _MOST_SESSIONS:
                self._sessions.popitem(last=False)

    def _key(self, tls: UpstreamTls, is_pinned: bool) -> _ContextKey:
        return tls.ca or self._rules.ca, tls.cert or self._rules.cert, tls.alpn, not is_pinned

    def _make_context(self, key: _ContextKey) -> SSL.Context:
        ca, cert, alpn, _ = key
        context = new_context(SSL.TLS_CLIENT_METHOD, self._rules.minimum)
        if ca is None:
            context.set_default_verify_paths()
        else:
            trust(context, read_certificates(ca))
        if cert is not None:
            use_pair(context, read_key_pair(cert, self._rules.password()))
        if alpn:
            context.set_alpn_protos([name.encode("ascii") for name in alpn])
        verify_within_handshake(context)
        return context
