"""The command line: `poolrace`. Options become settings here; errors become messages and exit codes here."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from poolrace import __version__
from producer import interrupts
from producer.commands import broker_from_environment, tell, tells_errors
from producer.errors import InvalidRunError, PoolraceError, UsageError
from producer.interrupts import held
from producer.lanes import MAX_PREFETCH, MAX_SLOTS, parse_lanes, whole_number
from producer.live_cli import live
from producer.secrets_cli import flower, secrets
from producer.settings import ARRIVALS, WORKLOADS, RaceSettings, parse_duration_s

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

T = TypeVar("T")

EXIT_CODES = """\b
Exit codes:
  0    good
  2    the command line, or a file it names, is not what the command needs
  3    the broker or a node cannot be started, reached or kept alive
  4    the run is invalid: the generator was late, or jobs are missing
  130  Ctrl-C; what was measured until then is kept"""

RACE_EXAMPLES = f"""\b
Examples:
  poolrace race
  poolrace race --quick
  poolrace race --workload cpu --workload io --concurrency 4
  poolrace race --lane prefork:2 --lane threads:32 --workload io
  poolrace race --lane threads:8 --lane threads:8:python=/opt/py314t/bin/python3.14t
  poolrace race --lane threads:8 --lane threads:8        (A/A: how much is noise?)
  poolrace race --broker redis://:PASSWORD@127.0.0.1:6379/0 --expect-nodes 4
  poolrace race --json > verdict.json

{EXIT_CODES}"""

REPORT_EXAMPLES = """\b
Examples:
  poolrace report runs/2026-01-31T12-00-00Z-race-1a2b3c
  poolrace report --json runs/2026-01-31T12-00-00Z-race-1a2b3c
  poolrace report --markdown runs/2026-01-31T12-00-00Z-race-1a2b3c > report.md"""

COMPARE_EXAMPLES = """\b
Examples:
  poolrace race --out before
  poolrace race --out after --like before/2026-01-31T12-00-00Z-race-1a2b3c
  poolrace compare before/2026-01-31T12-00-00Z-race-1a2b3c after/2026-02-01T12-00-00Z-race-4d5e6f"""

DOCTOR_EXAMPLES = """\b
Examples:
  poolrace doctor
  poolrace doctor --broker redis://:PASSWORD@127.0.0.1:6379/0
  poolrace doctor --json"""


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="\b\nExamples:\n  poolrace doctor\n  poolrace race\n  poolrace report runs/2026-01-31T12-00-00Z-race-1a2b3c",
)
@click.version_option(__version__, prog_name="poolrace")
def main() -> None:
    """Race Celery's worker pools on the same jobs, and say which to use, with evidence."""
    # These lead Celery to somebody else's broker whatever the code says; a race uses its own, or the one named.
    for name in [name for name in os.environ if name.startswith("CELERY_")]:
        del os.environ[name]
    interrupts.install()


main.add_command(live)
main.add_command(secrets)
main.add_command(flower)


@main.command(epilog=RACE_EXAMPLES)
@click.option("--lane", "lanes", multiple=True, metavar="SPEC", help="A lane as POOL[:SLOTS][:KEY=VALUE]…; give two or "
              "more. Keys: prefetch, acks, python. [default: prefork and threads]")  # fmt: skip
@click.option("--workload", "workloads", multiple=True, metavar="NAME",
              help=f"What jobs do; repeatable: {', '.join(WORKLOADS)}. [default: cpu, native, io, mixed]")  # fmt: skip
@click.option("--concurrency", default="8", show_default=True, metavar="N", help="Slots of each lane that names none.")
@click.option("--pairs", default=None, metavar="N", help="Trials of each kind on each lane. [default: 5]")
@click.option("--duration", default=None, metavar="TIME", help="How long a trial should take. [default: 1s]")
@click.option("--job-duration", default=None, metavar="TIME",
              help="How long a job should hold a slot. [default: 20ms, mixed 40ms, io and sleep 50ms]")  # fmt: skip
@click.option("--cpu-share", default=None, metavar="PART", help="Part of a mixed job that computes. [default: 0.25]")
@click.option("--utilisation", default="0.7", show_default=True, metavar="PART",
              help="Held arrival rate, as a part of the slower lane's capacity.")  # fmt: skip
@click.option("--arrivals", default="poisson", show_default=True, type=click.Choice(ARRIVALS), help="How jobs arrive.")
@click.option("--prefetch", default="4", show_default=True, metavar="N", help="Celery's prefetch multiplier.")
@click.option("--acks", default="early", show_default=True, type=click.Choice(["early", "late"]),
              help="When a job is acknowledged.")  # fmt: skip
@click.option("--margin", default="0.05", show_default=True, metavar="PART",
              help="Lanes closer than this show no difference.")  # fmt: skip
@click.option("--seed", default="1", show_default=True, metavar="N", help="Of the arrivals.")
@click.option("--publishers", default="1", show_default=True, metavar="N", help="Publisher processes.")
@click.option("--broker", default=None, metavar="URL", help="A broker that runs already. [default: an embedded one]")
@click.option("--start-nodes", is_flag=True, help="With --broker: start nodes of our own on it. [default: race those "
              "that run there already]")  # fmt: skip
@click.option("--expect-nodes", default=None, metavar="N", help="With --broker: wait for so many nodes. [default: 2]")
@click.option("--ready-within", default="30s", show_default=True, metavar="TIME", help="Give a node up after this.")
@click.option("--out", default="runs", show_default=True, type=click.Path(path_type=Path), metavar="DIR",
              help="Where the run directory goes.")  # fmt: skip
@click.option("--like", default=None, type=click.Path(path_type=Path), metavar="RUN",
              help="Give jobs the sizes they had in an earlier run, so that the two can be compared.")  # fmt: skip
@click.option("--quick", is_flag=True, help="Under 30 s: cpu and io only, 3 pairs, shorter trials.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary alone, as JSON.")
@tells_errors
def race(*, as_json: bool, quick: bool, **options: Any) -> int:
    """
    Race pools on the same jobs, on this machine, and print the verdict.

    Starts a broker and one node a lane, lets trials alternate between the lanes, and ends all it started. Writes a
    run directory from which `poolrace report` recomputes everything. About 110 s on two cores.
    """
    # A container of the stack knows its broker from the environment.
    if options["broker"] is None:
        options["broker"] = broker_from_environment()
    settings = race_settings(quick=quick, **options)
    from producer.race import run_race
    from producer.report.progress import progress_for

    with progress_for(quiet=as_json) as progress:
        path, error = run_race(settings, progress)
    return _finish(path, error, as_json=as_json)


def race_settings(
    *,
    lanes: Sequence[str],
    workloads: Sequence[str],
    concurrency: str,
    pairs: str | None,
    duration: str | None,
    job_duration: str | None,
    cpu_share: str | None,
    utilisation: str,
    arrivals: str,
    prefetch: str,
    acks: str,
    margin: str,
    seed: str,
    publishers: str,
    broker: str | None,
    start_nodes: bool,
    expect_nodes: str | None,
    ready_within: str,
    out: Path,
    like: Path | None,
    quick: bool,
) -> RaceSettings:
    """
    Settings from the words of the command line.

    Raises:
        UsageError: If a word is wrong; says which are right.
    """
    if broker and not start_nodes and lanes:
        raise UsageError(
            "--lane: with --broker the nodes that run there are raced as they are. Start them as you want them, or let "
            "the race do it: --start-nodes."
        )
    slots = whole_number(concurrency, "--concurrency", 1, MAX_SLOTS)
    parsed = parse_lanes(
        lanes or ("prefork", "threads"),
        slots=slots,
        prefetch=whole_number(prefetch, "--prefetch", 1, MAX_PREFETCH),
        acks=acks,
    )
    base = RaceSettings(lanes=parsed)
    if quick:
        base = base.quickened()
    chosen: dict[str, Any] = {
        "workloads": tuple(workloads) or None,
        "pairs": if_given(pairs, lambda text: whole_number(text, "--pairs", 1, 1000)),
        "trial_s": if_given(duration, lambda text: parse_duration_s(text, "--duration", 0.1, 3600)),
        "job_s": if_given(job_duration, lambda text: parse_duration_s(text, "--job-duration", 0.0001, 60)),
        "cpu_share": if_given(cpu_share, lambda text: fraction(text, "--cpu-share", 0.0, 1.0)),
        "utilisation": fraction(utilisation, "--utilisation", 0.05, 0.95),
        "arrivals": arrivals,
        "margin": fraction(margin, "--margin", 0.001, 0.5),
        "seed": whole_number(seed, "--seed", 0, 2**53 - 1),
        "publishers": whole_number(publishers, "--publishers", 1, 64),
        "broker_url": if_given(broker, broker_address),
        "start_nodes": start_nodes or not broker,
        "expect_nodes": if_given(expect_nodes, lambda text: whole_number(text, "--expect-nodes", 2, 10_000)),
        "ready_s": parse_duration_s(ready_within, "--ready-within", 1, 3600),
        "out": out,
        "sizes": sizes_of(like) if like else None,
    }
    return base.replaced({name: value for name, value in chosen.items() if value is not None})


def if_given(text: str | None, read: Callable[[str], T]) -> T | None:
    """What an option says; None if it was not given. An empty word is a word, and mostly a wrong one."""
    return None if text is None else read(text)


def fraction(text: str, name: str, low: float, high: float) -> float:
    """
    A number within bounds.

    Raises:
        UsageError: With the name, the value and the bounds.
    """
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise UsageError(f"{name} {text!r}: must be a number from {low:g} to {high:g}, e.g. {max(low, 0.25):g}.")
    return value


def broker_address(url: str) -> str:
    """
    A broker's URL.

    Raises:
        UsageError: If it names no scheme; kombu would take the word for a host name.
    """
    if "://" not in url:
        raise UsageError("--broker: not a URL. Give one such as redis://:PASSWORD@127.0.0.1:6379/0.")
    return url


def sizes_of(run: Path) -> dict[str, Any]:
    """The sizes that jobs had in an earlier run."""
    from producer.rundir import read_run

    return dict(read_run(run).manifest.get("sizes", {}))


def _finish(path: Path, error: PoolraceError | None, *, as_json: bool) -> int:
    """Report a run that has ended, in order or not; returns the exit code."""
    with held():  # a race that is through has its summary, whatever becomes of the printing
        from producer.summary import summarise

        summary = summarise(path)
        code = _write(path, summary)
    if error is not None and not summary["workloads"]:
        click.echo(f"Nothing was measured. Logs are in {path / 'logs'}.", err=True)
        return tell(error)
    _print(summary, as_json=as_json)
    if error is not None:
        click.echo(f"What was measured until then is kept, marked {summary['status']}: {path}", err=True)
        return tell(error)
    return code


def _write(path: Path, summary: Mapping[str, Any]) -> int:
    """Write what the run found beside its records; returns the exit code. Where there is no room it is still told."""
    from producer.summary import write_summary

    try:
        write_summary(path, summary)
    except PoolraceError as error:
        return tell(error)
    return 0 if summary["valid"] else InvalidRunError.exit_code


def _print(summary: Mapping[str, Any], *, as_json: bool) -> None:
    from producer.report.terminal import show

    if as_json:
        click.echo(json.dumps(summary, indent=2, allow_nan=False))
    else:
        show(summary, sys.stdout)


@main.command(epilog=REPORT_EXAMPLES)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the summary alone, as JSON.")
@click.option("--markdown", is_flag=True, help="Print the report as Markdown.")
@tells_errors
def report(run: Path, *, as_json: bool, markdown: bool) -> int:
    """Recompute a run's figures and verdicts from its records, and print them."""
    from producer.report.markdown import as_markdown
    from producer.summary import summarise

    summary = summarise(run)
    code = _write(run, summary)
    if markdown and not as_json:
        click.echo(as_markdown(summary), nl=False)
    else:
        _print(summary, as_json=as_json)
    return code


@main.command(epilog=COMPARE_EXAMPLES)
@click.argument("first", type=click.Path(path_type=Path))
@click.argument("second", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
@tells_errors
def compare(first: Path, second: Path, *, as_json: bool) -> int:
    """
    Compare two runs that differ in one thing.

    Runs that differ in more are refused, with what they differ in: nobody could say which difference did it.
    """
    from producer.compare import compare_runs
    from producer.report.terminal import show_comparison

    comparison = compare_runs(first, second)
    if as_json:
        click.echo(json.dumps(comparison, indent=2, allow_nan=False))
    else:
        show_comparison(comparison, sys.stdout)
    return 0


@main.command(epilog=DOCTOR_EXAMPLES)
@click.option("--broker", default=None, metavar="URL", help="Also see whether this broker can be used.")
@click.option("--out", default="runs", show_default=True, type=click.Path(path_type=Path), metavar="DIR",
              help="Where run directories would go.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@tells_errors
def doctor(broker: str | None, out: Path, *, as_json: bool) -> int:
    """Say what this machine offers for a race and what is missing, with the remedy."""
    from producer.doctor import doctor_exit, examine, render, to_dict

    findings = examine(out, broker)
    if as_json:
        click.echo(json.dumps(to_dict(findings), indent=2))
    else:
        click.echo(render(findings))
    return doctor_exit(findings)
