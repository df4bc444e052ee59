"""
What a race's verdicts and recommendations are worth, where the truth is known: `python -m benchmarks.truth.races`.

Races of the worlds of `benchmarks.truth.worlds`, by a copy of the code paths that runs thousands of them at once; some
hundred races are run by `producer.analysis.allocation.standing` itself as well, and must end alike. A race is three
rounds of everything, then rounds where they decide most. Every round is taken to last equally long. Budgets are rounds
of a race of eight groups (four workloads, capacity and latency); a race of fewer or more has its part of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtr, stdtrit

from benchmarks.truth.worlds import EQUAL_LANES, TRUE_RATIOS
from producer.analysis.allocation import AHEAD_PAIRS, standing
from producer.analysis.pairs import PairedValues
from producer.analysis.recommendation import WORST_OUTSIDE, WORST_SHARE
from producer.analysis.sequential import HEIGHTS, LEAST_PAIRS, half_width, weight
from producer.analysis.verdict import LIKELY, MARGIN, OUTSIDE_ALIKE, OUTSIDE_INTERVAL, WRONG_WINNERS
from producer.analysis.verdict_words import NO_DIFFERENCE, OPEN
from producer.plan.arrivals import seed_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from benchmarks.truth.worlds import World

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

RACES = 10_000
SAMPLE = 20
"""Races of each world that are run by the real code paths, too."""

BUDGETS = (34, 40, 46, 52)
DEFAULT_BUDGET = 46
GROUPS = 8
MOST_PAIRS_A_COMPARISON = 60
"""Where a race that goes on until all is settled is given up here; no race of a budget has as many."""

PROMISE = 0.01
BEYOND = 0.002
"""Of the lanes that are recommended, the part that may be slower than the worst case that was said."""

LOG_MARGIN = math.log1p(MARGIN)
FAR = 10 * AHEAD_PAIRS[-1]
_LEVELS, _HEIGHTS = np.log(HEIGHTS).T


@cache
def _widths(level: float, most: int) -> Floats:
    """Return half the width of an interval over the deviation, by the number of pairs; endless where there is none."""
    return np.array([half_width(level, n, 1.0) if n >= LEAST_PAIRS else np.inf for n in range(most + 1)])


@cache
def _weights(most: int) -> Floats:
    return np.array([weight(max(n, 1)) for n in range(most + 1)])


def _level_reached(p_values: Floats, weights: Floats) -> Floats:
    height = np.maximum(p_values / weights, 1e-300)
    found = np.exp(np.interp(np.log(height), _HEIGHTS, _LEVELS))
    found = np.where(height <= HEIGHTS[0][1], HEIGHTS[0][0] * height / HEIGHTS[0][1], found)
    return np.where(height >= HEIGHTS[-1][1], 1.0, found)


def holm(levels: Floats) -> Floats:
    """Return the levels of many races adjusted by Holm's method, a row a race."""
    order = levels.argsort(axis=1, kind="stable")
    count = levels.shape[1]
    stepped = np.minimum(np.take_along_axis(levels, order, 1) * (count - np.arange(count)), 1.0)
    adjusted = np.empty_like(levels)
    np.put_along_axis(adjusted, order, np.maximum.accumulate(stepped, axis=1), 1)
    return adjusted


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """
    The verdicts of many races, a row a race and a column a comparison.

    Attributes:
        pairs: How many there were.
        mean: Mean log ratio.
        sd: Standard deviation of the pairs.
        wins: A winner is settled.
        alike: No difference is settled.
        low: Lower end of the interval, as a logarithm.
        high: Its upper end.
    """

    pairs: Ints
    mean: Floats
    sd: Floats
    wins: Bools
    alike: Bools
    low: Floats
    high: Floats

    @property
    def settled(self) -> Bools:
        """True where more pairs would change nothing."""
        return self.wins | self.alike

    def likely(self) -> tuple[Bools, Bools, Floats]:
        """Return where no difference is likely, where a winner is, and how probable the likelier of the two is."""
        error = np.maximum(self.sd, 1e-12) / np.sqrt(self.pairs)
        above = stdtr(self.pairs - 1, (self.mean - LOG_MARGIN) / error)
        below = stdtr(self.pairs - 1, (-self.mean - LOG_MARGIN) / error)
        within, better = 1 - above - below, np.maximum(above, below)
        alike = ~self.settled & (within >= LIKELY)
        return alike, ~self.settled & (better >= LIKELY), np.where(alike, within, better)


class Pairs:
    """Log ratios of many races, as sums over their first pairs."""

    def __init__(self, logs: Floats, lanes: int) -> None:
        self.lanes = list(combinations(range(lanes), 2))
        self.races, self.comparisons, self.most = map(int, logs.shape)
        self.groups = self.comparisons // len(self.lanes)
        # Moved near to zero, so that squares keep their digits; every row by its own first pair.
        self._first = logs[..., :1]
        moved = logs - self._first
        self._sums, self._squares = moved.cumsum(-1), (moved * moved).cumsum(-1)

    def after(self, rows: Ints, pairs: Ints) -> tuple[Floats, Floats]:
        """Return mean and deviation after so many pairs of each comparison."""
        columns = np.arange(self.comparisons)
        total = self._sums[rows[:, None], columns, pairs - 1]
        squares = self._squares[rows[:, None], columns, pairs - 1]
        sd = np.sqrt(np.maximum(squares - total * total / pairs, 0.0) / (pairs - 1))
        return total / pairs + self._first[rows, :, 0], sd


def judge(of: Pairs, rows: Ints, pairs: Ints, level: float = WRONG_WINNERS) -> Judged:
    """Return the verdicts of races after so many pairs, as `producer.analysis.verdict` does."""
    mean, sd = of.after(rows, pairs)
    p_values = 2 * stdtr(pairs - 1, -np.abs(mean) / np.maximum(sd / np.sqrt(pairs), 1e-300))
    levels = _level_reached(p_values, _weights(of.most)[pairs])
    wins = (np.abs(mean) > LOG_MARGIN) & (holm(levels) < level)
    clearer = (levels[:, None, :] < levels[:, :, None]).sum(-1)
    of_winners = np.array([_widths(level / (of.comparisons - k), of.most) for k in range(of.comparisons)])
    usual = _widths(OUTSIDE_INTERVAL, of.most)[pairs] * sd
    of_alike = _widths(OUTSIDE_ALIKE, of.most)[pairs] * sd
    alike = ~wins & (np.abs(mean) + of_alike <= LOG_MARGIN)
    half = np.where(wins, of_winners[clearer, pairs] * sd, np.where(alike, of_alike, usual))
    return Judged(pairs=pairs, mean=mean, sd=sd, wins=wins, alike=alike, low=mean - half, high=mean + half)


def worst_of_lanes(of: Pairs, judged: Judged) -> Floats:
    """Return by what logarithm each lane may be slower than another: races, groups and lanes."""
    count = len(of.lanes)
    wider = _widths(WORST_OUTSIDE, of.most)[judged.pairs] * judged.sd
    low, high = (
        np.where(judged.wins, end, judged.mean + side * wider).reshape(len(wider), -1, count)
        for side, end in ((-1, judged.low), (1, judged.high))
    )
    worst = np.zeros((*low.shape[:2], 1 + max(b for _, b in of.lanes)))
    for place, (a, b) in enumerate(of.lanes):
        worst[..., a] = np.maximum(worst[..., a], -low[..., place])
        worst[..., b] = np.maximum(worst[..., b], high[..., place])
    return worst


def rests(of: Pairs, judged: Judged, level: float) -> Ints:
    """Return how many more pairs would settle each comparison, as `producer.analysis.allocation` does."""
    ahead = np.array(AHEAD_PAIRS)
    winners = judged.wins.sum(axis=1)
    far = of.most + AHEAD_PAIRS[-1]
    of_winners = np.array([_widths(level / max(of.comparisons - k, 1), far) for k in range(of.comparisons + 1)])
    later = judged.pairs[..., None] + ahead
    distance = np.abs(judged.mean) - LOG_MARGIN
    apart = of_winners[winners[:, None, None], later] * judged.sd[..., None] < np.abs(judged.mean)[..., None]
    alike = _widths(OUTSIDE_ALIKE, far)[later] * judged.sd[..., None] <= -distance[..., None]
    settles = np.where(distance[..., None] > 0, apart, alike)
    found: Ints = np.where(settles.any(-1), ahead[settles.argmax(-1)], FAR)
    return found


def next_group(of: Pairs, judged: Judged, level: float) -> tuple[Ints, Bools]:
    """Return the group that the next round of each race goes to, and whether there is one."""
    worst = 1 - np.exp(-worst_of_lanes(of, judged).min(axis=2))
    capacity = np.arange(of.groups) % 2 == 0
    helpless = np.repeat(capacity & (worst > WORST_SHARE), len(of.lanes), axis=1)
    score = 1e9 * ~helpless + 1e4 * rests(of, judged, level) + judged.pairs
    score = np.where(judged.settled | (judged.pairs >= of.most), np.inf, score)
    chosen = score.argmin(axis=1)
    return chosen // len(of.lanes), np.isfinite(score.min(axis=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Raced:
    """
    Races that have ended.

    Attributes:
        judged: Their verdicts.
        worst: By what logarithm each lane may be slower, by group.
        wrong: A winner was settled at some look that is none, or the slower one.
    """

    judged: Judged
    worst: Floats
    wrong: Bools


def race(of: Pairs, truths: Floats, budgets: Sequence[int], level: float = WRONG_WINNERS) -> list[Raced]:
    """
    Race until all is settled or the budget is used: three rounds of everything, then where they decide most.

    Args:
        of: Their pairs.
        truths: Their true log ratios.
        budgets: Rounds of a race of eight groups, rising; a race does not know how many it will have, so one with fewer
            is the beginning of one with more.
        level: How many races of equal lanes may settle a winner.

    Returns:
        The races as they stand at the end of each budget.
    """
    pairs = np.full((of.races, of.groups), LEAST_PAIRS)
    wrong = np.zeros(of.races, dtype=np.bool_)
    rows = np.arange(of.races)
    done, found = LEAST_PAIRS * of.groups, []
    for ends in (rounds_of(of, budget) for budget in budgets):
        while True:
            judged = judge(of, rows, np.repeat(pairs[rows], len(of.lanes), axis=1), level)
            wrong[rows] |= (judged.wins & (judged.mean * truths[rows] <= 0)).any(axis=1)
            if done >= ends or not len(rows):
                break
            group, going = next_group(of, judged, level)
            rows, group = rows[going], group[going]
            pairs[rows, group] += 1
            done += 1
        last = judge(of, np.arange(of.races), np.repeat(pairs, len(of.lanes), axis=1), level)
        found.append(Raced(judged=last, worst=worst_of_lanes(of, last), wrong=wrong.copy()))
    return found


def fooled(of: Pairs, level: float = WRONG_WINNERS) -> float:
    """
    Return how many races of equal lanes settle a winner at some look if they go on to the last pair.

    The first winner of a race needs the level shared by all comparisons, so this holds for every order of rounds.
    """
    rows, found = np.arange(of.races), np.zeros(of.races, dtype=np.bool_)
    for n in range(LEAST_PAIRS, of.most + 1):
        counts = np.full((of.races, of.comparisons), n)
        found = found | judge(of, rows, counts, level).wins.any(axis=1)
    return float(found.mean())


def fixed(of: Pairs, truths: Floats, level: float, pairs: int = 5) -> Raced:
    """Race five pairs of everything, with an ordinary t-test and Holm's method: what a race was before."""
    counts = np.full((of.races, of.comparisons), pairs)
    mean, sd = of.after(np.arange(of.races), counts)
    error = np.maximum(sd / math.sqrt(pairs), 1e-300)
    half = stdtrit(pairs - 1, 0.975) * error
    alike = np.abs(mean) + half <= LOG_MARGIN
    wins = ~alike & (np.abs(mean) > LOG_MARGIN) & (holm(2 * stdtr(pairs - 1, -np.abs(mean) / error)) < level)
    judged = Judged(pairs=counts, mean=mean, sd=sd, wins=wins, alike=alike, low=mean - half, high=mean + half)
    wrong = (wins & (mean * truths <= 0)).any(axis=1)
    return Raced(judged=judged, worst=worst_of_lanes(of, judged), wrong=wrong)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """
    What races were worth, as parts.

    Attributes:
        rounds: Of a race, on average.
        wrong: Races that settled a wrong winner at some look.
        right: Comparisons settled as they truly are.
        recommended: Workloads with a recommendation.
        beyond: Recommended lanes that are slower than was said at worst.
        slower: Recommended lanes that are slower by more than the margin.
        missed: Intervals of capacity and latency that the truth is outside of.
    """

    rounds: float
    wrong: float
    right: float
    recommended: float
    beyond: float
    slower: float
    missed: float


def recommended(of: Pairs, raced: Raced, *, by_interval: bool = True) -> tuple[Ints, Bools, Floats]:
    """Return the lane of each workload, whether it is recommended, and its worst case; as a race now does or did."""
    worst = raced.worst[:, ::2]
    may = worst <= LOG_MARGIN
    lanes = np.arange(worst.shape[2])
    # Memory decides where several may be taken: here always for the last one.
    lane = np.where(may.any(axis=2), np.where(may, lanes, -1).max(axis=2), worst.argmin(axis=2))
    said = np.take_along_axis(worst, lane[..., None], 2)[..., 0]
    given: Bools = 1 - np.exp(-said) <= WORST_SHARE
    if not by_interval:
        settled = np.asarray(raced.judged.settled.reshape(of.races, of.groups, -1).all(axis=2))
        given = given & settled[:, ::2]
    return lane, given, said


def grade(of: Pairs, truths: Floats, raced: Raced, *, by_interval: bool = True) -> Grade:
    """Return what races were worth."""
    judged = raced.judged
    near = np.abs(truths) <= LOG_MARGIN
    right = np.where(near, judged.alike, judged.wins & (judged.mean * truths > 0))
    lane, given, said = recommended(of, raced, by_interval=by_interval)
    truly = np.zeros_like(raced.worst)
    for place, (a, b) in enumerate(of.lanes):
        ahead = truths.reshape(of.races, of.groups, -1)[..., place]
        truly[..., a], truly[..., b] = np.maximum(truly[..., a], -ahead), np.maximum(truly[..., b], ahead)
    behind = np.take_along_axis(truly[:, ::2], lane[..., None], 2)[..., 0]
    return Grade(
        rounds=float(judged.pairs[:, :: len(of.lanes)].sum(axis=1).mean()),
        wrong=float(raced.wrong.mean()),
        right=float(right.mean()),
        recommended=float(given.mean()),
        beyond=float((given & (behind > said)).mean()),
        slower=float((given & (behind > LOG_MARGIN)).mean()),
        missed=float(((truths < judged.low) | (truths > judged.high)).mean()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Likely:
    """
    What was said to be likely.

    Attributes:
        name: What it is.
        said: How often it was said.
        right: How often it was right, as a part.
        probable: How probable it was said to be, on average.
    """

    name: str
    said: int
    right: float
    probable: float


def calibration(truths: Floats, judged: Judged) -> list[Likely]:
    """Return how often what is likely is right: a winner, if that lane is better by more than the margin."""
    alike, better, probability = judged.likely()
    right = np.where(alike, np.abs(truths) <= LOG_MARGIN, np.sign(judged.mean) * truths > LOG_MARGIN)
    kinds = {"no difference": alike, "winner": better}
    return [
        Likely(
            name=name,
            said=int(said.sum()),
            right=float(right[said].mean()),
            probable=float(probability[said].mean()),
        )
        for name, said in kinds.items()
        if said.any()
    ]


def lanes_of(world: World) -> int:
    """Return how many lanes a world has."""
    return 3 if world.name == "three lanes" else 2


def rounds_of(of: Pairs, budget: int) -> int:
    """Return the rounds that a race of so many groups has, of a budget for eight."""
    return max(LEAST_PAIRS * of.groups, round(budget * of.groups / GROUPS))


def drawn(world: World, races: int, pairs: int, *about: str) -> tuple[Floats, Pairs, Floats]:
    """Return true log ratios and pairs of so many races of a world."""
    truths, logs = world.races(np.random.default_rng(seed_for(11, world.name, *about)), races, pairs)
    return truths, Pairs(logs, lanes_of(world)), logs


def disagreements(world: World, budget: int, races: int = SAMPLE) -> list[str]:
    """Return where the real code paths end otherwise than the copy, a line a race."""
    truths, of, logs = drawn(world, races, MOST_PAIRS_A_COMPARISON, "sample")
    (raced,) = race(of, truths, [budget])
    alike, better, _ = raced.judged.likely()
    found = []
    for row in range(races):
        words = []
        for place in range(of.comparisons):
            judged = raced.judged
            named = judged.wins[row, place] or better[row, place]
            lanes = of.lanes[place % len(of.lanes)]
            winner = _key(lanes[0] if (judged.mean[row, place] > 0) == _is_capacity(of, place) else lanes[1])
            same = judged.alike[row, place] or alike[row, place]
            sure = "settled" if judged.settled[row, place] else "likely" if named or same else "open"
            words.append((winner if named else NO_DIFFERENCE if same else OPEN, sure, int(judged.pairs[row, place])))
        real = _really(of, logs[row], rounds_of(of, budget))
        if real != words:
            found.append(f"{world.name}, race {row}: {real} by standing(), {words} by the copy")
    return found


def _key(lane: int) -> str:
    return f"lane{lane}"


def _is_capacity(of: Pairs, place: int) -> bool:
    return place // len(of.lanes) % 2 == 0


def _really(of: Pairs, logs: Floats, rounds: int) -> list[tuple[str, str, int]]:
    """Return word, sureness and pairs of each comparison of a race by the real code paths."""
    pairs = dict.fromkeys(range(of.groups), LEAST_PAIRS)
    while True:
        comparisons = [
            PairedValues(
                measure="capacity" if _is_capacity(of, place) else "latency",
                workload=str(place // len(of.lanes) // 2),
                a=_key(of.lanes[place % len(of.lanes)][0]),
                b=_key(of.lanes[place % len(of.lanes)][1]),
                ratios=np.exp(logs[place, : pairs[place // len(of.lanes)]]).tolist(),
            )
            for place in range(of.comparisons)
        ]
        now = standing(comparisons, MARGIN, {})
        if now.next is None or sum(pairs.values()) >= rounds:
            return [(each.word, each.sure, each.pairs) for each in now.verdicts]
        measure, workload = now.next
        pairs[2 * int(workload) + (measure == "latency")] += 1


def percent(share: float) -> str:
    """Return a share for the tables."""
    return f"{100 * share:9.2f}"


def equal_lanes(races: int = RACES) -> bool:
    """Print how often a race of equal lanes settles a winner at some look; True if the promise is kept."""
    budgets = (*BUDGETS, f"{MOST_PAIRS_A_COMPARISON} a comp.")
    print(f"Equal lanes, {races:,} races a row, in %: those that settle a winner at some look. Before: 5 pairs, Holm")
    print(f"at 5 and at 1 %. After {DEFAULT_BUDGET} rounds: intervals that miss the truth, and likely winners")
    names = "".join(f"{each:>14}" for each in budgets)
    print(f"{'':20}{'5 %':>9}{'1 %':>9}{names}{'missed':>9}{'likely':>9}")
    kept = True
    for world in EQUAL_LANES:
        truths, of, _ = drawn(world, races, MOST_PAIRS_A_COMPARISON)
        before = [float(fixed(of, truths, level).wrong.mean()) for level in (0.05, 0.011)]
        raced = race(of, truths, BUDGETS)
        now = [*(float(each.wrong.mean()) for each in raced), fooled(of)]
        usual = raced[BUDGETS.index(DEFAULT_BUDGET)]
        missed, likely = grade(of, truths, usual).missed, float(usual.judged.likely()[1].mean())
        # What is promised is the truth, of which a simulation sees a little more or less: three standard errors.
        bar = PROMISE + 3 * math.sqrt(PROMISE / races)
        broken = world.promised and max(now[BUDGETS.index(DEFAULT_BUDGET)], now[-1]) > bar
        kept &= not broken
        note = " BROKEN" if broken else "" if world.promised else " (not promised)"
        cells = "".join(f"{100 * each:14.2f}" for each in now)
        print(
            f"{world.name:20}{percent(before[0])}{percent(before[1])}{cells}{percent(missed)}{percent(likely)}{note}",
            flush=True,
        )
    return kept


def true_ratios(races: int = RACES) -> bool:
    """
    Print what verdicts and recommendations of worlds with a truth are worth, in % of comparisons and workloads.

    Returns:
        True if the promise of worst cases is kept.
    """
    print(f"\nTrue ratios, {races:,} races a row, in %")
    names = ("wrong", "right", "recomm.", "beyond", "slower", "missed")
    print(f"{'':14}{'design':18}{'rounds':>8}" + "".join(f"{name:>9}" for name in names))
    likely: list[Likely] = []
    kept = True
    for world in TRUE_RATIOS:
        truths, of, _ = drawn(world, races, MOST_PAIRS_A_COMPARISON)
        rows = [
            (f"5 pairs, {name}", grade(of, truths, fixed(of, truths, level), by_interval=False))
            for name, level in (("5 %", 0.05), ("1 %", 0.011))
        ]
        for budget, raced in zip(BUDGETS, race(of, truths, BUDGETS), strict=True):
            graded = grade(of, truths, raced)
            rows.append((f"{budget} rounds", graded))
            kept &= graded.beyond <= BEYOND + 3 * math.sqrt(
                BEYOND / (races * of.groups / 2)
            )  # a workload has two groups
            if budget == DEFAULT_BUDGET:
                likely += [
                    Likely(name=f"{world.name}: {each.name}", said=each.said, right=each.right, probable=each.probable)
                    for each in calibration(truths, raced.judged)
                ]
        for name, each in rows:
            cells = (each.wrong, each.right, each.recommended, each.beyond, each.slower, each.missed)
            print(f"{world.name:14}{name:18}{each.rounds:8.1f}{''.join(map(percent, cells))}", flush=True)
    print(f"\nWhat is likely after {DEFAULT_BUDGET} rounds: how often, how often it is right, and was said to be, in %")
    for found in likely:
        print(f"{found.name:34}{found.said:9,}{percent(found.right)}{percent(found.probable)}")
    print(f"Recommended lanes beyond their worst case, at most {percent(BEYOND)} %: {'kept' if kept else 'BROKEN'}")
    return kept


def same_as_real() -> bool:
    """Print whether the real code paths end alike; True if they do."""
    worlds = (*TRUE_RATIOS, *EQUAL_LANES)
    found = [line for world in worlds for line in disagreements(world, DEFAULT_BUDGET)]
    print(f"{SAMPLE * len(worlds)} races by the real code paths: {len(found)} end otherwise than the copy")
    print(*found[:5], sep="\n", end="\n" if found else "")
    return not found


def main() -> int:
    """Print the tables; 1 if the promise is broken or the copy is none."""
    alike = same_as_real()
    kept = equal_lanes()
    said = true_ratios()
    return int(not (alike and kept and said))


if __name__ == "__main__":
    raise SystemExit(main())
