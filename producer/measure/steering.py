"""
Steers a running load through a file in its run directory, to which `poolrace steer` adds a line for each order.

An order changes the rate, the mix or the pause from now on. The load reads the file once a second.
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
    """
    The orders of one run, and the changes that they made to the load.

    Attributes:
        changes: The changes in force on the present lane, and those that earlier lanes had before now.
    """

    def __init__(self, run: Path) -> None:
        self._file = run / FILE
        self._read = 0
        self.changes: tuple[Change, ...] = ()

    def has_new(self, at_s: float) -> bool:
        """
        Read new orders into `changes`; return whether there were any.

        A change replaces those that an earlier lane had from then on.
        """
        orders = self._new_orders()
        for order in orders:
            before = [change for change in self.changes if change.at_s <= at_s + REVISION_LEAD_S]
            state = before[-1] if before else Change(at_s=0.0)
            self.changes = (*before, replace(state, at_s=at_s + REVISION_LEAD_S, **order))
        return bool(orders)

    def paused(self, at_s: float) -> bool:
        """Return whether the load is paused at an offset from its start."""
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
    """Return the run's workloads, or () if the directory is not a run."""
    try:
        return read_manifest(run).settings.workloads
    except UsageError:
        return ()


def write_order(run: Path, order: dict[str, Any]) -> None:
    """
    Order a running load to change from now on.

    Args:
        run: Its run directory.
        order: The fields of `Change` that change.

    Raises:
        UsageError: If no load runs there, or the order names a workload that was not sized.
    """
    manifest = read_manifest(run)
    kind, load = manifest.settings.kind, manifest.settings.load
    if load is None:
        raise UsageError(f"{run}: only a load can be steered, and this is a {kind}.")
    if manifest.status != RUNNING:
        raise UsageError(f"{run}: this load is over ({manifest.status}). Steer a running one.")
    if load.replay:
        raise UsageError(f"{run}: a replay sends what was recorded and cannot be steered. Use --rate, not --replay.")
    sized = manifest.settings.workloads
    unknown = [name for name in order.get("mix") or () if name not in sized]
    if unknown:
        raise UsageError(
            f"--mix: {', '.join(unknown)} was not sized when this load began. Allowed: {', '.join(sized)}. To mix "
            "in another one later, start the load with a share of 0 for it."
        )
    with (run / FILE).open("a") as file:
        file.write(json.dumps(order) + "\n")


def running_load(parent: Path) -> Path:
    """
    Return the run directory of the running load.

    Raises:
        UsageError: If no load is running, or more than one.
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
