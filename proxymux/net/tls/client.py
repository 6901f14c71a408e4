"""TLS as the client of upstreams: the contexts, and the sessions that can be resumed."""

from __future__ import annotations

import functools
from collections import OrderedDict
from typing import Final

from OpenSSL import SSL

from proxymux.core.upstream_tls import UpstreamTls
from proxymux.net.tls.certificates import read_certificates, read_key_pair
from proxymux.net.tls.context import new_context, trust, use_pair
from proxymux.net.tls.engine import TlsEngine
from proxymux.net.tls.files import WatchedFiles
from proxymux.net.tls.names import is_address
from proxymux.net.tls.rules import ClientRules

#: The most contexts and the most sessions that are kept.
_MOST_CONTEXTS: Final = 256
_MOST_SESSIONS: Final = 1024
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

    def reload(self) -> None:
        """Have the files read again for later connections."""
        self._contexts.clear()
        self._sessions.clear()

    def have_changed(self) -> bool:
        """True if one of the files that are in use seems to have changed since the last call."""
        paths = {path for ca, cert, _, _ in self._contexts for path in (ca, cert) if path is not None}
        return bool(paths) and self._watched.have_changed(sorted(paths))

    def check(self) -> None:
        """Read the files of the settings.

        :raises BadCertificate: if one of them cannot be used.
        """
        if self._rules.ca is not None or self._rules.cert is not None:  # the system's authorities are read when needed
            self._make_context(self._key(UpstreamTls()))

    def engine(self, tls: UpstreamTls, server_name: str) -> TlsEngine:
        """Make the engine of one connection.

        :param server_name: sent to the upstream (SNI), unless it is an IP address.
        :raises BadCertificate: if a file cannot be used.
        """
        key = self._key(tls)
        context = self._contexts.get(key)
        if context is None:
            context = self._contexts[key] = self._make_context(key)
            if len(self._contexts) > _MOST_CONTEXTS:
                self._contexts.popitem(last=False)
        handle = SSL.Connection(context, None)
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

    def _key(self, tls: UpstreamTls) -> _ContextKey:
        return tls.ca or self._rules.ca, tls.cert or self._rules.cert, tls.alpn, tls.pin is None

    def _make_context(self, key: _ContextKey) -> SSL.Context:
        ca, cert, alpn, verifies = key
        context = new_context(SSL.TLS_CLIENT_METHOD, self._rules.minimum)
        if ca is None:
            context.set_default_verify_paths()
        else:
            trust(context, read_certificates(ca))
        if cert is not None:
            use_pair(context, read_key_pair(cert, self._rules.password()))
        if alpn:
            context.set_alpn_protos([name.encode("ascii") for name in alpn])
        # A pinned certificate is compared by the handshake's owner; no authority vouches for it.
        context.set_verify(SSL.VERIFY_PEER if verifies else SSL.VERIFY_NONE)
        return context
