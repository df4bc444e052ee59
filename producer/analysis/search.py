"""
A bracketed search for the highest rate that passes. Pure: it is given the result of each rate, and returns the next.

First the rate doubles until one fails, or halves until one passes; then each probe goes to the geometric middle of
the bracket, until its ends are within the precision; then the lower end is confirmed by a repeat. If that fails, the
bracket moves below it, and the search goes on.
"""

from __future__ import annotations

from math import sqrt

STEP = 2.0
LOWEST_PER_S = 1.0
HIGHEST_PER_S = 20_000.0
MAX_PROBES = 40


class Search:
    """
    One lane's search.

    Attributes:
        held_per_s: The highest rate that passed and is below all that failed; None before there is one.
        broke_per_s: The lowest rate that failed; None before there is one.
        confirmed: The held rate passed twice, and the bracket is as narrow as asked.
    """

    def __init__(
        self,
        first_per_s: float,
        *,
        precision: float,
        lowest_per_s: float = LOWEST_PER_S,
        highest_per_s: float = HIGHEST_PER_S,
    ) -> None:
        """
        Begin a search.

        Args:
            first_per_s: The first rate to probe.
            precision: How far apart the ends of the bracket may stay, as a part of the lower one.
            lowest_per_s: Below this no rate is probed.
            highest_per_s: Above this none is, either.
        """
        self.held_per_s: float | None = None
        self.broke_per_s: float | None = None
        self.confirmed = False
        self._first_per_s = min(max(first_per_s, lowest_per_s), highest_per_s)
        self._precision = precision
        self._lowest_per_s = lowest_per_s
        self._highest_per_s = highest_per_s
        self._passed: list[float] = []
        self._probes = 0

    @property
    def narrow(self) -> bool:
        """True if the bracket is as narrow as asked, or cannot be closed from above."""
        if self.held_per_s is None:
            return False
        if self.broke_per_s is None:
            return self.held_per_s >= self._highest_per_s
        return self.broke_per_s <= self.held_per_s * (1 + self._precision)

    @property
    def over(self) -> bool:
        """True if there is nothing left to probe."""
        hopeless = self.broke_per_s is not None and self.broke_per_s <= self._lowest_per_s
        return self.confirmed or hopeless or self._probes >= MAX_PROBES

    @property
    def confirming(self) -> bool:
        """True if the next probe repeats one that passed."""
        return self.narrow and not self.over

    def next_per_s(self) -> float:
        """Return the next rate to probe, while the search is not over."""
        held, broke = self.held_per_s, self.broke_per_s
        if held is not None and self.narrow:
            return held
        if held is None and broke is None:
            return self._first_per_s
        if broke is None:
            return min((held or 0.0) * STEP, self._highest_per_s)
        if held is None:
            return max(broke / STEP, self._lowest_per_s)
        return sqrt(held * broke)

    def tell(self, rate_per_s: float, *, passed: bool) -> None:
        """Record whether the probe at a rate passed."""
        confirming = self.confirming and rate_per_s == self.held_per_s
        self._probes += 1
        if passed:
            self._passed.append(rate_per_s)
            self.held_per_s = max(self.held_per_s or 0.0, rate_per_s)
            self.confirmed = confirming
        else:
            self.broke_per_s = min(self.broke_per_s or rate_per_s, rate_per_s)
            self._passed = [each for each in self._passed if each < rate_per_s]
            self.held_per_s = max(self._passed, default=None)
