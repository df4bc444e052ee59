"""What a core costs whoever reads a report: no run knows it, so it is told to the report. Pure."""

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
        """What the CPU time of a million jobs costs, if no core idles that is paid for; None if it is not known."""
        return None if cpu_s_per_job is None else cpu_s_per_job * MILLION / HOUR_S * self.core_hour


def parse_price(text: str) -> Price:
    """
    A price from a number and, if there is one, its currency.

    Raises:
        UsageError: If it is none; says what is.
    """
    found = _WRITTEN.fullmatch(text.strip())
    core_hour = float(found["number"]) if found else math.nan
    if found is None or not math.isfinite(core_hour) or core_hour < 0:
        raise UsageError(f"--core-hour {text!r}: no price. Give a number of 0 or more, and its currency, {EXAMPLES}.")
    return Price(core_hour=core_hour, currency=found["currency"] or "")
