"""The options that every kind of run has, and what their words mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from producer.commands import broker_from_environment
from producer.errors import UsageError
from producer.lanes import MAX_PREFETCH, MAX_SLOTS, parse_lanes, whole_number
from producer.settings import ARRIVALS, fraction, parse_duration_s

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

OPTIONS = (
    click.option(
        "--lane",
        "lanes",
        multiple=True,
        metavar="SPEC",
        help="A lane as POOL[:SLOTS][:KEY=VALUE]…; repeatable. Keys: prefetch, acks, python. [default: both pools]",
    ),
    click.option(
        "--concurrency", default="8", show_default=True, metavar="N", help="Slots of each lane that names none."
    ),
    click.option(
        "--job-duration",
        default=None,
        metavar="TIME",
        help="How long a job should hold a slot. [default: 20ms, mixed 40ms, io and sleep 50ms]",
    ),
    click.option(
        "--cpu-share", default=None, metavar="PART", help="Part of a mixed job that computes. [default: 0.25]"
    ),
    click.option(
        "--arrivals", default="poisson", show_default=True, type=click.Choice(ARRIVALS), help="How jobs arrive."
    ),
    click.option("--prefetch", default="4", show_default=True, metavar="N", help="Celery's prefetch multiplier."),
    click.option(
        "--acks",
        default="early",
        show_default=True,
        type=click.Choice(["early", "late"]),
        help="When a job is acknowledged.",
    ),
    click.option("--seed", default="1", show_default=True, metavar="N", help="Of arrivals and draws."),
    click.option("--publishers", default="1", show_default=True, metavar="N", help="Publisher processes."),
    click.option(
        "--broker", default=None, metavar="URL", help="A broker that runs already. [default: an embedded one]"
    ),
    click.option(
        "--start-nodes",
        is_flag=True,
        help="With --broker: start nodes of our own on it. [default: race those that run there already]",
    ),
    click.option(
        "--expect-nodes", default=None, metavar="N", help="With --broker: wait for so many nodes. [default: 2]"
    ),
    click.option(
        "--queue",
        "queues",
        multiple=True,
        metavar="NAME",
        help="With --broker: a queue that nodes there consume, as a lane; repeatable. [default: a lane a pool]",
    ),
    click.option("--ready-within", default="30s", show_default=True, metavar="TIME", help="Give a node up after this."),
    click.option(
        "--out",
        default="runs",
        show_default=True,
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Where the run directory goes.",
    ),
    click.option(
        "--like",
        default=None,
        type=click.Path(path_type=Path),
        metavar="RUN",
        help="Give jobs the sizes they had in an earlier run, so that the two can be compared.",
    ),
)


OUTPUT_OPTIONS = (
    click.option("--json", "as_json", is_flag=True, help="Print the summary alone, as JSON."),
    click.option(
        "--junit",
        default=None,
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Also write JUnit XML: a test for the run being valid, and one for each threshold on each lane.",
    ),
)


def output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command that can tell what it found in these ways, too."""
    for option in reversed(OUTPUT_OPTIONS):
        command = option(command)
    return command


def fleet_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command that has them, too."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


def fleet_settings(
    *,
    lanes: Sequence[str],
    concurrency: str,
    job_duration: str | None,
    cpu_share: str | None,
    arrivals: str,
    prefetch: str,
    acks: str,
    seed: str,
    publishers: str,
    broker: str | None,
    start_nodes: bool,
    expect_nodes: str | None,
    queues: Sequence[str],
    ready_within: str,
    out: Path,
    like: Path | None,
    least_lanes: int = 2,
) -> dict[str, Any]:
    """
    Fields of `FleetSettings` from the words of the command line; None for those that were not given.

    Raises:
        UsageError: If a word is wrong; says which are right.
    """
    # A container of the stack knows its broker from the environment.
    broker = broker_from_environment() if broker is None else broker
    if broker and not start_nodes and lanes:
        raise UsageError(
            "--lane: with --broker the nodes that run there are raced as they are. Start them as you want them, or let "
            "the race do it: --start-nodes."
        )
    if queues and (start_nodes or not broker):
        raise UsageError(
            "--queue: only for nodes that run already; name their broker with --broker, without --start-nodes."
        )
    if queues and len(set(queues)) < least_lanes:
        raise UsageError(f"--queue: name {least_lanes} or more, each once; it got {', '.join(queues)}.")
    slots = whole_number(concurrency, "--concurrency", 1, MAX_SLOTS)
    return {
        "lanes": parse_lanes(
            lanes or ("prefork", "threads"),
            slots=slots,
            prefetch=whole_number(prefetch, "--prefetch", 1, MAX_PREFETCH),
            acks=acks,
            least=least_lanes,
        ),
        "job_s": if_given(job_duration, lambda text: parse_duration_s(text, "--job-duration", 0.0001, 60)),
        "cpu_share": if_given(cpu_share, lambda text: fraction(text, "--cpu-share", 0.0, 1.0)),
        "arrivals": arrivals,
        "seed": whole_number(seed, "--seed", 0, 2**53 - 1),
        "publishers": whole_number(publishers, "--publishers", 1, 64),
        "broker_url": if_given(broker, broker_address),
        "start_nodes": start_nodes or not broker,
        "expect_nodes": if_given(
            expect_nodes, lambda text: whole_number(text, "--expect-nodes", 1 if queues else 2, 10_000)
        ),
        "queues": tuple(dict.fromkeys(queues)),
        "ready_s": parse_duration_s(ready_within, "--ready-within", 1, 3600),
        "out": out,
        "sizes": sizes_of(like) if like else None,
    }


def if_given(text: str | None, read: Callable[[str], T]) -> T | None:
    """What an option says; None if it was not given. An empty word is a word, and mostly a wrong one."""
    return None if text is None else read(text)


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
