"""The price of a core-hour: given to the report, not stored in the run. Pure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from producer.errors import UsageError

MILLION, HOUR_S = 1_000_000, 3600
EXAMPLES = "e.g. 0.04 or '0.04 EUR'"
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_WRITTEN = re.compile(rf"(?P<number>{_NUMBER})\s*(?P<currency>[^\W\d_]{{2,8}}|[€$£¥])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """
    A price.

    Attributes:
        core_hour: Of one core for an hour.
        currency: Its unit, as the reader wrote it; empty if none was given.
    """

    core_hour: float
    currency: str = ""

    def of_jobs(self, cpu_s_per_job: float | None) -> float | None:
        """Return the price of the CPU time of a million jobs, if no core idles that is paid for; None if unknown."""
        return None if cpu_s_per_job is None else cpu_s_per_job * MILLION / HOUR_S * self.core_hour


def parse_price(text: str) -> Price:
    """
    Parse a price: a number and, if there is one, its currency.

    Raises:
        UsageError: If it is not a price; the message shows one.
    """
    found = _WRITTEN.fullmatch(text.strip())
    core_hour = float(found["number"]) if found else math.nan
    if found is None or not math.isfinite(core_hour) or core_hour < 0:
        raise UsageError(f"--core-hour {text!r}: no price. Give a number of 0 or more, and its currency, {EXAMPLES}.")
    return Price(core_hour=core_hour, currency=found["currency"] or "")
