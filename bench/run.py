"""Measure proxymux beside HAProxy and nginx, all on the loopback interface of this machine.

Exits with 0 whatever the figures are: they are for readers, no build fails for them. Exits with 1 if something that is
installed could not be run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import load, measures, report
from bench.builds import Build, add_options, chosen, found
from bench.machine import Machine
from bench.options import add_rounds, settings
from bench.peers import UNUSUAL, all_peers
from bench.processes import BrokenRun, Unavailable, exit_at_term, raise_descriptor_limit
from bench.rounds import Run, numbers
from bench.stage import Stage


def _options() -> tuple[argparse.Namespace, list[Build]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [measure.name for measure in measures.ALL]
    usual = [measure.name for measure in measures.USUAL]
    add_rounds(parser, rounds=7, seconds=1.2)
    parser.add_argument(
        "--only",
        nargs="+",
        choices=names,
        default=usual,
        metavar="NAME",
        help=f"{', '.join(names)} [all but the last]",
    )
    parser.add_argument(
        "--peers", nargs="+", metavar="NAME", help=f"[default: all but {', '.join(UNUSUAL)}; a wrong name lists them]"
    )
    parser.add_argument("--short", action="store_true", help="one short round that only shows that everything works")
    add_options(parser)
    parser.add_argument("--beside", type=Path, metavar="TWISTD", help="an earlier build, as a peer named -beside")
    parser.add_argument("--plot", type=Path, metavar="FILE.json", help="only draw the figure of an earlier run again")
    options = parser.parse_args()
    if options.plot:
        return options, []
    builds = chosen(parser, options)
    if options.beside:
        builds.append(found(parser, "beside", options.beside.absolute(), beside=True))
    known = all_peers(builds)
    options.peers = options.peers or [name for name, peer in known.items() if peer.kind not in UNUSUAL]
    for name in options.peers:
        if name not in known:
            parser.error(f"--peers: there is no {name}; there are {', '.join(known)}")
    return options, builds


def _draw(file: Path) -> None:
    try:
        from bench import plot  # here, as matplotlib is optional
    except ImportError:
        print("no plot: matplotlib is not installed", file=sys.stderr)
        return
    print(f"drew {plot.draw(file)}")


def _measure(options: argparse.Namespace, builds: list[Build]) -> int:
    descriptors = raise_descriptor_limit()
    if options.short:
        options.rounds, options.minutes, options.seconds = 1, None, 0.5
    machine = Machine(builds)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        skipped = []
        try:
            generator = load.compile_load(directory)
        except Unavailable as error:
            generator = None
            skipped.append(str(error))
        stage = Stage(
            directory,
            seconds=options.seconds,
            warm_seconds=0.2 if options.short else 0.4,
            load=generator,
            short=options.short,
            descriptors=descriptors,
        )
        run = Run(stage, numbers(options.rounds, options.minutes), skipped)
        run.choose_peers(options.peers, all_peers(builds))
        run.choose_measures(options.only, descriptors)
        try:
            with stage.upstreams():
                run.all_rounds()
        except (Unavailable, BrokenRun) as error:
            run.skip(f"what was still to come: {error}")
            run.broken = isinstance(error, BrokenRun)
    rows = run.rows()
    findings = report.Findings(rows, run.samples, run.facts, run.skipped, run.distributions())
    file = options.out / "latest.json"
    about = machine.describe()
    report.write_json(file, about, settings(options), findings)
    print(f"{report.table(rows)}\n\n{about['words']}\nwrote {file}")
    _draw(file)
    return 1 if run.broken else 0


def main() -> int:
    """Do what the options say, and return the exit status."""
    options, builds = _options()
    if options.plot:
        _draw(options.plot)
        return 0
    exit_at_term()
    try:
        return _measure(options, builds)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
