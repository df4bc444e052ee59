"""Keeps a scene under load, waits until its jobs have come to their end, and says what became of each."""

from __future__ import annotations

import re
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from poolrace import effects
from producer.analysis.drill import CellResult, Fate, resumed_after_s, runs_of, settle_jobs, shortfalls, toll_of
from producer.deadlines import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from producer.analysis.drill import Found, JobFate
    from producer.measure.any_scene import AnyScene
    from producer.plan.drill import Bounds, Drill

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
class Load:
    """
    When a load and the fault in it were.

    Attributes:
        began: When the drill began, by a clock that nobody can set.
        at: When jobs were sent first, in seconds since the epoch.
        healed_at: When the fault was over.
    """

    began: float
    at: float
    healed_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """
    What a fault may cost.

    Attributes:
        bounds: The jobs, and the nodes.
        holdable: The jobs that the nodes may hold at once.
        resume_s: The time within which work goes on.
        promised: Where nodes have different transports, the one that may lose nothing.
    """

    bounds: Bounds
    holdable: int
    resume_s: float
    promised: str = ""


@contextmanager
def sending(scene: AnyScene, drill: Drill) -> Iterator[None]:
    """Send the load of a drill meanwhile."""
    with meanwhile(partial(scene.sender.keep_sending, drill, scene.ledger.done_count)):
        yield


@contextmanager
def noting_held(scene: AnyScene, every_s: float = NOTE_EVERY_S) -> Iterator[None]:
    """Note what nodes hold while a fault strikes, again and again."""

    def note_until(ended: threading.Event) -> None:
        while not ended.wait(every_s):
            scene.note_held()

    with meanwhile(note_until):
        yield
    scene.note_held()


@contextmanager
def meanwhile(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Work in a thread meanwhile, until it is told to end."""
    ended = threading.Event()
    thread = threading.Thread(target=work, args=(ended,), name="drill")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def wait_for_work(scene: AnyScene, healed_at: float, within_s: float) -> None:
    """Wait until work goes on; nodes that end by themselves are started again."""

    def goes_on() -> bool:
        scene.look_after_nodes()
        return resumed_after_s(scene.ledger.notes(), healed_at) is not None

    until(goes_on, within_s)


def settled(scene: AnyScene, within_s: float, quiet_s: float = QUIET_S) -> Found:
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
        elif now_s > nowhere_since_s + quiet_s:
            return found
        scene.look_after_nodes()
        scene.send_again()
        time.sleep(0.2)


def account(
    name: str,
    scene: AnyScene,
    load: Load,
    found: Found,
    allowed: Callable[[], Allowed],
    *,
    lost_by: Callable[[Iterable[JobFate]], Mapping[str, int]] | None = None,
    said: Iterable[str] = (),
) -> CellResult:
    """
    Say what became of each job of a scene, and what of it is more than may be.

    Args:
        name: The name of the drill.
        scene: The scene, once its jobs have come to their end.
        load: When the load and the fault were.
        found: Where jobs are.
        allowed: Returns what the fault may cost, as is known now.
        lost_by: Returns the lost jobs by transport, where nodes have different ones.
        said: Lines that an operator sees.
    """
    notes = scene.ledger.notes()
    fates = settle_jobs(scene.sender.sent, scene.sender.refused, notes, found, scene.explained())
    toll = toll_of(fates, lost_by(fates) if lost_by else None, scene.sender.harmful)
    resumed_s = resumed_after_s(notes, load.healed_at)
    hanging = [] if resumed_s is not None else scene.living_names()
    last = max((each.at for each in notes if each.what == effects.DONE), default=None)
    may = allowed()
    return CellResult(
        drill=name,
        cell=scene.cell.name,
        toll=toll,
        short=[
            *scene.hung,
            *shortfalls(
                toll, may.bounds, holdable=may.holdable, resumed_s=resumed_s, resume_s=may.resume_s,
                ended=len(scene.ended), hanging=hanging, promised=may.promised,
            ),
        ],
        ended=scene.ended,
        hanging=hanging,
        resumed_s=resumed_s,
        settled_s=None if last is None else max(0.0, last - load.healed_at),
        struck=[(each.what, each.at - load.at) for each in scene.strikes],
        told=[each for each in fates if each.fate is not Fate.DONE or each.repeated],
        runs=(runs := runs_of(notes, load.at)),
        longest_s=max((each.end_s - each.begin_s for each in runs if each.end_s is not None), default=0.0),
        said=warnings_in(said),
        took_s=time.monotonic() - load.began,
    )  # fmt: skip


def warnings_in(lines: Iterable[str]) -> list[str]:
    """Return the first warnings and errors among the lines of nodes' logs, each once, without a machine's folders."""
    found: dict[str, None] = {}
    for line in lines:
        if (match := _TOLD.search(line)) and "DeprecationWarning" not in line:
            # A warning may be empty, with what it is about in the lines below it.
            found.setdefault(_FOLDERS.sub("…/", (match[1] or match[2] or "").strip())[:MAX_SAID_COLUMNS])
    return [line for line in found if line][:MAX_SAID]
