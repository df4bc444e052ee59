"""
Compares two runs that differ in one thing: a version, a machine, a setting of a lane.

Trials of different runs are no pairs, so the interval is Welch's, on the logarithms of the trials' values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from msgspec import to_builtins

from producer.analysis.analyse import analyse
from producer.analysis.kinds import kind_of
from producer.analysis.percentiles import choose_percentile
from producer.analysis.stats import holm, welch
from producer.analysis.verdict import MARGIN
from producer.analysis.verdict_words import NO_DIFFERENCE, OPEN
from producer.errors import UsageError
from producer.rundir.schema import COMPLETE
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from producer.analysis.results import TrialResult
    from producer.rundir.manifest import Manifest
    from producer.rundir.run import Run

HARDWARE = (
    "cpu_model",
    "architecture",
    "cores_logical",
    "cores_available",
    "limits",
    "memory_total_bytes",
    "container",
)
SOFTWARE = ("python", "implementation", "free_threaded", "gil", "versions", "system", "kernel")


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureChange:
    """
    The change of one figure of one lane from the first run to the second.

    Attributes:
        workload: What the jobs did.
        lane: Key of the lane.
        measure: `capacity`, or `latency` with the percentile, e.g. `latency p90`.
        ratio: Second over first, geometric means; None without values.
        low: Lower end of its 95 % interval.
        high: Upper end.
        word: `faster`, `slower`, `no difference` or `open`, of the second run.
    """

    workload: str
    lane: str
    measure: str
    ratio: float | None
    low: float | None
    high: float | None
    word: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """
    One thing in which two runs differ.

    Attributes:
        first: Its value in the first run.
        second: Its value in the second.
    """

    first: Any
    second: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """
    The changes from one run to another.

    Attributes:
        first: Name of the first run's directory.
        second: Name of the second's.
        differs_in: What the runs differ in, by name: one thing at most.
        changes: Every figure that both runs have.
    """

    first: str
    second: str
    differs_in: Mapping[str, Difference]
    changes: tuple[FigureChange, ...]


def compare_runs(first: Run, second: Run) -> Comparison:
    """
    Return what changed from the first run to the second.

    Raises:
        UsageError: If a run is not complete, or they differ in more than one thing; says in what.
    """
    runs = [_complete(first), _complete(second)]
    differences = differing(runs[0].manifest, runs[1].manifest)
    if len(differences) > 1 or any(map(_is_size, differences)):
        raise UsageError(_refusal(first.path, second.path, differences))
    return Comparison(
        first=first.path.name, second=second.path.name, differs_in=differences, changes=tuple(changes(*runs))
    )


def _complete(run: Run) -> Run:
    kind, status = kind_of(run), run.manifest.status
    if not kind.comparable:
        raise UsageError(
            f"{run.path}: a {kind.name} cannot be compared. Give two races or two sweeps, which repeat trials."
        )
    if status != COMPLETE:
        raise UsageError(f"{run.path}: the run is {status} and proves nothing. Run it again to the end.")
    return run


def _refusal(first: Path, second: Path, differences: Mapping[str, Difference]) -> str:
    lines = "\n".join(f"  {name}: {each.first} against {each.second}" for name, each in differences.items())
    why = (
        "differ in the size of their jobs, so they did not do the same work"
        if all(map(_is_size, differences))
        else "differ in more than one thing, so nobody could say which made a difference"
    )
    return (
        f"{first.name} and {second.name} {why}:\n{lines}\n"
        f"Change one thing, and give jobs the same size: poolrace race --like {first}"
    )


def _is_size(name: str) -> bool:
    return name.startswith("job sizes")


def differing(first: Manifest, second: Manifest) -> dict[str, Difference]:
    """Return what two manifests differ in, of all that can change a figure, by name."""
    a, b = dict(_facts(first)), dict(_facts(second))
    return _as_one_switch({
        name: Difference(first=a.get(name), second=b.get(name))
        for name in {**a, **b}
        if a.get(name) != b.get(name)
    })  # fmt: skip


def _as_one_switch(found: dict[str, Difference]) -> dict[str, Difference]:
    """Return lanes that are all switched from one transport to the other as one difference: what carries messages."""
    switched = {name: values for name, values in found.items() if name.endswith(": transport")}
    if len(set(switched.values())) != 1 or len(switched) == 1:
        return found
    lanes = ", ".join(name.removeprefix("lane ").removesuffix(": transport") for name in switched)
    rest = {name: values for name, values in found.items() if name not in switched}
    return {**rest, f"lanes {lanes}: transport": next(iter(switched.values()))}


def _facts(manifest: Manifest) -> Iterator[tuple[str, Any]]:
    settings, machine = manifest.settings, to_builtins(manifest.machine) or {}
    yield "machine", {name: machine.get(name) for name in HARDWARE}
    yield "software", {name: machine.get(name) for name in SOFTWARE}
    yield "broker", "embedded" if "(embedded)" in (manifest.broker or "") else manifest.broker
    yield "workloads", settings.workloads
    if settings.race:
        yield "pairs", settings.race.pairs
        yield "trial_s", settings.race.trial_s
        yield "utilisation", settings.race.utilisation
    yield "arrivals", settings.arrivals
    yield "publishers", settings.publishers
    for lane in settings.lanes:
        for name, value in asdict(lane).items():
            yield f"lane {lane.key}: {name}", value
    for workload, size in manifest.sizes.items():
        yield f"job sizes: {workload}", size and list(size.amount)


def changes(first: Run, second: Run) -> list[FigureChange]:
    """Every figure that both runs have, with Holm's correction over all of them."""
    values = [_values(first), _values(second)]
    keys = [key for key in values[0] if key in values[1]]
    found = [(key, welch(values[0][key], values[1][key])) for key in keys]
    adjusted = holm([p for _, (_, _, _, p) in found])
    return [_change(key, estimate, p) for (key, estimate), p in zip(found, adjusted, strict=True)]


Key = tuple[str, str, str]


def _values(run: Run) -> dict[Key, list[float]]:
    trials = [t for t in analyse(run.trials, run.sent, run.records, run.children).trials if t.settlement.complete]
    values: dict[Key, list[float]] = {}
    for trial in trials:
        if trial.kind is not Kind.WARM_UP:
            for measure, value in _measured(trial, trials):
                values.setdefault((trial.workload, trial.lane, measure), []).append(value)
    return values


def _measured(trial: TrialResult, trials: Sequence[TrialResult]) -> Iterator[tuple[str, float]]:
    if trial.kind is Kind.CAPACITY and trial.capacity_per_s is not None:
        yield "capacity", trial.capacity_per_s
    if trial.kind is Kind.LATENCY and trial.sojourn is not None:
        alike = [t.sojourn.n for t in trials if (t.kind, t.workload) == (trial.kind, trial.workload) and t.sojourn]
        name = choose_percentile(alike)
        yield f"latency {name}", trial.sojourn.statistic(name)


def _change(key: Key, estimate: tuple[float | None, float | None, float | None, float], p: float) -> FigureChange:
    workload, lane, measure = key
    ratio, low, high, _ = estimate
    return FigureChange(
        workload=workload,
        lane=lane,
        measure=measure,
        ratio=ratio,
        low=low,
        high=high,
        word=_word(measure, ratio, low, high, p),
    )


def _word(measure: str, ratio: float | None, low: float | None, high: float | None, p: float) -> str:
    if ratio is None or low is None or high is None:
        return OPEN
    if low >= 1 / (1 + MARGIN) and high <= 1 + MARGIN:
        return NO_DIFFERENCE
    if p < 0.05 and not 1 / (1 + MARGIN) <= ratio <= 1 + MARGIN:
        return "faster" if (ratio > 1) == (measure == "capacity") else "slower"
    return OPEN
