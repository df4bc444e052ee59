"""A workload: one kind of job, as a plain function with all that a race must know of it."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType
from typing import TYPE_CHECKING

from poolrace import workloads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


class Sizing(Enum):
    """The way from the duration that a job should have to its arguments."""

    WORK = auto()
    """Units of work that take the target on this machine; their rate is measured."""

    WAIT = auto()
    """The target in microseconds."""

    WAIT_AND_WORK = auto()
    """A wait in microseconds, then units of work. The CPU share divides the target between the two."""

    FIXED = auto()
    """The same on every machine, whatever the target."""


MEASURED = frozenset({Sizing.WORK, Sizing.WAIT_AND_WORK})


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """
    One kind of job.

    Attributes:
        name: Its name for users, as a literal; its task is `worker.<name>`.
        function: The work. Takes the amounts by position, and by keyword the settings it `needs`.
        needs: Fields of `worker.settings.Settings` that the function takes by keyword, as a literal.
        sizing: The way from a target to the amounts.
        target_s: Duration of a job unless the user says otherwise, in seconds; None if it is unknown.
        work: Does a number of units of the work to be measured; None if nothing is measured.
        fixed: The amounts, if they are fixed.
        cpu_share: Part of the target that is work after a wait, 0 to 1, unless the user says otherwise.
    """

    name: str
    function: Callable[..., object]
    sizing: Sizing
    target_s: float | None
    needs: tuple[str, ...] = ()
    work: Callable[[int], object] | None = None
    fixed: tuple[int, ...] = ()
    cpu_share: float = 0.0

    def __post_init__(self) -> None:
        """Check that the sizing has all that it needs."""
        if self.sizing in MEASURED and self.work is None:
            raise ValueError(f"workload {self.name}: {self.sizing} measures work. Give work=, e.g. the function.")
        if self.sizing is not Sizing.FIXED and self.target_s is None:
            raise ValueError(f"workload {self.name}: {self.sizing} needs a target. Give target_s=, e.g. 0.020.")
        if not 0 <= self.cpu_share <= 1:
            raise ValueError(f"workload {self.name}: cpu_share {self.cpu_share} must be from 0 to 1.")


def load(package: str, folder: Path) -> Mapping[str, Workload]:
    """
    Import the workloads of a package, by name and in the order of names.

    Raises:
        ValueError: If a module declares no workload, or two modules declare one of the same name.
    """
    modules = {each.name: f"{package}.{each.module}" for each in workloads.declarations(folder)}
    found = {name: getattr(importlib.import_module(module), workloads.CONSTANT) for name, module in modules.items()}
    return MappingProxyType(found)
