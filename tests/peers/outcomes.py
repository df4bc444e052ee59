"""What tests came to, by name, and how two lists of that differ. Pure."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree.ElementTree import parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FAILED = frozenset({"failure", "error"})


def read_outcomes(junit: Path) -> dict[str, str]:
    """
    Return what each test came to, `passed`, `failed` or `skipped`, from JUnit XML that pytest wrote.

    A name is `file::class::test`. Of a test that is in the file more than once, as with its subtests, one failure is
    enough.
    """
    found: dict[str, str] = {}
    for case in parse(junit).iter("testcase"):
        name = f"{case.get('classname', '').rpartition('integration.')[2]}::{case.get('name')}"
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & FAILED else "skipped" if "skipped" in kinds else "passed"
        found[name] = "failed" if "failed" in {outcome, found.get(name)} else outcome
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """
    A difference that is known.

    Attributes:
        tests: A regular expression for the whole names of its tests.
        atomic: What they come to on the atomic transport.
        reason: Why that is right.
    """

    tests: str
    atomic: str
    reason: str

    def covers(self, name: str, atomic: str) -> bool:
        """Return whether a test that came to this on the atomic transport is one of those."""
        return atomic == self.atomic and re.fullmatch(self.tests, name) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """
    How the outcomes on both transports differ.

    Attributes:
        stock: How many tests came to what, on kombu's transport.
        atomic: The same on the atomic transport.
        known: Names of tests that differ as expected, by the reason.
        unknown: Names of tests that differ, with both outcomes.
        idle: Expectations that no test differs by.
    """

    stock: Mapping[str, int]
    atomic: Mapping[str, int]
    known: Mapping[str, Sequence[str]]
    unknown: Mapping[str, tuple[str, str]]
    idle: Sequence[Expected]


def compare(stock: Mapping[str, str], atomic: Mapping[str, str], expected: Sequence[Expected]) -> Differences:
    """Compare outcomes on both transports, test by test; a test that ran on one alone is `absent` on the other."""
    known: dict[str, list[str]] = {}
    unknown: dict[str, tuple[str, str]] = {}
    met = set()
    for name in sorted({*stock, *atomic}):
        before, after = stock.get(name, "absent"), atomic.get(name, "absent")
        if before == after:
            continue
        covering = next((each for each in expected if each.covers(name, after)), None)
        if covering is None:
            unknown[name] = before, after
        else:
            met.add(covering)
            known.setdefault(covering.reason, []).append(name)
    return Differences(
        stock=Counter(stock.values()),
        atomic=Counter(atomic.values()),
        known=known,
        unknown=unknown,
        idle=[each for each in expected if each not in met],
    )
