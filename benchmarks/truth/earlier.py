"""
What a race tells in the time that an earlier version took: both race in turn on this machine.

    git worktree add ../earlier 2dfa023 && make -C ../earlier setup
    python -m benchmarks.truth.earlier ../earlier --races 6        three to four minutes for a race of each

Both race the same four workloads on both pools: the earlier version five pairs of everything, as it does by default,
and this one for as long as that took, from the command to its end. What comes of it is in `benchmarks.truth.same_time`.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scipy.special import digamma, stdtrit

from producer.analysis.sequential import half_width

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]
EARLIER_OUTSIDE = 0.05
"""The intervals of the earlier version are those of an ordinary t-test, and the truth is outside so often."""

BESIDE_S = 15.0
"""What a race takes beside its measuring, to begin with: nodes that start, and the report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raced:
    """
    What a race found.

    Attributes:
        took_s: From the command to its end, in seconds.
        sds: By measure and workload, how much the log ratio varied from pair to pair, and by how many pairs.
    """

    took_s: float
    sds: dict[tuple[str, str], tuple[float, int]]

    @property
    def rounds(self) -> int:
        """The rounds that count."""
        return sum(pairs for _, pairs in self.sds.values())


def race(folder: Path, *options: str) -> Raced:
    """
    Race by the version in a folder, with the default workloads and lanes.

    Args:
        folder: Of a checkout, with its environment in `.venv`.
        options: Of `poolrace race`.
    """
    command = [str(folder.resolve() / ".venv" / "bin" / "poolrace"), "race", "--json", *options]
    with tempfile.TemporaryDirectory() as out:
        began_s = time.monotonic()
        ended = subprocess.run(
            [*command, "--out", out], cwd=folder, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        took_s = time.monotonic() - began_s
    verdicts = [each for workload in json.loads(ended.stdout)["workloads"] for each in workload["verdicts"]]
    return Raced(took_s=took_s, sds={(each["measure"], each["workload"]): deviation(each) for each in verdicts})


def deviation(verdict: dict[str, Any]) -> tuple[float, int]:
    """Return how much the log ratio of a verdict varied from pair to pair, by its interval; and its pairs."""
    pairs, half = verdict["pairs"], math.log(verdict["high"] / verdict["low"]) / 2
    if (confidence := verdict.get("confidence")) is not None:
        return half / half_width(1 - confidence, pairs, 1.0), pairs
    return half * math.sqrt(pairs) / float(stdtrit(pairs - 1, 1 - EARLIER_OUTSIDE / 2)), pairs


def typical(found: Sequence[tuple[float, int]]) -> float:
    """Return the geometric mean of deviations, each of which was found from so many pairs, without its bias."""
    logs = [math.log(sd) - _bias(pairs - 1) for sd, pairs in found if sd > 0]
    return math.exp(sum(logs) / len(logs))


def _bias(freedom: int) -> float:
    """Return by how much the logarithm of a deviation from normal pairs is off on average."""
    return float(digamma(freedom / 2) - math.log(freedom / 2)) / 2


def main(words: Sequence[str] | None = None) -> int:
    """Race in turn, and print what a race of each version takes and tells."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("earlier", type=Path, help="a checkout of the earlier version, with its environment in .venv")
    parser.add_argument("--races", type=int, default=6, help="of each version (default: 6)")
    asked = parser.parse_args(words)
    before: list[Raced] = []
    now: list[Raced] = []
    beside_s = BESIDE_S
    for number in range(asked.races):
        before.append(race(asked.earlier))
        at_most_s = before[-1].took_s - beside_s
        now.append(race(ROOT, "--at-most", f"{at_most_s:.1f}s"))
        beside_s = now[-1].took_s - at_most_s
        told = (f"{each.took_s:6.1f} s {each.rounds:3} rounds" for each in (before[-1], now[-1]))
        print(f"race {number + 1}: before {next(told)}, now {next(told)}", flush=True)
    _print_table(before, now)
    return 0


def _print_table(before: Sequence[Raced], now: Sequence[Raced]) -> None:
    print(f"\n{'':20}{'before':>10}{'now':>10}{'now/before':>12}   how much pairs vary")
    factors: dict[str, list[float]] = {}
    for key in before[0].sds:
        was, is_now = (typical([each.sds[key] for each in races]) for races in (before, now))
        factors.setdefault(key[0], []).append(is_now / was)
        print(f"{key[0]:10}{key[1]:10}{was:10.4f}{is_now:10.4f}{is_now / was:12.2f}")
    for measure, each in factors.items():
        print(f"{measure}: {math.exp(sum(map(math.log, each)) / len(each)):.2f} of what it was")
    rounds = [sum(each.rounds for each in races) / len(races) for races in (before, now)]
    print(f"rounds in that time: {rounds[0]:.1f} before, {rounds[1]:.1f} now")


if __name__ == "__main__":
    sys.exit(main())
