"""The options that several subcommands have, and the settings that they become."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import to_builtins

from poolrace.credentials import hide_password
from poolrace.ownapp.routing import counterpart
from poolrace.pools import DEFAULT_POOLS
from producer.cli._broker import broker_from_environment
from producer.cli._command import FULL_OPTION, option
from producer.cli._param_types import BROKER, LANE, Count, Duration, OneOf, Parsed, Share
from producer.errors import UsageError
from producer.ownapp import introspect
from producer.ownapp.caveats import caveats
from producer.plan.distance import rtt_s
from producer.plan.lane_settings import LANE_SETTINGS, RTT
from producer.plan.lanes import (
    ACKS,
    DEFAULT_ACKS,
    DEFAULT_CONCURRENCY,
    DEFAULT_PREFETCH,
    MAX_CONCURRENCY,
    MAX_PREFETCH,
    SETTINGS,
    parse_lanes,
)
from producer.plan.mix import parse_mix
from producer.plan.settings import FleetSettings, default_of
from producer.plan.workloads import ARRIVALS
from producer.rundir.reader import read_run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from producer.measure.session import EarlierPart
    from producer.plan.lanes import Lane
    from producer.plan.own_app import OwnApp

FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)
JOB_TIMEOUT_S = 60.0
LEAST_NODES, MAX_NODES = 2, 10_000

OUT = option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    default=default_of(FleetSettings, "out"),
    help="The folder in which the run directory is made.",
)

FLEET_OPTIONS = (
    option(
        "--lane",
        "lanes",
        multiple=True,
        type=LANE,
        help="A lane as POOL[:CONCURRENCY][:KEY=VALUE]…; repeatable. "
        f"Keys: {', '.join(SETTINGS)}. [default: {' and '.join(DEFAULT_POOLS)}]",
    ),
    option(
        "--concurrency",
        type=Count(1, MAX_CONCURRENCY),
        help="Slots of each node, as celery worker -c, on lanes that name none. "
        f"[default: {DEFAULT_CONCURRENCY}, or the app's]",
    ),
    option(
        "--job-duration",
        "job_s",
        type=Duration(0.0001, 60),
        help="How long a job should hold a slot. [default: each workload's own]",
    ),
    option(
        "--cpu-share",
        type=Share(0.0, 1.0),
        help="Part of a mixed job that computes. [default: the workload's own]",
    ),
    option("--arrivals", type=OneOf(ARRIVALS), default=default_of(FleetSettings, "arrivals"), help="How jobs arrive."),
    option(
        "--prefetch",
        type=Count(1, MAX_PREFETCH),
        help=f"Celery's prefetch multiplier. [default: {DEFAULT_PREFETCH}, or the app's]",
    ),
    option(
        "--acks",
        type=OneOf(ACKS),
        help=f"When a job is acknowledged. [default: {DEFAULT_ACKS}, or the app's]",
    ),
    option(
        "--rtt",
        metavar="TIME",
        type=Parsed("time", LANE_SETTINGS[RTT].read),
        help="Put this round trip between nodes and broker, on lanes that name none. [default: none]",
    ),
    option(
        "--seed",
        type=Count(0, 2**53 - 1),
        default=default_of(FleetSettings, "seed"),
        help="Seed of arrivals and draws.",
    ),
    option(
        "--publishers",
        type=Count(1, 64),
        default=default_of(FleetSettings, "publishers"),
        help="Processes that send jobs.",
    ),
    option(
        "--expect-publishers",
        type=Count(1, 64),
        help="With --broker: let N publishers of other hosts send, each `poolrace publisher`. [default: this one's]",
    ),
    option("--broker", "broker_url", type=BROKER, help="A broker that runs already. [default: an embedded one]"),
    option(
        "--start-nodes",
        is_flag=True,
        help="With --broker: start nodes on it. [default: race the nodes that run there already]",
    ),
    option(
        "--expect-nodes",
        type=Count(1, MAX_NODES),
        help=f"With --broker: wait until N nodes answer. [default: {LEAST_NODES}]",
    ),
    option(
        "--queue",
        "queues",
        multiple=True,
        metavar="NAME",
        help="With --broker: a queue that nodes there consume, as a lane; repeatable. [default: a lane a pool]",
    ),
    option(
        "--ready-within",
        "ready_s",
        type=Duration(1, 3600),
        default=default_of(FleetSettings, "ready_s"),
        help="Give up if a node is not ready after this.",
    ),
    OUT,
    option(
        "--like",
        type=click.Path(path_type=Path),
        metavar="RUN",
        help="Give jobs the sizes that they had in an earlier run, so that the two can be compared.",
    ),
)

APP_OPTIONS = (
    option("--app", metavar="APP", help="Your own Celery app, as celery -A takes it; its tasks are raced."),
    option(
        "--jobs",
        "app_jobs",
        metavar="FILE",
        help="With --app: a file with a JSON object a line, or a function that makes jobs, MODULE:FUNCTION.",
    ),
    option("--task", "tasks", multiple=True, metavar="NAME", help="With --app: only jobs of this task; repeatable."),
    option("--workdir", type=FOLDER, metavar="DIR", default=".", help="With --app: where it is imported and run."),
    option(
        "--job-timeout",
        "job_timeout_s",
        type=Duration(1, 3600),
        default=JOB_TIMEOUT_S,
        help="With --app: give a trial up when no job has ended for this long.",
    ),
    option(
        "--keep-backend",
        is_flag=True,
        help="With --app: leave results to the backend of its settings.",
    ),
    option("--yes-live", is_flag=True, help="With --app and --broker: yes, that broker, on queues of the run's own."),
)

OUTPUT_OPTIONS = (
    FULL_OPTION,
    option("--json", "as_json", is_flag=True, help="Print the summary alone, as JSON."),
    option(
        "--junit",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Also write JUnit XML: a test for the run being valid, and one for each threshold on each lane.",
    ),
)

LIVE_OPTION = option(
    "--live/--no-live",
    default=None,
    help="Lanes side by side with a sparkline of their rounds, or plain lines. [default: a bar on a terminal]",
)
"""The option of commands that race."""


def output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options for what it prints and writes."""
    for each in reversed(OUTPUT_OPTIONS):
        command = each(command)
    return command


def fleet_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of every kind of run."""
    for each in reversed((*APP_OPTIONS, *FLEET_OPTIONS)):
        command = each(command)
    return command


def run(
    settings: FleetSettings,
    *,
    as_json: bool,
    full: bool,
    junit: Path | None,
    live: bool | None = None,
    before: EarlierPart | None = None,
) -> int:
    """Measure a run, report it, and return the exit code."""
    from producer.cli._run import run_and_report  # takes a while to import; a wrong option is reported without it

    return run_and_report(settings, as_json=as_json, full=full, junit=junit, live=live, before=before)


def fleet_settings(options: Mapping[str, Any], *, least_lanes: int = 2, replay: bool = False) -> dict[str, Any]:
    """
    Return the fields of `FleetSettings` that the options of a run set.

    Args:
        options: The values of `fleet_options`, by their names in the code.
        least_lanes: The fewest lanes that the run can have.
        replay: The app's jobs are a recording, to be sent as they came.

    Raises:
        UsageError: If two options contradict each other.
    """
    broker_url = options["broker_url"] or broker_from_environment()
    start_nodes = bool(options["start_nodes"] or options["app"] or not broker_url)
    _check_app(options, broker_url)
    _check_nodes(options, start_nodes=start_nodes, least_lanes=least_lanes)
    own_app = _ask_app(options, broker_url, replay=replay) if options["app"] else None
    same = (
        "job_s",
        "cpu_share",
        "arrivals",
        "seed",
        "publishers",
        "expect_publishers",
        "expect_nodes",
        "ready_s",
        "out",
    )
    return {
        **{name: options[name] for name in same},
        "own_app": own_app,
        "lanes": _lanes(options, own_app, least=least_lanes),
        "broker_url": broker_url,
        "start_nodes": start_nodes,
        "queues": tuple(dict.fromkeys(options["queues"])),
        "sizes": sizes_of(options["like"]) if options["like"] else {},
    }


def _check_app(options: Mapping[str, Any], broker_url: str | None) -> None:
    if not options["app"]:
        if options["app_jobs"] or options["tasks"] or options["keep_backend"] or options["yes_live"]:
            raise UsageError("--jobs, --task, --keep-backend and --yes-live are for your own app: name it with --app.")
        return
    if options["queues"]:
        raise UsageError("--queue: not with --app, which runs on nodes and queues of its own.")
    live_broker(broker_url, yes_live=options["yes_live"])


def _check_nodes(options: Mapping[str, Any], *, start_nodes: bool, least_lanes: int) -> None:
    queues, expected = options["queues"], options["expect_nodes"]
    if options["lanes"] and not start_nodes:
        raise UsageError(
            "--lane: with --broker the nodes that run there are raced as they are. Start them as you want them, or let "
            "the race do it: --start-nodes."
        )
    if options["rtt"] is not None and not start_nodes:
        raise UsageError(
            "--rtt: with --broker the nodes that run there are as far from it as they are. Let the run start nodes of "
            "its own: --start-nodes."
        )
    if options["expect_publishers"] is not None and start_nodes:
        raise UsageError(
            "--expect-publishers: only with nodes that run already; name their broker with --broker, without "
            "--start-nodes."
        )
    if queues and start_nodes:
        raise UsageError(
            "--queue: only for nodes that run already; name their broker with --broker, without --start-nodes."
        )
    if queues and len(set(queues)) < least_lanes:
        raise UsageError(f"--queue: name {least_lanes} or more, each once; it got {', '.join(queues)}.")
    if expected is not None and expected < LEAST_NODES and not queues:
        raise UsageError(
            f"--expect-nodes {str(expected)!r}: must be a whole number from {LEAST_NODES} to {MAX_NODES}, unless "
            "queues are named with --queue."
        )


def _specs(options: Mapping[str, Any]) -> Sequence[str]:
    return options["lanes"] or DEFAULT_POOLS


def _lanes(options: Mapping[str, Any], own_app: OwnApp | None, *, least: int) -> tuple[Lane, ...]:
    """Return the lanes, at the distance that was asked for."""
    rtt, lanes = options["rtt"], parse_lanes(_specs(options), **_of_lanes(options, own_app), least=least)
    if rtt is not None:
        lanes = tuple(lane if rtt_s(lane.settings) is not None else lane.with_setting(RTT, rtt) for lane in lanes)
    return lanes


def _of_lanes(options: Mapping[str, Any], own_app: OwnApp | None) -> dict[str, Any]:
    """Return what lanes have that do not say it themselves: by the options, or else as the app has it."""
    said = as_app_says(own_app.facts) if own_app else {}
    given = {name: options[name] for name in ("concurrency", "prefetch", "acks")}
    return {name: value for name, value in {**said, **without_none(given)}.items() if value is not None}


def without_none(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def _ask_app(options: Mapping[str, Any], broker_url: str | None, *, replay: bool) -> OwnApp:
    """Ask an app what it is, and print what to know before anything runs."""
    lanes = parse_lanes(_specs(options), concurrency=MAX_CONCURRENCY, least=1)  # the app's own is not known yet
    own_app = introspect.ask(
        options["app"],
        python=lanes[0].python,
        environment=user_environment(),
        folder=options["workdir"].resolve(),
        jobs=options["app_jobs"],
        tasks=options["tasks"],
        seed=options["seed"],
        timeout_s=options["job_timeout_s"],
        keep_backend=options["keep_backend"],
        patience_s=options["ready_s"],
        replay=replay,
    )
    for line in caveats(own_app.facts, [lane.pool for lane in lanes]):
        click.echo(f"Note: {line}", err=True)
    if broker_url:
        lanes = parse_lanes(_specs(options), transport=own_app.facts["transport"], least=1)
        click.echo(f"On {hide_password(broker_url)}: {_queues_of(own_app, lanes)}; no others.", err=True)
    return own_app


def _queues_of(own_app: OwnApp, lanes: Sequence[Lane]) -> str:
    names = [counterpart(f"poolrace.<run id>.{lane.key}", own) for lane in lanes for own in ("", *own_app.queues)]
    return ", ".join([*names, "poolrace.records.<run id>"])


def user_environment() -> Mapping[str, str]:
    """Return the environment that the command was called with; outside a command, that of this process."""
    context = click.get_current_context(silent=True)
    return os.environ if context is None or context.obj is None else context.obj


def shares_of(mix: str | None, own_app: OwnApp | None, default: str) -> dict[str, float]:
    """
    Return the shares of workloads: by `--mix`, or the app's jobs, or the default.

    Raises:
        UsageError: If `--mix` names an unknown workload.
    """
    if own_app is None:
        return parse_mix(default if mix is None else mix, "--mix")
    return own_app.shares if mix is None else parse_mix(mix, "--mix", own_app.tasks)


def as_app_says(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a user's app that a lane has, too; None for those that it leaves open."""
    return {
        "concurrency": facts["concurrency"],
        "prefetch": facts["prefetch"] or None,  # 0: no limit, which no lane can have
        "acks": facts["acks"],
        "transport": facts["transport"],
    }


def live_broker(broker_url: str | None, *, yes_live: bool) -> None:
    """
    Check that a user's app runs on a broker of theirs only if they say so twice.

    Raises:
        UsageError: If they did not; names the queues that it would use.
    """
    if broker_url and not yes_live:
        raise UsageError(
            f"--broker {hide_password(broker_url)}: --app would run on this broker, on queues of the run's own named "
            "poolrace.<run id>.<lane> and poolrace.records.<run id>, which are removed at the end; no queue of the app "
            "is consumed. What its tasks do is done for real. If that is what you want, add --yes-live; without "
            "--broker it runs on an embedded one."
        )


def sizes_of(run: Path) -> dict[str, Any]:
    """Return the sizes that jobs had in an earlier run."""
    sizes = read_run(run).manifest.sizes
    return {workload: to_builtins(size) for workload, size in sizes.items() if size}
