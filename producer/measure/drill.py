"""
Runs drills: each in each cell, in a process of its own.

A drill is a file of `producer/measure/drills`: what it declares, and `strike`, which does the harm on a `Scene`.
"""

from __future__ import annotations

import importlib
import pkgutil
import time
import typing
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from producer.analysis.drill import CellResult
from producer.analysis.features import Tried
from producer.errors import FleetError
from producer.fleet import control_group
from producer.fleet.control_group import GroupLimits
from producer.measure import drills, own_fault
from producer.measure.accounting import (
    FIRST_JOBS,
    SETTLE_S,
    TAIL_S,
    Allowed,
    Load,
    account,
    noting_held,
    sending,
    settled,
    wait_for_work,
)
from producer.measure.any_scene import END_S, AnyScene
from producer.measure.apart import AT_ONCE, Apart, run_apart
from producer.measure.scene import Scene
from producer.plan.drill import Cell, window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from producer.measure.drilled import Drilled
    from producer.plan.drill import Drill


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """
    A drill with what it does.

    Attributes:
        name: The name of its file, with hyphens.
        drill: What it declares.
        strike: Does the harm.
    """

    name: str
    drill: Drill
    strike: Callable[[Any], None]

    @property
    def is_anywhere(self) -> bool:
        """Whether its fault needs no more than an `AnyScene` has, so that it can be done on others' nodes, too."""
        return typing.get_type_hints(self.strike).get("scene") is AnyScene


@cache
def catalogue() -> tuple[Entry, ...]:
    """Return all drills, by name."""
    names = sorted(each.name for each in pkgutil.iter_modules(drills.__path__))
    modules = [importlib.import_module(f"{drills.__name__}.{name}") for name in names]
    return tuple(
        Entry(name=name.replace("_", "-"), drill=module.DRILL, strike=module.strike)
        for name, module in zip(names, modules, strict=True)
    )


OWN_FAULT = Entry(name=own_fault.NAME, drill=own_fault.DRILL, strike=own_fault.strike)
"""What a user does to a fleet that runs already: in no list, since it is on no fleet of ours."""


def find(name: str) -> Entry | None:
    """Return the drill of a name; None if there is none."""
    return next((entry for entry in (*catalogue(), OWN_FAULT) if entry.name == name), None)


def why_not(drill: Drill, cell: Cell) -> str:
    """Return why a drill cannot be done in a cell on this machine; empty if it can."""
    if reason := drill.why_not(cell):
        return reason
    return control_group.why_not(GroupLimits(memory_bytes=drill.memory_mib))


def run_cell(
    entry: Entry, cell: Cell, logs: Path, drilled: Drilled | None = None, times: int | None = None
) -> CellResult:
    """
    Run a drill in one cell.

    Args:
        entry: The drill.
        cell: How the nodes run.
        logs: The folder for the logs of the nodes.
        drilled: What the nodes run; None for the jobs of the demonstration.
        times: How often a fault strikes that strikes again and again; None for as often as it declares.

    Raises:
        FleetError: If broker or nodes do not start, or the fault cannot be done.
    """
    began, longest_s = time.monotonic(), drilled.longest_s if drilled else 0.0
    load_s, resume_s = max(entry.drill.load_s, 3 * longest_s), entry.drill.resume_s + longest_s
    with Scene(cell, entry.drill, logs, drilled, times) as scene:
        started = [scene.begin_node() for _ in range(entry.drill.nodes)]
        for node in started:
            scene.wait_for(node)
        load_at = time.time()
        with sending(scene, entry.drill):
            if not scene.until_done(FIRST_JOBS, END_S + 10 * longest_s):
                raise FleetError(f"{entry.name}, {cell.name}: no job was done. The logs are in {logs}.")
            scene.wait(load_s / 3)
            with noting_held(scene):
                entry.strike(scene)
            healed_at = time.time()
            wait_for_work(scene, healed_at, resume_s)
            scene.wait(max(TAIL_S, load_at + load_s - time.time()))
        found = settled(scene, SETTLE_S + 10 * longest_s + 2 * scene.visibility_s)
        allowed = Allowed(
            bounds=entry.drill.bounds(cell), holdable=window(entry.drill.nodes), resume_s=resume_s,
            promised=cell.transport if entry.drill.beside else "",
        )  # fmt: skip
        return account(
            entry.name, scene, Load(began=began, at=load_at, healed_at=healed_at), found, lambda: allowed,
            lost_by=scene.lost_by,
            said=(line for node in scene.nodes for line in node.child.said().splitlines()),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnQuestion:
    """
    A user's own app, as the process of a cell is told of it.

    Attributes:
        app: The app, as `celery -A` takes it.
        folder: The folder in which it is imported and run.
        jobs: A job file, or a function that makes jobs; None to send each task without arguments.
        tasks: The tasks whose jobs are sent; none for all that the jobs name.
        visibility_s: The visibility timeout of its nodes, in whole seconds.
        longest_s: What its jobs may take, in seconds.
    """

    app: str
    folder: str
    jobs: str | None
    tasks: list[str]
    visibility_s: int
    longest_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CellQuestion:
    """
    What the process of a cell is told.

    Attributes:
        drill: The name of the drill.
        cell: The cell.
        own: A user's own app; None for the jobs of the demonstration.
        times: How often a fault strikes that strikes again and again; None for as often as it declares.
    """

    drill: str
    cell: Cell
    own: OwnQuestion | None = None
    times: int | None = None


def run_drills(
    chosen: Sequence[tuple[Entry, Cell]],
    folder: Path,
    module: str,
    own: OwnQuestion | None = None,
    *,
    at_once: int = AT_ONCE,
    times: int | None = None,
    repeat: int = 1,
) -> Iterator[CellResult]:
    """
    Run drills in cells, each in a process of its own; yield what was found as they end.

    Args:
        chosen: The drills, and the cells to run them in.
        folder: The folder for logs, and for what is found.
        module: The module that runs a `CellQuestion`.
        own: A user's own app; None for the jobs of the demonstration.
        at_once: How many run at the same time.
        times: How often a fault strikes that strikes again and again; None for as often as it declares.
        repeat: How often each drill is done in each cell; each time is a result.

    Raises:
        FleetError: If the process of a cell ends without saying what it found.
    """
    parts = []
    for entry, cell in chosen:
        if reason := why_not(entry.drill, cell):
            yield CellResult(drill=entry.name, cell=cell.name, skipped=reason)
            continue
        question = CellQuestion(drill=entry.name, cell=cell, own=own, times=times)
        place = folder / "logs" / entry.name / cell.name
        parts += [
            Apart(
                name=f"drill {entry.name} in {cell.name}", module=module,
                words=(msgspec.json.encode(question).decode(),),
                folder=place if repeat == 1 else place / str(number + 1),
            )
            for number in range(repeat)
        ]  # fmt: skip
    for _, answer in run_apart(parts, at_once):
        yield msgspec.json.decode(answer, type=CellResult)


def try_features(pools: Sequence[str], folder: Path) -> Iterator[list[Tried]]:
    """
    Try what pools do, each in a process of its own; yield what was seen of each as they end.

    Raises:
        FleetError: If the process of a pool ends without saying what it saw.
    """
    parts = [
        Apart(
            name=f"features of {pool}", module="producer.measure.features", words=(pool,), folder=folder / "logs" / pool
        )
        for pool in pools
    ]
    for _, answer in run_apart(parts):
        yield msgspec.json.decode(answer, type=list[Tried])
