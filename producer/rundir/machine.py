"""The machine that a run was made on, as its manifest describes it: facts, and how quiet it was just before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from poolrace.cgroup import Limits

GAP_S = 0.0002
"""Between two looks at the clock, time that something else had. Taking an interrupt is shorter."""

MAX_LOST_SHARE = 0.02
MAX_GAP_S = 0.01
MAX_STEAL_SHARE = 0.05
"""Beyond these a machine is not quiet. One tick of steal in 0.3 s on two cores is 1.7 %, so less cannot be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """
    The facts about a machine that belong to a run.

    Attributes:
        cores_logical: What the machine has, hyper-threads counted.
        cores_available: What this process may run on.
        limits: What its cgroup leaves to it.
        memory_total_bytes: What the machine has.
        memory_available_bytes: What can be had without swapping.
        cpu_model: As the kernel names it; None if it does not.
        cpu_governor: How the clock frequency is chosen; None if unknown.
        system: Operating system, e.g. `Linux`.
        kernel: Its release.
        architecture: e.g. `x86_64`.
        container: `docker`, `podman`, `kubernetes`, `lxc` or another name; None outside.
        python: Version, e.g. `3.11.7`.
        implementation: e.g. `CPython`.
        free_threaded: The interpreter was built to run without the GIL.
        gil: The GIL is on, here and now.
        versions: Of the packages that can change a result; None of those that are absent.
        load_average: Over 1, 5 and 15 minutes; None if unknown.
        open_files: How many files a process may have open; None without a limit.
    """

    cores_logical: int
    cores_available: int
    limits: Limits
    memory_total_bytes: int
    memory_available_bytes: int
    cpu_model: str | None
    cpu_governor: str | None
    system: str
    kernel: str
    architecture: str
    container: str | None
    python: str
    implementation: str
    free_threaded: bool
    gil: bool
    versions: Mapping[str, str | None]
    load_average: tuple[float, float, float] | None
    open_files: int | None

    @property
    def cores(self) -> float:
        """How many cores' worth of work can be done at once."""
        return min(self.cores_available, self.limits.cpu_quota or self.cores_available)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """
    How much of a core something else had while a loop did nothing but read the clock.

    Attributes:
        elapsed_s: How long the loop ran.
        lost_share: The part of it in gaps longer than `GAP_S`.
        worst_gap_s: The longest time between two looks at the clock; 0 if none was longer than `GAP_S`.
        steal_share: The part of all cores' time that the host of a virtual machine kept; None if unknown.
    """

    elapsed_s: float
    lost_share: float
    worst_gap_s: float
    steal_share: float | None

    @property
    def quiet(self) -> bool:
        """Differences between lanes will not drown in it."""
        return self.advice is None

    @property
    def advice(self) -> str | None:
        """What to do about it; None on a quiet machine."""
        if self.steal_share is not None and self.steal_share > MAX_STEAL_SHARE:
            return "The host gives this virtual machine's time to others: take more pairs, or a dedicated machine."
        if self.lost_share > MAX_LOST_SHARE:
            return "Other programs use the cores: close them, or take more pairs."
        if self.worst_gap_s > MAX_GAP_S:
            return "Something stops the cores for long: trust the high percentiles less, or take more pairs."
        return None
