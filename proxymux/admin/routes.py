"""The paths of the admin endpoint: what is answered to a request that may be asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from string import Template
from typing import Any, Final
from urllib.parse import unquote

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from proxymux.admin import page
from proxymux.admin.answer import Answer, as_json, text
from proxymux.admin.feed import MAX_VIEWERS, Feed, Stream
from proxymux.admin.instance import Instance
from proxymux.admin.metrics import CONTENT_TYPE, exposition
from proxymux.admin.profiling import DEFAULT_SECONDS, MAX_SECONDS, ProfilerError
from proxymux.errors import BadAddress, NoMember, NotHeld
from proxymux.printable import printable

#: How many sessions are listed where the request does not say, and at most.
DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 10_000
_HTML: Final = "text/html; charset=utf-8"
#: More digits than any session's number has.
_MAX_DIGITS: Final = 18

#: What stands for the targets that belong to no cluster, in a path.
NO_CLUSTER: Final = "-"
#: The parts of a path that differ, by the words that stand for them.  A target may be ``unix:/path``.
_PARTS: Final = {
    "ID": f"(?P<number>[0-9]{{1,{_MAX_DIGITS}}})",
    "NAME": "(?P<cluster>[^/]+)",
    "TARGET": "(?P<target>.+)",
    "FILE": f"(?P<file>{'|'.join(map(re.escape, page.FILES))})",
}

#: The values of a query, by their names; the first of each.
Query = Mapping[str, str]
#: The Deferred fires with an Answer or a Stream.
_Show = Callable[["Paths", Query, "re.Match[str]"], "Deferred[Any]"]


class BadQuery(ValueError):
    """A value of the query is not accepted; the text says which, and what is."""


@dataclass(frozen=True, slots=True)
class Route:
    """One path, or all of one form.

    :param method: ``GET``, or ``POST`` for what changes something.
    :param shown: the path in words, for the index.
    :param says: what is there, in one line.
    """

    method: str
    pattern: re.Pattern[str]
    show: _Show
    shown: str
    says: str


class Paths:
    """Answers requests.

    :param instance: what is shown and steered.
    :param feed: tells the status page of it.
    :param routes: the paths that there are.
    """

    def __init__(self, instance: Instance, feed: Feed, routes: tuple[Route, ...]) -> None:
        self._instance = instance
        self._feed = feed
        self.routes = routes

    def find(self, path: str) -> dict[str, tuple[Route, re.Match[str]]]:
        """The routes of a path, by their methods; none if there is no such path.

        A path is taken as it is: one with an escape, a dot segment or a slash too many is none of ours.
        """
        matches = ((route, route.pattern.fullmatch(path)) for route in self.routes)
        return {route.method: (route, match) for route, match in matches if match is not None}

    # What there is to see

    def index(self, _query: Query, _match: re.Match[str]) -> Deferred[Answer]:
        """A list of the paths, in HTML."""
        template = Template(files("proxymux.admin").joinpath("templates/index.html").read_text("utf-8"))
        rows = "\n".join(_row(route) for route in self.routes)
        return succeed(Answer(200, template.substitute(rows=rows).encode(), _HTML))

    def page(self, _query: Query, _match: re.Match[str]) -> Deferred[Answer]:
        """The status page."""
        return succeed(Answer(200, page.read(page.PAGE), _HTML))

    def page_file(self, _query: Query, match: re.Match[str]) -> Deferred[Answer]:
        """What the status page loads."""
        name = match["file"]
        return succeed(Answer(200, page.read(name), page.type_of(name)))

    def events(self, query: Query, _match: re.Match[str]) -> Deferred[Answer | Stream]:
        """What the status page shows, a message a second."""
        limit = _limit(query)
        if self._feed.is_full:
            return succeed(text(503, f"{MAX_VIEWERS} watch already", Retry_After="10"))
        return succeed(Stream(self._feed, limit))

    def metrics(self, _query: Query, _match: re.Match[str]) -> Deferred[Answer]:
        """The metrics."""

        def counted(counters: dict[str, list[float]]) -> Deferred[Answer]:
            found = self._instance.status()
            return found.addCallback(lambda status: Answer(200, exposition(status, counters), CONTENT_TYPE))

        return self._instance.counters().addCallback(counted)

    def healthz(self, _query: Query, _match: re.Match[str]) -> Deferred[Answer]:
        """That it answers at all."""
        return succeed(text(200, "ok"))

    def readyz(self, _query: Query, _match: re.Match[str]) -> Deferred[Answer]:
        """Whether new clients are served."""
        ready = self._instance.is_ready()
        return ready.addCallback(lambda is_ready: text(200, "ready") if is_ready else text(503, "not ready"))

    def status(self, _query: Query, _match: re.Match[str]) -> Deferred[Answer]:
        """The status, with the instances of the fleet where there is one."""

        def found(status: dict[str, Any]) -> Deferred[Answer]:
            members = self._instance.fleets.members()
            return members.addCallback(lambda fleet: as_json(status if fleet is None else {**status, "fleet": fleet}))

        return self._instance.status().addCallback(found)

    def sessions(self, query: Query, _match: re.Match[str]) -> Deferred[Answer]:
        """The live sessions."""
        return self._instance.sessions(_limit(query)).addCallback(lambda found: as_json({"sessions": found}))

    def session(self, _query: Query, match: re.Match[str]) -> Deferred[Answer]:
        """One session."""
        found = self._instance.session(int(match["number"]))
        return found.addCallback(lambda session: as_json(session) if session is not None else _no_session())

    def stacks(self, _query: Query, _match: re.Match[str]) -> Deferred[Answer]:
        """Where the threads are."""
        return self._instance.stacks().addCallback(lambda stacks: text(200, stacks))

    def profile(self, query: Query, _match: re.Match[str]) -> Deferred[Answer]:
        """Where the time goes."""
        seconds = _number(query, "seconds", DEFAULT_SECONDS, 0.01, MAX_SECONDS)

        def failed(failure: Any) -> Answer:
            failure.trap(ProfilerError)
            return text(409, str(failure.value))

        return self._instance.profile(seconds).addCallbacks(lambda found: text(200, found), failed)

    # What there is to do

    def reload(self, _query: Query, _match: re.Match[str]) -> Deferred[Answer]:
        """Read everything again."""
        done = self._instance.reload()
        return done.addCallback(lambda problem: text(200, "reloaded") if problem is None else text(500, problem))

    def drain(self, _query: Query, _match: re.Match[str]) -> Deferred[Answer]:
        """Accept no more."""
        return self._instance.drain().addCallback(lambda _: text(202, "draining"))

    def rollover(self, _query: Query, _match: re.Match[str]) -> Deferred[Answer]:
        """Replace the workers."""
        begun = self._instance.rollover()
        return begun.addCallback(lambda problem: text(202, "rolling over") if problem is None else text(409, problem))

    def close_session(self, _query: Query, match: re.Match[str]) -> Deferred[Answer]:
        """End one session."""
        closed = self._instance.close_session(int(match["number"]))
        return closed.addCallback(lambda is_closed: text(202, "closing") if is_closed else _no_session())

    def hold(self, _query: Query, match: re.Match[str]) -> Deferred[Answer]:
        """Have what is new for a target wait."""
        return _steer(self._instance.hold, match, "is held", "is held already")

    def release(self, _query: Query, match: re.Match[str]) -> Deferred[Answer]:
        """Let it go on."""
        return _steer(self._instance.release, match, "is released", "was not held")

    def drain_target(self, _query: Query, match: re.Match[str]) -> Deferred[Answer]:
        """Have a target of a cluster get nothing new."""
        return _steer(_of_a_cluster(self._instance.drain_target), match, "is drained", "is drained already")

    def enable_target(self, _query: Query, match: re.Match[str]) -> Deferred[Answer]:
        """Have it be used again."""
        return _steer(_of_a_cluster(self._instance.enable_target), match, "is used again", "was not drained")


#: Does something with a target, of a cluster or of none.
_Steer = Callable[[str, "str | None"], "Deferred[bool]"]


def _of_a_cluster(steer: Callable[[str, str], Deferred[bool]]) -> _Steer:
    """Refuse targets of no cluster."""

    def steered(target: str, cluster: str | None) -> Deferred[bool]:
        if cluster is None:
            return fail(NoMember(f"{NO_CLUSTER}: name the cluster; plain targets can be held"))
        return steer(target, cluster)

    return steered


def _steer(steer: _Steer, match: re.Match[str], done: str, unchanged: str) -> Deferred[Answer]:
    """Do something with the target that a path names.

    :param done: what is said if that has changed anything.
    :param unchanged: and otherwise.
    """
    cluster, target = (unquote(match[name], errors="surrogateescape") for name in ("cluster", "target"))

    def refused(failure: Failure) -> Answer:
        kind = failure.trap(BadAddress, NotHeld, NoMember)
        return text({NotHeld: 409, NoMember: 404}.get(kind, 400), printable(str(failure.value)))

    def changed(is_changed: bool) -> Answer:
        return text(200, f"{printable(target)} {done if is_changed else unchanged}")

    return steer(target, None if cluster == NO_CLUSTER else cluster).addCallbacks(changed, refused)


def _no_session() -> Answer:
    return text(404, "there is no such session")


def _number(query: Query, name: str, default: float, low: float, high: float) -> float:
    given = query.get(name)
    if given is None:
        return default
    try:
        value = float(given)
    except ValueError:
        value = -1.0
    if not low <= value <= high:  # nor is a value that is no number
        raise BadQuery(f"{name}: a number from {low:g} to {high:g} is accepted")
    return value


def _limit(query: Query) -> int:
    return int(_number(query, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT))


def _row(route: Route) -> str:
    # What is in capitals stands for something else.
    is_link = route.method == "GET" and route.shown == route.shown.lower()
    path = f'<a href="{route.shown}">{route.shown}</a>' if is_link else route.shown
    return f"<tr><td>{route.method}</td><td>{path}</td><td>{route.says}</td></tr>"


def _route(method: str, path: str, show: _Show, says: str) -> Route:
    pattern = re.escape(path)
    for word, part in _PARTS.items():
        pattern = pattern.replace(word, part)
    return Route(method, re.compile(pattern), show, path, says)


_LIST: Final = "this list"
#: The paths that say what costs the time.
DEBUG_ROUTES: Final = (
    _route("GET", "/", Paths.index, _LIST),
    _route("GET", "/debug/profile", Paths.profile, "which functions take the time; ?seconds= for how long to look"),
    _route("GET", "/debug/stacks", Paths.stacks, "where every thread is now"),
)
#: All paths.
ROUTES: Final = (
    _route("GET", "/", Paths.page, "the status page, which updates itself"),
    _route("GET", "/events", Paths.events, "what it shows, once a second, as server-sent events; ?limit= of sessions"),
    _route("GET", "/page/FILE", Paths.page_file, "its script and style"),
    _route("GET", "/paths", Paths.index, _LIST),
    _route("GET", "/metrics", Paths.metrics, "for Prometheus"),
    _route("GET", "/healthz", Paths.healthz, "200: the process answers"),
    _route("GET", "/readyz", Paths.readyz, "200: new clients are served; 503 while it drains"),
    _route("GET", "/status", Paths.status, "services, workers, pools and clusters"),
    _route("GET", "/sessions", Paths.sessions, "live sessions; ?limit= for how many"),
    _route("GET", "/sessions/ID", Paths.session, "one session, live or among the last 1,000 that ended"),
    *DEBUG_ROUTES[1:],
    _route("POST", "/reload", Paths.reload, "read routers, keys, deny files and certificates again, as HUP does"),
    _route("POST", "/drain", Paths.drain, "accept no more; the process goes on"),
    _route("POST", "/rollover", Paths.rollover, "replace the workers, as USR2 does"),
    _route("POST", "/clusters/NAME/TARGET/drain", Paths.drain_target, "give a target of a cluster nothing new"),
    _route("POST", "/clusters/NAME/TARGET/enable", Paths.enable_target, "use it again"),
    _route("POST", "/clusters/NAME/TARGET/hold", Paths.hold, "have what is new for a target wait; - is no cluster"),
    _route("POST", "/clusters/NAME/TARGET/release", Paths.release, "let what waits for it go on"),
    _route("POST", "/sessions/ID/close", Paths.close_session, "end a session, with the outcome drained"),
)
