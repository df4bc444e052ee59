"""
A search for the limit: where to probe next, and when to stop. Pure: it is given the result of each rate.

First the rate doubles until one fails, or halves until one passes. Then each probe goes to the rate that is expected
to narrow the limit's interval most, until it is as narrow as asked or there have been enough probes. A failure below a
rate that passed, or a pass above one that failed, is tried again where that tells more than anything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from producer.analysis.limit_fit import fit, most_telling_per_s

if TYPE_CHECKING:
    from producer.analysis.limit_fit import Fit, Probed

STEP = 2.0
LOWEST_PER_S = 1.0
HIGHEST_PER_S = 20_000.0
MOST_PROBES = 18
"""Each one beyond these would narrow the interval by less than a thirtieth."""

ENDS = 2
"""How often the lowest rate must fail, or the highest pass, until there is nothing to look for between them."""


class Search:
    """
    One lane's search.

    Attributes:
        probes: Every rate so far, and whether it passed.
        fit: Where the limit lies by them; None until one has passed and one has failed.
    """

    def __init__(
        self,
        first_per_s: float,
        *,
        precision: float,
        most_probes: int = MOST_PROBES,
        lowest_per_s: float = LOWEST_PER_S,
        highest_per_s: float = HIGHEST_PER_S,
    ) -> None:
        """
        Begin a search.

        Args:
            first_per_s: The first rate to probe.
            precision: How long the limit's interval may be, as a part of its lower end.
            most_probes: It ends after so many, however long the interval is.
            lowest_per_s: Below this no rate is probed.
            highest_per_s: Above this none is, either.
        """
        self.probes: list[Probed] = []
        self.fit: Fit | None = None
        self._precision = precision
        self._most_probes = most_probes
        self._lowest_per_s = lowest_per_s
        self._highest_per_s = highest_per_s
        self._first_per_s = self._allowed(first_per_s)

    @property
    def narrow(self) -> bool:
        """True if the interval is as narrow as was asked."""
        return self.fit is not None and self.fit.width <= self._precision

    @property
    def over(self) -> bool:
        """True if there is nothing left to probe."""
        return self.narrow or self._at_an_end or len(self.probes) >= self._most_probes

    @property
    def _at_an_end(self) -> bool:
        """True if not even the lowest rate passed, or the highest did, and no probe says otherwise."""
        return self.fit is None and any(
            self.probes.count(end) >= ENDS for end in ((self._lowest_per_s, False), (self._highest_per_s, True))
        )

    def next_per_s(self) -> float:
        """Return the next rate to probe, while the search is not over."""
        if not self.probes:
            return self._first_per_s
        if self.fit:
            return self._allowed(most_telling_per_s(self.probes))
        rates = [rate for rate, _ in self.probes]
        all_passed = self.probes[0][1]
        return self._allowed(max(rates) * STEP if all_passed else min(rates) / STEP)

    def tell(self, rate_per_s: float, *, passed: bool) -> None:
        """Record whether the probe at a rate passed."""
        self.probes.append((rate_per_s, passed))
        self.fit = fit(self.probes)

    def _allowed(self, rate_per_s: float) -> float:
        return min(max(rate_per_s, self._lowest_per_s), self._highest_per_s)
