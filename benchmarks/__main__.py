"""Runs the benchmarks: `python -m benchmarks [NAME]...`. Errors become messages and exit codes here."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click
from msgspec import to_builtins

from benchmarks import (
    adoption,
    analysis,
    arrivals,
    collecting,
    contrast,
    endurance,
    fidelity,
    limits,
    noting,
    planning,
    publishing,
    scaling,
    stamping,
    swarm_planning,
    transport,
)
from benchmarks.figures import Benchmark, Figure
from producer import interrupts
from producer.errors import InterruptedRunError, PoolraceError
from producer.fleet.machine import PACKAGES, describe
from producer.fleet.others import OthersMeter
from producer.report.formats import gibibytes, instant, number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from benchmarks.figures import Result
    from producer.rundir.machine import Machine

BENCHMARKS = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark(name="publishing", asks="How fast does one process send?", measure=publishing.measure, takes_s=60),
        Benchmark(name="stamping", asks="What does stamping cost?", measure=stamping.measure, takes_s=250),
        Benchmark(name="adoption", asks="What does it cost an app?", measure=adoption.measure, takes_s=330),
        Benchmark(name="fidelity", asks="Does what was asked for happen?", measure=fidelity.measure, takes_s=70),
        Benchmark(name="contrast", asks="Does a race see what is known?", measure=contrast.measure, takes_s=75),
        Benchmark(name="arrivals", asks="Are arrivals what they are called?", measure=arrivals.measure, takes_s=5),
        Benchmark(name="limits", asks="Does the search find a known limit?", measure=limits.measure, takes_s=450),
        Benchmark(name="planning", asks="Does a plan foretell more nodes?", measure=planning.measure, takes_s=400),
        Benchmark(name="swarm-planning", asks="And more hosts?", measure=swarm_planning.measure, takes_s=350),
        Benchmark(name="scaling", asks="Do more nodes do as much more?", measure=scaling.measure, takes_s=600),
        Benchmark(name="endurance", asks="Does memory stay as it is?", measure=endurance.measure, takes_s=630),
        Benchmark(name="noting", asks="What does a drill's ledger cost?", measure=noting.measure, takes_s=80),
        Benchmark(name="transport", asks="What does it gain a node?", measure=transport.measure, takes_s=770),
        Benchmark(name="collecting", asks="Does the collector keep up?", measure=collecting.measure, takes_s=75),
        Benchmark(name="analysis", asks="What does a large run cost?", measure=analysis.measure, takes_s=20),
    )
}

EPILOG = """\b
Examples:
  python -m benchmarks
  python -m benchmarks publishing stamping
  python -m benchmarks --json > figures.json

\b
Exit codes:
  0    every promise is kept
  1    one is missed; on a machine that others use too, check their share first
  2    the command line is wrong
  3    the broker or a node cannot be started
  130  Ctrl-C"""


@click.command(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHMARKS)), metavar="[NAME]...")
@click.option("--json", "as_json", is_flag=True, help="Print the figures alone, as JSON.")
def main(names: tuple[str, ...], *, as_json: bool) -> None:
    """
    Measure the promises that Poolrace makes about itself, as ratios side by side.

    The median of the rounds decides. All take about an hour, best on a machine that does nothing else. Names:
    publishing, stamping, adoption, fidelity, contrast, arrivals, limits, planning, swarm-planning, scaling,
    endurance, noting, transport, collecting, analysis; all if none is given.
    """
    interrupts.install()
    try:
        kept = run([BENCHMARKS[name] for name in names or BENCHMARKS], as_json=as_json)
    except KeyboardInterrupt:
        raise SystemExit(_print_error(InterruptedRunError("Interrupted."))) from None
    except PoolraceError as error:
        raise SystemExit(_print_error(error)) from None
    raise SystemExit(0 if kept else 1)


def _print_error(error: PoolraceError) -> int:
    click.echo(f"benchmarks: {error}", err=True)
    return error.exit_code


def run(chosen: Iterable[Benchmark], *, as_json: bool = False) -> bool:
    """Measure, print each figure as soon as it is known, and return whether every promise is kept."""
    show: Callable[[str], None] = (lambda _: None) if as_json else click.echo
    machine, began_at = describe(), time.time()
    show(heading(machine, began_at))
    found: dict[str, dict[str, Any]] = {}
    kept = True
    for benchmark in chosen:
        show(f"\n{benchmark.name}: {benchmark.asks} (about {benchmark.takes_s} s)")
        others = OthersMeter()
        results = benchmark.measure()
        others_cores = others.cores()
        show("\n".join(map(line, results)))
        show(f"           others used {number(others_cores)} of {machine.cores:g} cores meanwhile")
        kept = kept and all(result.kept for result in results)
        found[benchmark.name] = {"others_cores": others_cores, "results": [result.to_dict() for result in results]}
    if as_json:
        head = {"began_at": began_at, "machine": to_builtins(machine), "kept": kept}
        click.echo(json.dumps({**head, "benchmarks": found}, indent=2, allow_nan=False))
    return kept


def heading(machine: Machine, at: float) -> str:
    """Return the heading: the time, the machine and the versions."""
    cores = f"{machine.cores:g} cores of {machine.cpu_model or machine.architecture}"
    memory = f"{gibibytes(machine.memory_total_bytes)} of memory"
    versions = ", ".join(f"{package} {machine.versions[package] or 'absent'}" for package in PACKAGES)
    return (
        f"Poolrace's promises, {instant(at)}\n"
        f"{cores}, {memory}, {machine.system} {machine.kernel}, {machine.implementation} {machine.python}\n{versions}"
    )


def line(result: Result) -> str:
    """Return the lines about one figure."""
    if not isinstance(result, Figure):
        return f"  skipped  {result.name}\n           {result.reason}"
    mark = "      " if result.promise is None else "kept  " if result.kept else "MISSED"
    promise = f", promised {result.promise.text}" if result.promise else ""
    return (
        f"  {mark}   {result.name}: {number(result.median)}{promise}\n"
        f"           {_spread(result.ratios)}; {result.terms}"
    )


def _spread(ratios: Sequence[float]) -> str:
    rounds = "1 round" if len(ratios) == 1 else f"{len(ratios)} rounds"
    return f"{rounds}, {number(min(ratios))} to {number(max(ratios))}"


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
