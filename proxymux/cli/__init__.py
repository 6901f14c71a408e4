"""The console script ``proxymux``: parses its command line.  Each command is in a module of its own."""

from __future__ import annotations

import argparse
import functools
import io
import os
import sys
from collections.abc import Sequence
from typing import TypeAlias

from proxymux.cli.check_command import add_check
from proxymux.cli.numbers import IN_SECONDS, seconds, whole_number, whole_seconds
from proxymux.printable import printable
from proxymux.version import __version__, compiled

_Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit: with status 0 for success, 1 for a failure, 2 for a wrong command line."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # otherwise an ASCII one refuses what is no ASCII
    options = make_parser().parse_args(arguments)
    options.run(options)


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line, with all commands."""
    parser = argparse.ArgumentParser(prog="proxymux", description="Tools for proxymux, the TCP proxy run by twistd.")
    parser.add_argument("--version", action="version", version=f"proxymux {__version__} (compiled: {compiled()})")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_drafts(commands)
    add_check(commands)
    _add_connect(commands)
    _add_token(commands)
    _add_top(commands)
    _add_why(commands)
    _add_fleet(commands)
    _add_migrate(commands)
    _add_shell(commands)
    return parser


def _add_drafts(commands: _Commands) -> None:
    init = commands.add_parser(
        "init",
        help="write a router to begin with, its test, a sample and a unit for systemd",
        description=(
            "Make the folder NAME with a commented router, its test, a sample of what a client sends, and a unit for"
            " systemd. Exits with 1 if one of the files is there already; nothing is written then."
        ),
    )
    init.add_argument("name", metavar="NAME", help="the folder, and the router's name")
    init.set_defaults(run=functools.partial(_draft, "init"))
    new = commands.add_parser("new", help="write a codec to begin with, and its tests")
    kinds = new.add_subparsers(required=True, metavar="KIND")
    codec = kinds.add_parser(
        "codec",
        help="a codec for the pool",
        description=(
            "Write NAME.py, a codec that a pool takes as --codec NAME:Codec, and test_NAME.py with its tests. Exits"
            " with 1 if one of the files is there already; nothing is written then."
        ),
    )
    codec.add_argument("name", metavar="NAME", help="the name of its module")
    codec.set_defaults(run=functools.partial(_draft, "new_codec"))


def _add_connect(commands: _Commands) -> None:
    connect = commands.add_parser(
        "connect",
        help="join standard input and output to the target of a token, through a gateway",
        description=(
            "Show a token to a gateway and join standard input and output to its target, as OpenSSH's ProxyCommand"
            " wants it. Exits with 1 if the gateway does not connect, and says its status."
        ),
    )
    connect.add_argument("gateway", metavar="HOST:PORT", help="where the gateway listens")
    connect.add_argument("token", metavar="TOKEN", help="the token, or @FILE for the first line of a file")
    connect.set_defaults(run=_connect)


def _add_token(commands: _Commands) -> None:
    token = commands.add_parser("token", help="make tokens for the gateway, and see what is in them")
    actions = token.add_subparsers(required=True, metavar="ACTION")
    seal = actions.add_parser("seal", help="print a token", description="Print a token for a target.")
    seal.add_argument(
        "--target",
        metavar="HOST:PORT",
        action="append",
        required=True,
        help="or the name of a gateway's --cluster; repeat it for several, tried in order",
    )
    seal.add_argument("--expires-in", metavar="S", type=whole_seconds, help=f"{IN_SECONDS} that the token is good for")
    seal.add_argument("--not-before-in", metavar="S", type=whole_seconds, help=f"{IN_SECONDS} until it is good")
    seal.add_argument("--client", metavar="CIDR", help="where the client must come from")
    seal.add_argument("--audience", metavar="NAME", help="which gateways are meant")
    seal.add_argument("--once", action="store_true", help="it opens a gateway one time")
    seal.add_argument("--legacy", action="store_true", help="a token of the old form")
    seal.set_defaults(run=functools.partial(_token, "seal"))
    explain = actions.add_parser(
        "open",
        help="say what is in a token",
        description="Open a token and print what it says. Whether it is expired is for you to see.",
    )
    explain.add_argument("token", metavar="TOKEN")
    explain.set_defaults(run=functools.partial(_token, "open_"))
    for action in (seal, explain):
        action.add_argument("--key-file", metavar="FILE", help="keys of sealed tokens")
        action.add_argument(
            "--secret-file", metavar="FILE", help="secret of old tokens [default: the variable PROXYMUX_SECRET]"
        )
        action.add_argument("--digest", choices=("md5", "sha256", "pbkdf2"), help="of old tokens [default: md5]")


_URL_HELP = "where its --admin endpoint is: http://HOST:PORT, HOST:PORT, a port of this machine, or unix:/path"


def _add_top(commands: _Commands) -> None:
    top = commands.add_parser(
        "top",
        help="show a running instance in the terminal",
        description=(
            "Show the services, sessions, pools, targets and workers of a running instance, live or once. Actions need"
            " the token of its --admin-token-file, by --token-file or in the variable PROXYMUX_ADMIN_TOKEN. Exits with"
            " 1 if the instance does not answer."
        ),
    )
    top.add_argument("url", metavar="URL", help=_URL_HELP)
    top.add_argument("--token-file", metavar="FILE", help="the token for actions [default: PROXYMUX_ADMIN_TOKEN]")
    top.add_argument(
        "--interval", metavar="S", type=seconds, default=1.0, help=f"{IN_SECONDS} between two looks [default: 1]"
    )
    top.add_argument(
        "--sessions",
        metavar="N",
        type=functools.partial(whole_number, least=1, most=10**9),
        default=200,
        help="sessions that are looked at, the oldest; the instance lists 10,000 at most [default: 200]",
    )
    top.add_argument("--once", action="store_true", help="print once, after two looks, as text")
    top.add_argument("--json", action="store_true", help="with --once: print JSON, for scripts")
    top.set_defaults(run=_top)


def _add_why(commands: _Commands) -> None:
    why = commands.add_parser(
        "why",
        help="explain one session of a running instance",
        description=(
            "Explain a session that is live, or one of the last 1,000 that ended: when what happened, what decided,"
            " each attempt to connect, and what its outcome means. Exits with 1 if there is none."
        ),
    )
    why.add_argument("url", metavar="URL", help=_URL_HELP)
    why.add_argument(
        "session",
        metavar="SESSION",
        type=functools.partial(whole_number, least=1, most=10**18 - 1),
        help="its number, as in the access log",
    )
    why.add_argument("--json", action="store_true", help="print JSON, for scripts")
    why.set_defaults(run=_why)


def _add_fleet(commands: _Commands) -> None:
    fleet = commands.add_parser(
        "fleet",
        help="list the instances of a fleet",
        description=(
            "List the instances that have registered in an etcd by --fleet, one a line: id, addresses, and what else is"
            " known of each. Exits with 1 if etcd cannot be asked."
        ),
    )
    fleet.add_argument("url", metavar="URL", help="as that of --fleet: etcd://HOST:PORT/PREFIX/")
    fleet.add_argument("--json", action="store_true", help="print JSON, for scripts")
    fleet.set_defaults(run=_fleet)


def _add_migrate(commands: _Commands) -> None:
    migrate = commands.add_parser(
        "migrate",
        help="write command lines of the pool from a configuration of nutcracker (twemproxy)",
        description=(
            "Read a configuration of nutcracker (twemproxy) and print a command line of proxymux-pool for each of its"
            " pools, with comments on what is otherwise. Exits with 1 if nutcracker would not accept the file."
        ),
    )
    migrate.add_argument("file", metavar="FILE", help="such as nutcracker.yml")
    migrate.set_defaults(run=_migrate)


def _add_shell(commands: _Commands) -> None:
    completion = commands.add_parser(
        "completion",
        help="print the script by which a shell completes our command lines",
        description=(
            "Print the script by which a shell completes the commands, options and words of proxymux and, but for zsh,"
            " of its services. bash: source <(proxymux completion bash); zsh, after compinit: source <(proxymux"
            " completion zsh); fish: proxymux completion fish | source."
        ),
    )
    completion.add_argument("shell", metavar="SHELL", choices=("bash", "fish", "zsh"), help="bash, fish or zsh")
    completion.set_defaults(run=_completion)
    man = commands.add_parser(
        "man",
        help="print a manual page",
        description="Print a manual page for man: proxymux man proxymux-pool | man -l -",
    )
    man.add_argument(
        "page",
        metavar="PAGE",
        choices=("proxymux", "proxymux-router", "proxymux-gateway", "proxymux-pool"),
        help="proxymux, proxymux-router, proxymux-gateway or proxymux-pool",
    )
    man.set_defaults(run=_man)


def _draft(function: str, options: argparse.Namespace) -> None:
    from proxymux.cli import drafts  # here for start-up time

    try:
        lines = getattr(drafts, function)(options.name)
    except drafts.NotWritten as error:
        print(f"proxymux {function.replace('_', ' ')}: {printable(str(error))}", file=sys.stderr)
        raise SystemExit(1) from None
    print(*lines, sep="\n")


def _connect(options: argparse.Namespace) -> None:
    from proxymux.cli.connect import connect  # here for the start-up time of the other commands

    status = connect(options.gateway, options.token)
    sys.stdout.flush()
    os._exit(status)  # not sys.exit(): a thread may be waiting for standard input


def _token(action: str, options: argparse.Namespace) -> None:
    from proxymux.cli import token  # here for start-up time: it imports OpenSSL

    raise SystemExit(getattr(token, action)(options))


def _top(options: argparse.Namespace) -> None:
    if options.json and not options.once:
        make_parser().error("--json: give --once with it")
    from proxymux.cli.top import top  # here for start-up time

    raise SystemExit(
        top(options.url, options.token_file, options.interval, options.sessions, options.once, options.json)
    )


def _why(options: argparse.Namespace) -> None:
    from proxymux.cli.why import why  # here for start-up time

    raise SystemExit(why(options.url, options.session, options.json))


def _fleet(options: argparse.Namespace) -> None:
    from proxymux.cli.fleet import fleet  # here for start-up time

    fleet(options.url, options.json)


def _migrate(options: argparse.Namespace) -> None:
    from proxymux.cli.migrate import migrate  # here for start-up time

    raise SystemExit(migrate(options.file, sys.stdout, sys.stderr))


def _completion(options: argparse.Namespace) -> None:
    from proxymux.cli.shell import completion  # here for start-up time

    print(completion(options.shell), end="")


def _man(options: argparse.Namespace) -> None:
    from proxymux.cli.shell import page  # here for start-up time

    print(page(options.page), end="")
