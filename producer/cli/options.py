"""The options that every kind of run has, and what their words mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from poolrace.credentials import hide_password
from poolrace.ownapp.routing import counterpart
from poolrace.pools import RACED
from producer.errors import UsageError
from producer.plan.lanes import MAX_PREFETCH, MAX_SLOTS, SETTINGS, parse_lanes
from producer.plan.units import fraction, parse_duration_s, whole_number
from producer.plan.workloads import ARRIVALS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from producer.plan.own_app import OwnApp

import os

from poolrace import credentials

T = TypeVar("T")

OPTIONS = (
    click.option(
        "--lane",
        "lanes",
        multiple=True,
        metavar="SPEC",
        help=f"A lane as POOL[:SLOTS][:KEY=VALUE]…; repeatable. Keys: {', '.join(SETTINGS)}. [default: both pools]",
    ),
    click.option(
        "--concurrency",
        default=None,
        metavar="N",
        help="Slots of each lane that names none. [default: 8, or the app's]",
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
    click.option(
        "--prefetch", default=None, metavar="N", help="Celery's prefetch multiplier. [default: 4, or the app's]"
    ),
    click.option(
        "--acks",
        default=None,
        type=click.Choice(["early", "late"]),
        help="When a job is acknowledged. [default: early, or as the app says]",
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


APP_OPTIONS = (
    click.option(
        "--app", default=None, metavar="APP", help="Your own Celery app, as celery -A takes it; its tasks are raced."
    ),
    click.option(
        "--jobs",
        "app_jobs",
        default=None,
        metavar="FILE",
        help="With --app: a JSON object a line, or a function that makes jobs, MODULE:FUNCTION.",
    ),
    click.option(
        "--task", "tasks", multiple=True, metavar="NAME", help="With --app: only jobs of this task; repeatable."
    ),
    click.option(
        "--workdir",
        default=".",
        show_default=True,
        type=click.Path(path_type=Path, file_okay=False, exists=True),
        metavar="DIR",
        help="With --app: where it is imported and run.",
    ),
    click.option(
        "--job-timeout",
        default="60s",
        show_default=True,
        metavar="TIME",
        help="With --app: give a trial up when no job has ended for so long.",
    ),
    click.option(
        "--keep-backend", is_flag=True, help="With --app: let results go where its settings say, not to our broker."
    ),
    click.option(
        "--yes-live", is_flag=True, help="With --app and --broker: yes, that broker, on queues of the run's own."
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


LIVE_OPTION = click.option(
    "--live/--no-live",
    default=None,
    help="Lanes side by side with a sparkline of their rounds, or plain lines. [default: a bar on a terminal]",
)
"""Of commands that race."""


def output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command that can tell what it found in these ways, too."""
    for option in reversed(OUTPUT_OPTIONS):
        command = option(command)
    return command


def fleet_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command that has them, too."""
    for option in reversed((*APP_OPTIONS, *OPTIONS)):
        command = option(command)
    return command


def fleet_settings(
    *,
    lanes: Sequence[str],
    concurrency: str | None,
    job_duration: str | None,
    cpu_share: str | None,
    arrivals: str,
    prefetch: str | None,
    acks: str | None,
    seed: str,
    publishers: str,
    broker: str | None,
    start_nodes: bool,
    expect_nodes: str | None,
    queues: Sequence[str],
    ready_within: str,
    out: Path,
    like: Path | None,
    app: str | None = None,
    app_jobs: str | None = None,
    tasks: Sequence[str] = (),
    workdir: Path = Path(),
    job_timeout: str = "60s",
    keep_backend: bool = False,
    yes_live: bool = False,
    replay: bool = False,
    least_lanes: int = 2,
) -> dict[str, Any]:
    """
    Fields of `FleetSettings` from the words of the command line; None for those that were not given.

    Raises:
        UsageError: If a word is wrong; says which are right.
    """
    # A container of the stack knows its broker from the environment.
    broker = broker_from_environment() if broker is None else broker
    if app is not None:
        if queues:
            raise UsageError("--queue: not with --app, which runs on nodes and queues of its own.")
        live_broker(broker, yes_live=yes_live)
        start_nodes = True
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
    if app is None and (app_jobs or tasks or keep_backend or yes_live):
        raise UsageError("--jobs, --task, --keep-backend and --yes-live are for your own app: name it with --app.")
    chosen: dict[str, Any] = {
        "slots": if_given(concurrency, lambda text: whole_number(text, "--concurrency", 1, MAX_SLOTS)),
        "prefetch": if_given(prefetch, lambda text: whole_number(text, "--prefetch", 1, MAX_PREFETCH)),
        "acks": acks,
    }
    specs = lanes or RACED
    ready_s = parse_duration_s(ready_within, "--ready-within", 1, 3600)
    own_app = None
    if app is not None:
        own_app = _adopt(
            app,
            specs,
            broker,
            folder=workdir.resolve(),
            jobs=app_jobs,
            tasks=tasks,
            seed=whole_number(seed, "--seed", 0, 2**53 - 1),
            timeout_s=parse_duration_s(job_timeout, "--job-timeout", 1, 3600),
            keep_backend=keep_backend,
            patience_s=ready_s,
            replay=replay,
        )
        chosen = {**as_app_says(own_app.facts), **{name: value for name, value in chosen.items() if value is not None}}
    defaults = {"slots": 8, "prefetch": 4, "acks": "early"}
    chosen = {**defaults, **{name: value for name, value in chosen.items() if value is not None}}
    return {
        "own_app": own_app,
        "lanes": parse_lanes(specs, **chosen, least=least_lanes),
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
        "ready_s": ready_s,
        "out": out,
        "sizes": sizes_of(like) if like else None,
    }


def _adopt(app: str, specs: Sequence[str], live: str | None, **words: Any) -> OwnApp:
    """Ask an app what it is, and say what there is to mind of it before anything runs."""
    from producer.ownapp.caveats import caveats
    from producer.ownapp.introspect import ask

    lanes = parse_lanes(specs, slots=1, prefetch=1, acks="early", least=1)
    own_app = ask(app, python=lanes[0].python, environment=user_environment(), **words)
    lanes = parse_lanes(specs, slots=1, prefetch=1, acks="early", transport=own_app.facts["transport"], least=1)
    for line in caveats(own_app.facts, [lane.pool for lane in lanes]):
        click.echo(f"Mind: {line}", err=True)
    if live:
        names = [counterpart(f"poolrace.<run id>.{lane.key}", own) for lane in lanes for own in ("", *own_app.queues)]
        click.echo(f"On {hide_password(live)}: {', '.join(names)}, poolrace.records.<run id>; no others.", err=True)
    return own_app


def user_environment() -> Mapping[str, str]:
    """Return the environment that the command was called with; outside a command, that of this process."""
    context = click.get_current_context(silent=True)
    return os.environ if context is None or context.obj is None else context.obj


def shares_of(mix: str | None, own_app: OwnApp | None, default: str) -> dict[str, float]:
    """
    Shares of workloads: as `--mix` says, or the app's jobs, or the default.

    Raises:
        UsageError: If `--mix` names what there is not.
    """
    from producer.plan.mix import parse_mix

    if own_app is None:
        return parse_mix(default if mix is None else mix, "--mix")
    return own_app.shares if mix is None else parse_mix(mix, "--mix", own_app.tasks)


def as_app_says(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What a user's app says of itself that a lane can have, too."""
    return {
        "slots": facts["concurrency"],
        "prefetch": facts["prefetch"] or None,  # 0: no limit, which no lane can have
        "acks": "late" if facts["acks_late"] else "early",
        "transport": facts["transport"],
    }


def live_broker(broker: str | None, *, yes_live: bool) -> None:
    """
    See that a user's app is run on a broker of theirs only if they say so twice.

    Raises:
        UsageError: If they did not; says which queues it would use.
    """
    if broker and not yes_live:
        raise UsageError(
            f"--broker {hide_password(broker)}: --app would run on this broker, on queues of the run's own named "
            "poolrace.<run id>.<lane> and poolrace.records.<run id>, which are removed at the end; no queue of the app "
            "is consumed. What its tasks do is done for real. If that is what you want, add --yes-live; without "
            "--broker it runs on an embedded one."
        )


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
    from producer.rundir.reader import read_run

    return dict(read_run(run).manifest.get("sizes", {}))


def broker_from_environment() -> str | None:
    """
    The broker that a container of the stack is told of, password and all; None anywhere else.

    Raises:
        UsageError: If the environment names a file that cannot be used.
    """
    try:
        return credentials.broker_url(os.environ)
    except ValueError as error:
        raise UsageError(str(error)) from error
