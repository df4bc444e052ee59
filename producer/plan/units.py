"""Parses durations, sizes, rates, shares and counts as they are written on a command line."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

from producer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


_DURATION = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h)?")

TIME_UNITS_S: Mapping[str, float] = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}

_EXAMPLES_S: Mapping[str, float] = {"20ms": 0.02, "1.5s": 1.5, "2m": 120.0, "2ms": 0.002}
"""Times as they are written; an error names the first two that are allowed."""

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB)?")

SIZE_UNITS_BYTES: Mapping[str, float] = {"B": 1.0, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}

MAX_RATE_PER_S = 1e6

MAX_PORT = 65535

DAY_S = 24 * 3600.0
"""The longest that a load or a recording may take."""


def parse_duration_s(text: str, name: str, low_s: float, high_s: float) -> float:
    """
    Return the seconds in `20ms`, `1.5s`, `2m`, `1h` or a plain number of seconds.

    Raises:
        UsageError: With the name, the value and what is allowed.
    """
    match = _DURATION.fullmatch(text.strip())
    value_s = float(match[1]) * TIME_UNITS_S[match[2] or "s"] if match else -1.0
    if not low_s <= value_s <= high_s:
        examples = [example for example, seconds in _EXAMPLES_S.items() if low_s <= seconds <= high_s]
        raise UsageError(
            f"{name} {text!r}: must be a time from {low_s:g}s to {high_s:g}s, e.g. {' or '.join(examples[:2])}."
        )
    return value_s


def parse_size_bytes(text: str, name: str, high_bytes: int) -> int:
    """
    Return the bytes in `64KiB`, `1.5MiB` or a plain number.

    Raises:
        UsageError: With the name, the value and what is allowed.
    """
    match = _SIZE.fullmatch(text.strip())
    value = round(float(match[1]) * SIZE_UNITS_BYTES[match[2] or "B"]) if match else -1
    if not 0 <= value <= high_bytes:
        raise UsageError(f"{name} {text!r}: must be a size from 0 to {high_bytes // 2**20} MiB, e.g. 512B or 64KiB.")
    return value


def fraction(text: str, name: str, low: float, high: float) -> float:
    """
    Return the number in a text, if it is within bounds.

    Raises:
        UsageError: With the name, the value and the bounds.
    """
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise UsageError(f"{name} {text!r}: must be a number from {low:g} to {high:g}, e.g. {max(low, 0.25):g}.")
    return value


def whole_number(text: str, name: str, low: int, high: int) -> int:
    """
    Return the whole number in a text, if it is within bounds.

    Raises:
        UsageError: With the name, the value and the bounds.
    """
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise UsageError(f"{name} {text!r}: must be a whole number from {low} to {high}, e.g. {max(low, 8)}.")
    return value


def parse_choice(text: str, name: str, allowed: Sequence[str]) -> str:
    """
    Return a word, if it is one of those allowed.

    Raises:
        UsageError: With the name, the word and those allowed.
    """
    if text not in allowed:
        raise UsageError(f"{name} {text!r}: must be {' or '.join(allowed)}.")
    return text


def one_of(wrong: str, allowed: Sequence[str]) -> str:
    """List the allowed words, with a hint at the one nearest to a wrong one."""
    near = get_close_matches(wrong, allowed, n=1)
    return ", ".join(allowed) + (f" (did you mean {near[0]}?)" if near else "")


def parse_rate(text: str, name: str, highest_per_s: float = MAX_RATE_PER_S) -> float:
    """
    Return the jobs per second in `5/s`, `300/m` or a plain number.

    Raises:
        UsageError: With the name, the value and what is allowed.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(?:/(s|m))?", text.strip())
    rate_per_s = float(match[1]) / (60 if match[2] == "m" else 1) if match else 0.0
    if not 0 < rate_per_s <= highest_per_s:
        raise UsageError(f"{name} {text!r}: must be a rate above 0 and up to {highest_per_s:,.0f}/s, e.g. 5/s or 30/m.")
    return rate_per_s
