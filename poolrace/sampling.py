"""
Samples CPU, memory, open files and context switches of a node: its process and all below it.

CPU seconds are the sum, over the living processes, of their own and of their waited-for children's, which the kernel
keeps in the parent. A child that ends moves from the first to the second, so nothing is lost and nothing counted twice.
"""

from __future__ import annotations

import os
import re
import resource
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import psutil

from poolrace.contract import NodeSample, ProcessSample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MAX_READS = 5
"""The most readings of a tree for one sample, if a process ends during each of them; and of the clocks."""

AT_ONCE_S = 0.001
"""If two readings of clocks lie farther apart, something else had the core, or the node's CPU quota was used up."""

_SWITCHES = re.compile(rb"voluntary_ctxt_switches:\s+(\d+)")

T = TypeVar("T")


class Sampler:
    """
    Samples one process tree; totals never go backwards from one sample to the next.

    May be used from several threads. Raises `psutil.NoSuchProcess` once the root of the tree has ended.

    Args:
        pid: The root of the tree; None for the process that makes the sampler.
        now: The node's clock, in seconds since the epoch.
        monotonic: A clock that nobody can set, in seconds.
    """

    def __init__(
        self,
        pid: int | None = None,
        *,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = psutil.Process(pid)
        self._now = now
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._tree: list[psutil.Process] = []
        self._parents: dict[psutil.Process, int | None] = {}
        self._cpu_s = _Total()
        self._voluntary = _Total()
        self._involuntary = _Total()

    def cpu_s(self) -> float:
        """Return the CPU seconds of the tree, at a fraction of the cost of a sample."""
        with self._lock:
            return self._cpu_s.advance(self._read(_process_cpu_s))

    def sample(self, *, memory: bool = True) -> NodeSample:
        """
        Take a sample.

        Args:
            memory: Also read the PSS and count open files, about 1 ms for every process: most of the cost of a sample,
                and on a pool of processes a multiple of the cost on threads. Without it the sample's memory is None,
                and it says nothing of single processes.
        """
        with self._lock:
            at, drift_s = self._read_clocks()
            readings = self._read(_reading)
            memories = list(map(_memory, self._tree)) if memory else [_UNKNOWN]
            parts = zip(self._tree, memories, strict=True) if memory else ()
            return NodeSample(
                at=at,
                cpu_s=self._cpu_s.advance(reading.cpu_s for reading in readings),
                pss_bytes=_sum_known(each.pss_bytes for each in memories),
                private_bytes=_sum_known(each.private_bytes for each in memories),
                voluntary_switches=int(self._voluntary.advance(reading.voluntary for reading in readings)),
                involuntary_switches=int(self._involuntary.advance(reading.involuntary for reading in readings)),
                processes=len(readings),
                threads=sum(reading.threads for reading in readings),
                children=self._children(),
                drift_s=drift_s,
                parts=tuple(_part(process, held) for process, held in parts),
            )

    def _read_clocks(self) -> tuple[float, float]:
        """Return the wall clock, and what it is before the monotonic one; a node may be stopped between the two."""
        at, drift_s = self._now(), 0.0
        for _ in range(MAX_READS):
            before_s, at, after_s = self._monotonic(), self._now(), self._monotonic()
            drift_s = at - before_s
            if after_s - before_s < AT_ONCE_S:
                break
        return at, drift_s

    def _children(self) -> tuple[int, ...]:
        # The parent of each process is read once.
        known = self._parents
        self._parents = {each: known[each] if each in known else _unless_ended(_parent, each) for each in self._tree}
        return tuple(each.pid for each, parent in self._parents.items() if parent == self._root.pid)

    def _read(self, measure: Callable[[psutil.Process], T]) -> list[T]:
        # Parents are read before their children, so only one thing can tear a reading: a child that its parent waits
        # for after the parent was read and before the child was. It would be in neither. It is found gone, and the tree
        # is read again; after some times the rest is taken, since such children are too short-lived to matter.
        readings: list[T | None] = []
        for _ in range(MAX_READS):
            self._tree = _processes_of_tree(self._root, self._tree)
            readings = [_unless_ended(measure, process) for process in self._tree]
            if None not in readings:
                break
        known = [reading for reading in readings if reading is not None]
        if not known:
            raise psutil.NoSuchProcess(self._root.pid)
        return known


class _Total:
    """
    A sum over processes that never falls.

    It would fall where the system keeps no account of the dead: a child of a parent that ignores SIGCHLD, a grandchild
    that outlives its parent, the switches of a thread, any ended child on macOS. Their last values stay counted.
    """

    def __init__(self) -> None:
        self._last = 0.0
        self._carried = 0.0

    def advance(self, parts: Iterable[float]) -> float:
        """Add up the parts, and carry from then on the part that is missing since the last time."""
        total = sum(parts)
        self._carried = max(self._carried, self._last - total)
        self._last = total + self._carried
        return self._last


class _Reading(NamedTuple):
    """The use of one process, with that of its waited-for children where the system reports it."""

    cpu_s: float
    voluntary: int
    involuntary: int
    threads: int


def _unless_ended(measure: Callable[[psutil.Process], T], process: psutil.Process) -> T | None:
    try:
        return measure(process)
    except psutil.Error:
        return None


def _parent(process: psutil.Process) -> int:
    return process.ppid()


def _reading(process: psutil.Process) -> _Reading:
    voluntary, involuntary = _switches(process)
    return _Reading(_process_cpu_s(process), voluntary, involuntary, process.num_threads())


def _process_cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system + times.children_user + times.children_system


def _switches(process: psutil.Process) -> tuple[int, int]:
    """Count the voluntary and involuntary context switches of all threads of a process."""
    if process.pid == os.getpid():
        used = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
        return sum(usage.ru_nvcsw for usage in used), sum(usage.ru_nivcsw for usage in used)
    if not psutil.LINUX:
        return process.num_ctx_switches()
    # psutil reads the status of the process, which is that of its main thread: on a pool of threads, the idle one.
    counts = [_task_switches(task) for task in _tasks(process.pid)]
    return sum(voluntary for voluntary, _ in counts), sum(involuntary for _, involuntary in counts)


def _task_switches(task: Path) -> tuple[int, int]:
    try:
        counts = _SWITCHES.findall((task / "status").read_bytes())
    except OSError:  # the thread has ended
        return 0, 0
    # A sandbox that stands in for the kernel may leave the two lines out.
    voluntary, involuntary = counts or (0, 0)
    return int(voluntary), int(involuntary)


class _Memory(NamedTuple):
    """The memory of one process, in bytes; None where the system does not report it."""

    pss_bytes: int | None
    private_bytes: int | None
    rss_bytes: int | None


_UNKNOWN = _Memory(None, None, None)


def _memory(process: psutil.Process) -> _Memory:
    """Read the PSS, its private part and the RSS at once; all are 0 of a process that has ended."""
    try:
        info = process.memory_full_info()
    except psutil.NoSuchProcess:
        return _Memory(0, 0, 0)
    except psutil.AccessDenied:
        return _UNKNOWN
    # macOS reports private memory but no PSS, of which it should be a part.
    return _Memory(info.pss, info.uss, info.rss) if hasattr(info, "pss") else _Memory(None, None, info.rss)


def _part(process: psutil.Process, held: _Memory) -> ProcessSample:
    """Return what one process holds."""
    files, sockets = _open_files(process)
    return ProcessSample(pid=process.pid, rss_bytes=held.rss_bytes, open_files=files, sockets=sockets)


def _open_files(process: psutil.Process) -> tuple[int | None, int | None]:
    """Count the open descriptors of a process, and those of them that are sockets; None of what is not known."""
    if not psutil.LINUX:
        return _unless_ended(psutil.Process.num_fds, process), None
    try:
        links = [_link(each) for each in Path(f"/proc/{process.pid}/fd").iterdir()]
    except OSError:  # it has ended, or is not ours to look into
        return None, None
    return len(links), sum(link.startswith("socket:") for link in links)


def _link(file: Path) -> str:
    try:
        return str(file.readlink())
    except OSError:  # closed meanwhile
        return ""


def _sum_known(values: Iterable[int | None]) -> int | None:
    """Return the sum, or None if a part is unknown: half of a tree's memory is no figure."""
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)


def _processes_of_tree(root: psutil.Process, before: list[psutil.Process]) -> list[psutil.Process]:
    """
    List the processes of a tree, parents before their children.

    The kernel's list of children is cheap, but may skip one while another ends. psutil reads every process of the
    machine, which is complete and costs ten times as much: it is used at first, and whenever one seems to have ended.
    """
    if psutil.LINUX and before:
        try:
            tree = [root, *_descendants(root.pid)]
        except OSError:  # this kernel keeps no such list, or a thread has ended
            tree = []
        if set(before) <= set(tree):
            return tree
    return [root, *root.children(recursive=True)]


def _descendants(pid: int) -> Iterator[psutil.Process]:
    for task in _tasks(pid):
        for child in (task / "children").read_bytes().split():
            try:
                yield psutil.Process(int(child))
            except psutil.NoSuchProcess:
                continue
            yield from _descendants(int(child))


def _tasks(pid: int) -> list[Path]:
    """List the directories of a process's threads; none if it has ended."""
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []
