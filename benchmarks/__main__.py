"""Runs the benchmarks: `python -m benchmarks [NAME]...`. Exits with 1 if a promise is missed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from benchmarks import analysis, contrast, fidelity, publishing, stamping
from benchmarks.figures import Benchmark, Figure
from producer import interrupts
from producer.machine import describe
from producer.report.formats import gibibytes, number

if TYPE_CHECKING:
    from benchmarks.figures import Result

BENCHMARKS = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark(name="publishing", asks="How fast does one process send?", measure=publishing.measure, takes_s=30),
        Benchmark(name="stamping", asks="What does stamping cost?", measure=stamping.measure, takes_s=120),
        Benchmark(name="fidelity", asks="Does the generator do what it is told?", measure=fidelity.measure, takes_s=60),
        Benchmark(name="contrast", asks="Does a race see what is known?", measure=contrast.measure, takes_s=90),
        Benchmark(name="analysis", asks="What do a million records cost?", measure=analysis.measure, takes_s=30),
    )
}

EXAMPLES = (
    "\b\nExamples:\n  python -m benchmarks\n  python -m benchmarks publishing stamping\n  python -m benchmarks --json"
)


@click.command(epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHMARKS)))
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON, at the end.")
def main(names: tuple[str, ...], *, as_json: bool) -> None:
    """Measure what the project promises of itself, as ratios measured side by side. Best on a quiet machine."""
    interrupts.install()
    chosen = [BENCHMARKS[name] for name in names or BENCHMARKS]
    click.echo(heading(), err=as_json)
    found: dict[str, list[Result]] = {}
    for benchmark in chosen:
        click.echo(f"\n{benchmark.name}: {benchmark.asks} (about {benchmark.takes_s} s)", err=as_json)
        found[benchmark.name] = list(benchmark.measure())
        for result in found[benchmark.name]:
            click.echo(line(result), err=as_json)
    if as_json:
        click.echo(json.dumps({name: [result.to_dict() for result in results] for name, results in found.items()}))
    raise SystemExit(0 if all(result.kept for results in found.values() for result in results) else 1)


def heading() -> str:
    """When and on what."""
    machine = describe()
    versions = ", ".join(f"{name} {machine.versions[name]}" for name in ("celery", "kombu", "redis"))
    load = "" if machine.load_average is None else f", load {machine.load_average[0]:.1f}"
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {machine.cores:g} cores, {gibibytes(machine.memory_total_bytes)}, "
        f"{machine.implementation} {machine.python}, {versions}{load}"
    )


def line(result: Result) -> str:
    """One figure for a reader."""
    if not isinstance(result, Figure):
        return f"  skipped  {result.name}: {result.reason}"
    mark = "       " if result.promise is None else "kept   " if result.kept else "MISSED "
    promise = f"; promised {result.promise.words}" if result.promise else ""
    spread = f"{number(min(result.ratios))} to {number(max(result.ratios))}"
    rounds = f"median of {len(result.ratios)} rounds, {spread}"
    terms = f"; {result.terms}" if result.terms else ""
    return f"  {mark}  {result.name} = {number(result.median)} ({rounds}{promise}{terms})"


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
