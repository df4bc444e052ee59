"""
Runs drills: each in each cell, in a process of its own.

A drill is a file of `producer/measure/drills`: what it declares, and `strike`, which does the harm on a `Scene`.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

import msgspec

from poolrace import effects
from producer.analysis.drill import CellResult, Fate, resumed_after_s, runs_of, settle_jobs, shortfalls, toll_of
from producer.analysis.features import Tried
from producer.deadlines import until
from producer.errors import FleetError
from producer.fleet import control_group
from producer.fleet.control_group import GroupLimits
from producer.measure import drills
from producer.measure.apart import AT_ONCE, Apart, run_apart
from producer.measure.scene import END_S, Scene
from producer.plan.drill import Cell, window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from producer.analysis.drill import Found
    from producer.measure.drilled import Drilled
    from producer.plan.drill import Drill

FIRST_JOBS = 10
"""So many jobs are done before the fault, so that every slot is at work."""

TAIL_S = 1.0
"""Jobs are sent for so long after the fault is over: they show that work goes on."""

SETTLE_S, QUIET_S = 20.0, 1.5
"""How long jobs may take to come to their end after the load; and how long none may be anywhere to be given up."""

NOTE_EVERY_S = 0.02
MAX_SAID, MAX_SAID_COLUMNS = 4, 160
_TOLD = re.compile(r"(?:WARNING|ERROR|CRITICAL)/\S*\]\s*(.*)|^((?:\w+\.)*\w*(?:Error|Exception|Lost)\b.*)")
_FOLDERS = re.compile(r"(?:/[^\s/:'\"]+)+/")
"""Of a path all but the file: folders of a machine say nothing to others."""


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
    strike: Callable[[Scene], None]


@cache
def catalogue() -> tuple[Entry, ...]:
    """Return all drills, by name."""
    names = sorted(each.name for each in pkgutil.iter_modules(drills.__path__))
    modules = [importlib.import_module(f"{drills.__name__}.{name}") for name in names]
    return tuple(
        Entry(name=name.replace("_", "-"), drill=module.DRILL, strike=module.strike)
        for name, module in zip(names, modules, strict=True)
    )


def find(name: str) -> Entry | None:
    """Return the drill of a name; None if there is none."""
    return next((entry for entry in catalogue() if entry.name == name), None)


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
        with _meanwhile(partial(scene.sender.keep_sending, entry.drill, scene.ledger.done_count)):
            if not scene.until_done(FIRST_JOBS, END_S + 10 * longest_s):
                raise FleetError(f"{entry.name}, {cell.name}: no job was done. The logs are in {logs}.")
            scene.wait(load_s / 3)
            with _noting_held(scene):
                entry.strike(scene)
            healed_at = time.time()
            _wait_for_work(scene, healed_at, resume_s)
            scene.wait(max(TAIL_S, load_at + load_s - time.time()))
        found = _settled(scene, SETTLE_S + 10 * longest_s + 2 * scene.visibility_s)
        notes = scene.ledger.notes()
        fates = settle_jobs(scene.sender.sent, scene.sender.refused, notes, found, scene.explained())
        toll, resumed_s = toll_of(fates, scene.lost_by(fates), scene.sender.harmful), resumed_after_s(notes, healed_at)
        hanging = [] if resumed_s is not None else [node.name for node in scene.living()]
        last = max((each.at for each in notes if each.what == effects.DONE), default=None)
        return CellResult(
            drill=entry.name,
            cell=cell.name,
            toll=toll,
            short=[
                *scene.hung,
                *shortfalls(
                    toll, entry.drill.bounds(cell), holdable=window(entry.drill.nodes), resumed_s=resumed_s,
                    resume_s=resume_s, ended=len(scene.ended), hanging=hanging,
                    promised=cell.transport if entry.drill.beside else "",
                ),
            ],
            ended=scene.ended,
            hanging=hanging,
            resumed_s=resumed_s,
            settled_s=None if last is None else max(0.0, last - healed_at),
            struck=[(each.what, each.at - load_at) for each in scene.strikes],
            told=[each for each in fates if each.fate is not Fate.DONE or each.repeated],
            runs=(runs := runs_of(notes, load_at)),
            longest_s=max((each.end_s - each.begin_s for each in runs if each.end_s is not None), default=0.0),
            said=warnings_in(line for node in scene.nodes for line in node.child.said().splitlines()),
            took_s=time.monotonic() - began,
        )  # fmt: skip


@contextmanager
def _noting_held(scene: Scene) -> Iterator[None]:
    """Note what nodes hold while a fault strikes, again and again."""
    with _meanwhile(lambda ended: _note_until(scene, ended)):
        yield
    scene.note_held()


def _note_until(scene: Scene, ended: threading.Event) -> None:
    while not ended.wait(NOTE_EVERY_S):
        scene.note_held()


@contextmanager
def _meanwhile(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Work in a thread meanwhile, until it is told to end."""
    ended = threading.Event()
    thread = threading.Thread(target=work, args=(ended,), name="drill")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _wait_for_work(scene: Scene, healed_at: float, within_s: float) -> None:
    """Wait until work goes on; nodes that end by themselves are started again."""

    def goes_on() -> bool:
        scene.look_after_nodes()
        return resumed_after_s(scene.ledger.notes(), healed_at) is not None

    until(goes_on, within_s)


def _settled(scene: Scene, within_s: float) -> Found:
    """Wait until all jobs have come to their end, or until what is missing is nowhere; return where jobs are then."""
    until_s, nowhere_since_s = time.monotonic() + within_s, None
    while True:
        ended = {each.job for each in scene.ledger.notes() if each.what in {effects.DONE, effects.FAILED}}
        found = scene.found()
        missing = set(scene.sender.sent) - scene.sender.refused - ended - found.dead_letters
        now_s = time.monotonic()
        if not (missing | found.on_the_way) or now_s > until_s:
            return found
        if found.on_the_way or scene.remembers(missing):
            nowhere_since_s = None
        elif nowhere_since_s is None:
            nowhere_since_s = now_s
        elif now_s > nowhere_since_s + QUIET_S:
            return found
        scene.look_after_nodes()
        scene.send_again()
        time.sleep(0.2)


def warnings_in(lines: Iterable[str]) -> list[str]:
    """Return the first warnings and errors among the lines of nodes' logs, each once, without a machine's folders."""
    found: dict[str, None] = {}
    for line in lines:
        if (match := _TOLD.search(line)) and "DeprecationWarning" not in line:
            # A warning may be empty, with what it is about in the lines below it.
            found.setdefault(_FOLDERS.sub("…/", (match[1] or match[2] or "").strip())[:MAX_SAID_COLUMNS])
    return [line for line in found if line][:MAX_SAID]


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
