"""Measure proxymux beside HAProxy and nginx, all on the loopback interface of this machine.

Exits with 0 whatever the figures are: they are for readers, no build fails for them. Exits with 1 if something that is
installed could not be run.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import load, machine, measures, report
from bench.peers import USUAL, all_peers
from bench.processes import BrokenRun, Unavailable, raise_descriptor_limit
from bench.rounds import Run
from bench.stage import Stage

RESULTS: Final = Path(__file__).resolve().with_name("results")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [measure.name for measure in measures.ALL]
    twistd = Path(sys.executable).with_name("twistd")
    parser.add_argument("--rounds", type=int, default=5, help="[default: 5]")
    parser.add_argument(
        "--seconds", type=float, default=3.0, help="of one measurement, whole ones for wrk and iperf3 [default: 3]"
    )
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    parser.add_argument(
        "--peers",
        nargs="+",
        choices=[*all_peers(twistd), "proxymux-beside"],
        default=list(USUAL),
        metavar="NAME",
        help=f"{', '.join(all_peers(twistd))} [default: {', '.join(USUAL)}]",
    )
    parser.add_argument("--short", action="store_true", help="one short round that only shows that everything works")
    parser.add_argument("--out", type=Path, default=RESULTS, help="directory for latest.json and latest.svg")
    parser.add_argument("--twistd", type=Path, default=twistd, help="[default: the one beside this Python]")
    parser.add_argument(
        "--beside", type=Path, metavar="TWISTD", help="measure another build of proxymux too, as proxymux-beside"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE.json", help="only draw the figure of an earlier run again")
    return parser.parse_args()


def _draw(file: Path) -> None:
    try:
        from bench import plot  # here, as matplotlib is optional
    except ImportError:
        print("no plot: matplotlib is not installed", file=sys.stderr)
        return
    print(f"drew {plot.draw(file)}")


def _measure(options: argparse.Namespace) -> int:
    descriptors = raise_descriptor_limit()
    if options.short:
        options.rounds, options.seconds = 1, 0.5
    about = machine.describe(options.twistd)
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
            warm_seconds=0.2 if options.short else 1.0,
            load=generator,
            short=options.short,
        )
        run = Run(stage, options.rounds, skipped)
        run.choose_peers(options.peers, all_peers(options.twistd, options.beside))
        run.choose_measures(options.only, descriptors)
        try:
            with stage.upstreams():
                run.all_rounds()
        except (Unavailable, BrokenRun) as error:
            run.skip(f"what was still to come: {error}")
            run.broken = isinstance(error, BrokenRun)
    rows = run.rows()
    print(report.table(rows))
    file = options.out / "latest.json"
    chosen = {key: value for key, value in vars(options).items() if key not in ("out", "twistd", "beside", "plot")}
    report.write_json(file, about, chosen, run.facts, run.skipped, rows, run.samples)
    print(f"\nwrote {file}")
    _draw(file)
    return 1 if run.broken else 0


def _terminated(number: int, frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(128 + number)


def main() -> int:
    """Do what the options say, and return the exit status."""
    options = _options()
    if options.plot:
        _draw(options.plot)
        return 0
    # A build that is cancelled sends TERM, and what was started must end then too.
    signal.signal(signal.SIGTERM, _terminated)
    try:
        return _measure(options)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
