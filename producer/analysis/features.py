"""Compares what pools were seen to do with what is said of them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from poolrace.pools import POOLS, Feature


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """
    A feature that was tried on a pool.

    Attributes:
        pool: The pool.
        feature: The name of a `Feature`, or of a habit.
        happens: Whether it was seen to work.
    """

    pool: str
    feature: str
    happens: bool

    @property
    def said(self) -> bool | None:
        """Whether it works as `poolrace.pools` has it; None of what that does not have."""
        if self.feature not in {each.value for each in Feature}:
            return None
        return POOLS[self.pool].offers(Feature(self.feature))

    @property
    def agrees(self) -> bool:
        """Whether what was seen is what is said, or nothing is said."""
        return self.said in {None, self.happens}


def disagreements(tried: Sequence[Tried]) -> list[str]:
    """Return in words where a pool did not do what is said of it, or did what it is said not to do."""
    return [
        f"{each.feature} on {each.pool}: {'works' if each.happens else 'does not work'} here, "
        f"{'works' if each.said else 'does not'} by poolrace/pools.py"
        for each in tried
        if not each.agrees
    ]
