"""The machine that a run was made on, as its manifest describes it: facts, and how quiet it was just before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from poolrace.cgroup import Limits

GAP_S = 0.0002
"""A longer gap between two readings of the clock is time that something else had; an interrupt takes less."""

MAX_LOST_SHARE = 0.02
MAX_GAP_S = 0.01
MAX_STEAL_SHARE = 0.05
"""Beyond these a machine is not quiet. One tick of steal in 0.3 s on two cores is 1.7 %: the least that shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """
    The facts about a machine that belong to a run.

    Attributes:
        cores_logical: Cores of the machine, hyper-threads counted.
        cores_available: Cores that this process may run on.
        limits: The limits of its cgroup.
        memory_total_bytes: Memory of the machine.
        memory_available_bytes: Memory that is free without swapping.
        cpu_model: The kernel's name for the CPU; None if it gives none.
        cpu_governor: The kernel's policy for the clock frequency; None if unknown.
        system: Operating system, e.g. `Linux`.
        kernel: Its release.
        architecture: e.g. `x86_64`.
        container: `docker`, `podman`, `kubernetes`, `lxc` or another name; None outside.
        python: Version, e.g. `3.11.7`.
        implementation: e.g. `CPython`.
        free_threaded: The interpreter was built to run without the GIL.
        gil: The GIL is on, here and now.
        versions: Versions of the packages that can change a result; None for one that is absent.
        load_average: The load over 1, 5 and 15 minutes; None if unknown.
        open_files: The most files that a process may have open; None without a limit.
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
        """The cores' worth of work that can be done at once."""
        return min(self.cores_available, self.limits.cpu_quota or self.cores_available)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """
    The part of a core that something else used while a loop did nothing but read the clock.

    Attributes:
        elapsed_s: The time that the loop ran.
        lost_share: The part of it in gaps longer than `GAP_S`.
        worst_gap_s: The longest gap between two readings; 0 if no gap was longer than `GAP_S`.
        steal_share: The part of all cores' time that the host of a virtual machine kept; None if unknown.
    """

    elapsed_s: float
    lost_share: float
    worst_gap_s: float
    steal_share: float | None

    @property
    def quiet(self) -> bool:
        """True if it is too small to hide differences between lanes."""
        return self.advice is None

    @property
    def advice(self) -> str | None:
        """The thing to do about it; None on a quiet machine."""
        if self.steal_share is not None and self.steal_share > MAX_STEAL_SHARE:
            return "The host gives this virtual machine's time to others: take more pairs, or a dedicated machine."
        if self.lost_share > MAX_LOST_SHARE:
            return "Other programs use the cores: close them, or take more pairs."
        if self.worst_gap_s > MAX_GAP_S:
            return "Something stops the cores for long: trust the high percentiles less, or take more pairs."
        return None
