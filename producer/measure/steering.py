"""
Where a load that runs takes its orders from: a file in its run directory, a line each, which `poolrace steer` writes.

An order says what is to be different from now on: rate, mix or pause. The load looks once a second.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from producer.errors import UsageError
from producer.measure.schedule import REVISION_LEAD_S
from producer.plan.script import Change
from producer.rundir.reader import read_manifest
from producer.rundir.schema import RUNNING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FILE = "orders.jsonl"


class OrderFile:
    """Reads the orders of one run, and keeps what they made of the load, lane by lane."""

    def __init__(self, run: Path) -> None:
        self._file = run / FILE
        self._read = 0
        self.changes: tuple[Change, ...] = ()

    def has_new(self, at_s: float) -> bool:
        """
        Look for new orders; true if there are some, and `changes` has them.

        A change takes the place of those that an earlier lane had from then on.
        """
        orders = self._new_orders()
        for order in orders:
            before = [change for change in self.changes if change.at_s <= at_s + REVISION_LEAD_S]
            state = before[-1] if before else Change(at_s=0.0)
            self.changes = (*before, replace(state, at_s=at_s + REVISION_LEAD_S, **order))
        return bool(orders)

    def paused(self, at_s: float) -> bool:
        """Whether nothing is sent at a moment."""
        before = [change for change in self.changes if change.at_s <= at_s]
        return bool(before) and before[-1].paused

    def _new_orders(self) -> Sequence[dict[str, Any]]:
        try:
            text = self._file.read_text()
        except OSError:
            return ()
        # A line that is being written has no end yet.
        lines = text[: text.rfind("\n") + 1].splitlines()
        new, self._read = lines[self._read :], len(lines)
        return [json.loads(line) for line in new]


def workloads_of(run: Path) -> tuple[str, ...]:
    """What a run's jobs are; nothing if it is no run, which whoever gives it an order is told."""
    try:
        return read_manifest(run).settings.workloads
    except UsageError:
        return ()


def write_order(run: Path, order: dict[str, Any]) -> None:
    """
    Have a load do something else from now on.

    Args:
        run: Its run directory.
        order: Fields of `Change` that are to be different.

    Raises:
        UsageError: If no load runs there, or it knows nothing of a workload.
    """
    manifest = read_manifest(run)
    kind, load = manifest.settings.kind, manifest.settings.load
    if load is None:
        raise UsageError(f"{run}: only a load can be steered, and this is a {kind}.")
    if manifest.status != RUNNING:
        raise UsageError(f"{run}: this load is over ({manifest.status}). Steer one that runs.")
    if load.replay:
        raise UsageError(
            f"{run}: a replay is as it was recorded, and cannot be steered. Use --rate instead of --replay."
        )
    sized = manifest.settings.workloads
    unknown = [name for name in order.get("mix") or () if name not in sized]
    if unknown:
        raise UsageError(
            f"--mix: {', '.join(unknown)} was not sized when this load began. Allowed: {', '.join(sized)}. To mix "
            "another in later, start a load with a share of 0 for it."
        )
    with (run / FILE).open("a") as file:
        file.write(json.dumps(order) + "\n")


def running_load(parent: Path) -> Path:
    """
    The run directory of the load that runs.

    Raises:
        UsageError: If there is none, or more than one.
    """
    found = [
        manifest.parent
        for manifest in sorted(parent.glob("*-load-*/manifest.json"))
        if json.loads(manifest.read_text()).get("status") == RUNNING
    ]
    if len(found) != 1:
        names = ", ".join(map(str, found)) or "none"
        raise UsageError(f"RUN: name the load to steer; {len(found)} run below {parent}: {names}.")
    return found[0]
