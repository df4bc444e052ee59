"""Warnings about a user's app on a pool, and notes on what a run changes of its settings. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def caveats(facts: Mapping[str, Any], pools: Sequence[str]) -> list[str]:
    """
    Return a sentence for each thing to know about an app before it runs on some pools.

    Args:
        facts: The app's description of itself.
        pools: The pools that it will run on.
    """
    lines = []
    for pool in dict.fromkeys(pools):
        lines += [f"On {pool}, the app's setting {sentence}" for sentence in facts["inert"].get(pool, ())]
        lines += [f"On {pool}, the app imports {sentence}." for sentence in facts["hazards"].get(pool, ())]
    return [*lines, *(f"{sentence}." for sentence in facts["globals"])]


def redirect_notes(app: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each thing that a run changes of an app, so that its jobs stay within the run."""
    facts = app["facts"]
    lines = [
        f"The broker of its settings ({facts['broker_scheme']}) is left alone; it runs on the run's own.",
        f"Results: {app['backend']}.",
    ]
    if facts["queues"]:
        names = ", ".join([facts["default_queue"], *facts["queues"]])
        lines.append(f"Each of its queues ({names}) has a counterpart on each lane; no job leaves the lane.")
    return lines
