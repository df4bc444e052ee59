"""What jobs do, as plain functions, and the registry of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType
from typing import TYPE_CHECKING

from worker.workloads import cpu, disk, fetch, mixed, native, noop, sleep

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Sizing(Enum):
    """How the arguments of a job come from the duration that it should have."""

    WORK = auto()
    """Units of work that take the target on this machine; their rate is measured."""

    WAIT = auto()
    """The target in microseconds."""

    WAIT_AND_WORK = auto()
    """A wait in microseconds, then units of work, as the CPU share divides the target between the two."""

    FIXED = auto()
    """The same on every machine, whatever the target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """
    One kind of job.

    Attributes:
        name: What users call it; its task is `worker.<name>`.
        does: What a job does, in a sentence.
        function: The work. Takes the amounts by position, and by keyword the settings it `needs`.
        needs: Fields of `worker.settings.Settings` that the function takes by keyword.
        holds_gil: How much of a job needs the interpreter's global lock.
        sizing: How the amounts come from a target.
        target_s: How long a job should take if the user does not say, in seconds; None where nobody can tell.
        work: Does a number of units of the work to be measured; None where none is.
        fixed: The amounts, where they are fixed.
        cpu_share: Part of the target that is work and not waiting, 0 to 1, if the user does not say.
    """

    name: str
    does: str
    function: Callable[..., object]
    holds_gil: str
    sizing: Sizing
    target_s: float | None
    needs: tuple[str, ...] = ()
    work: Callable[[int], object] | None = None
    fixed: tuple[int, ...] = ()
    cpu_share: float = 0.0


_ALL = (
    Workload(
        name="cpu",
        does="Mixes a number in pure Python.",
        function=cpu.mix,
        holds_gil="always",
        sizing=Sizing.WORK,
        target_s=0.020,
        work=cpu.mix,
        cpu_share=1.0,
    ),
    Workload(
        name="native",
        does="Hashes with SHA-256 in C.",
        function=native.digest,
        holds_gil="hardly",
        sizing=Sizing.WORK,
        target_s=0.020,
        work=native.digest,
        cpu_share=1.0,
    ),
    Workload(
        name="io",
        does="Fetches a document over HTTP from a service that takes its time.",
        function=fetch.fetch,
        needs=("upstream_url",),
        holds_gil="hardly",
        sizing=Sizing.WAIT,
        target_s=0.050,
    ),
    Workload(
        name="disk",
        does="Writes 256 KiB to a file and waits until the disk has it.",
        function=disk.write,
        needs=("disk_dir",),
        holds_gil="hardly",
        sizing=Sizing.FIXED,
        target_s=None,
        fixed=(64,),
    ),
    Workload(
        name="mixed",
        does="Fetches a document over HTTP, parses it and computes in pure Python.",
        function=mixed.fetch_and_compute,
        needs=("upstream_url",),
        holds_gil="for its CPU share",
        sizing=Sizing.WAIT_AND_WORK,
        target_s=0.040,
        work=cpu.mix,
        cpu_share=0.25,
    ),
    Workload(
        name="sleep",
        does="Sleeps.",
        function=sleep.sleep,
        holds_gil="hardly",
        sizing=Sizing.WAIT,
        target_s=0.050,
    ),
    Workload(
        name="noop",
        does="Does nothing: the job is what Celery itself costs.",
        function=noop.noop,
        holds_gil="hardly",
        sizing=Sizing.FIXED,
        target_s=0.0,
    ),
)

WORKLOADS: Mapping[str, Workload] = MappingProxyType({workload.name: workload for workload in _ALL})
"""Every workload by its name."""
