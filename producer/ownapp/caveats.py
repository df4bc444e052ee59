"""What changes for a user's app with the pool, and what a run changes of its settings: said before the run. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def caveats(facts: Mapping[str, Any], pools: Sequence[str]) -> list[str]:
    """
    One sentence for each thing to know of an app before it runs on some pools.

    Args:
        facts: What the app said of itself.
        pools: Those that it will run on.
    """
    lines = []
    for pool in dict.fromkeys(pools):
        lines += [f"On {pool}, the app's setting {sentence}" for sentence in facts["inert"].get(pool, ())]
        lines += [f"On {pool}, the app imports {sentence}." for sentence in facts["hazards"].get(pool, ())]
    return [*lines, *(f"{sentence}." for sentence in facts["globals"])]


def led(app: Mapping[str, Any]) -> list[str]:
    """What a run does to an app so that it can run nowhere else."""
    facts = app["facts"]
    lines = [
        f"The broker of its settings ({facts['broker_scheme']}) is left alone; it runs on the run's own.",
        f"Results: {app['backend']}.",
    ]
    if facts["queues"]:
        names = ", ".join([facts["default_queue"], *facts["queues"]])
        lines.append(f"Each of its queues ({names}) has a counterpart on each lane; no job leaves the lane.")
    return lines
