"""One trial of each lane, to be drawn side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from producer.rundir.trials import Kind, Trial


def last_of_each_lane(
    able: Sequence[Trial],
    kinds: Sequence[Kind],
    workload_of: Callable[[Sequence[Trial]], str],
    lanes: Sequence[str],
) -> list[Trial]:
    """
    Return the last trial of each lane, all of one kind and one workload.

    Args:
        able: Trials that can be drawn, in order.
        kinds: The most telling first; the trials are of the first kind of which there is one.
        workload_of: Chooses the workload among trials of that kind.
        lanes: Keys in the order of the result; a lane that is not among them comes last.
    """
    kind = next((kind for kind in kinds if any(trial.kind is kind for trial in able)), None)
    alike = [trial for trial in able if trial.kind is kind]
    if not alike:
        return []
    workload = workload_of(alike)
    last = {trial.lane: trial for trial in alike if trial.workload == workload}
    return sorted(last.values(), key=lambda trial: lanes.index(trial.lane) if trial.lane in lanes else len(lanes))
