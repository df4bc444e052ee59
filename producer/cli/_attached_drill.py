"""The options of drills on nodes that somebody else runs, and what they become."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from producer.cli._broker import broker_from_environment
from producer.cli._command import option
from producer.cli._options import MAX_NODES
from producer.cli._param_types import BROKER, Count, Duration, Rate
from producer.errors import UsageError
from producer.measure.attached_drill import AFTER_S, BEFORE_S, JOB_S, AttachedOptions
from producer.measure.drill import OWN_FAULT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from producer.measure.drill import Entry

MAX_S = 3600

OPTIONS = (
    option(
        "--broker",
        "broker_url",
        type=BROKER,
        help="Drill the nodes that run on this broker already. [default: a broker and nodes of its own]",
    ),
    option("--own-fleet", is_flag=True, help="A broker and nodes of its own, whatever the environment says."),
    option(
        "--fault-command",
        "command",
        metavar="COMMAND",
        help="With --broker: no DRILL, but what this command of a shell does, from its beginning to its end.",
    ),
    option(
        "--fault-by-hand",
        "by_hand",
        is_flag=True,
        help="With --broker: no DRILL, but what you do between `Strike now` and Enter.",
    ),
    option("--expect-nodes", type=Count(1, MAX_NODES), help="With --broker: wait until N nodes answer. [default: 1]"),
    option(
        "--queue",
        "queues",
        multiple=True,
        metavar="NAME",
        help="With --broker: a queue that nodes there consume, as a lane; repeatable. [default: a lane a pool]",
    ),
    option(
        "--rate",
        "rate_per_s",
        type=Rate(),
        help="With --broker: jobs sent to each lane. [default: half of its slots are busy]",
    ),
    option("--job-duration", "job_s", type=Duration(0.001, 60), help=f"With --broker: what a job takes. [{JOB_S}s]"),
    option(
        "--before", "before_s", type=Duration(0, MAX_S), help=f"With --broker: the load before the fault. [{BEFORE_S}s]"
    ),
    option(
        "--after", "after_s", type=Duration(0, MAX_S), help=f"With --broker: the load after the fault. [{AFTER_S}s]"
    ),
    option(
        "--settle",
        "settle_s",
        type=Duration(0, MAX_S),
        help="With --broker: how long the last jobs may take. [default: 20s and two visibility timeouts, up to 200s]",
    ),
)

NAMES = {
    "command": "--fault-command", "by_hand": "--fault-by-hand", "expect_nodes": "--expect-nodes", "queues": "--queue",
    "rate_per_s": "--rate", "job_s": "--job-duration", "before_s": "--before", "after_s": "--after",
    "settle_s": "--settle",
}  # fmt: skip
"""What is for nodes that run already, by its name in the code."""

ATTACHED = ("broker_url", "own_fleet", *NAMES)
"""The names of `OPTIONS` in the code."""

NOT_HERE = {
    "app": "--app", "keys": "--cell", "without": "--without", "times": "--times", "jobs": "--jobs", "tasks": "--task",
    "yes_effects": "--yes-effects",
}  # fmt: skip
"""What is for a fleet of the drill's own."""


def with_attached_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Put the options on a command."""
    for each in reversed(OPTIONS):
        function = each(function)
    return function


def attached_options(given: Mapping[str, Any], others: Mapping[str, Any]) -> AttachedOptions | None:
    """
    Return how nodes that run already are drilled; None where the drill has a fleet of its own.

    Args:
        given: The values of `OPTIONS`, by their names in the code.
        others: Those of the other options of the command.

    Raises:
        UsageError: If two options contradict each other.
    """
    url = None if given["own_fleet"] else given["broker_url"] or broker_from_environment()
    told = {name: given[name] for name in NAMES if given[name]}
    if not url:
        if told:
            raise UsageError(f"{NAMES[next(iter(told))]}: is for nodes that run already. Name their broker: --broker.")
        return None
    if wrong := next((name for name in NOT_HERE if others.get(name)), None):
        raise UsageError(
            f"{NOT_HERE[wrong]}: with --broker nodes are drilled as they are. Leave it out; or have a broker and nodes "
            "of the drill's own: --own-fleet."
        )
    if given["command"] and given["by_hand"]:
        raise UsageError("--fault-command and --fault-by-hand contradict each other. Give one of them.")
    return AttachedOptions(
        broker_url=url, pools=tuple(others["pools"]), **{**told, "queues": tuple(dict.fromkeys(given["queues"]))}
    )


def is_own_fault(options: AttachedOptions) -> bool:
    """Return whether the fault is the user's."""
    return options.by_hand or options.command is not None


def chosen_for(options: AttachedOptions, chosen: Sequence[Entry]) -> list[Entry]:
    """
    Return the drills that are done: those that were chosen, or the fault of the user.

    Raises:
        UsageError: If there are both.
    """
    if not is_own_fault(options):
        return list(chosen)
    if chosen:
        raise UsageError("--fault-command and --fault-by-hand stand in the place of DRILL. Leave one of both out.")
    return [OWN_FAULT]
