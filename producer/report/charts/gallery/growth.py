"""Growth: what each process of a soak gained over the time that it worked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producer.report.charts.picture import Drawn, picture
from producer.report.charts.soaked import figure_of, lines_of
from producer.report.soak import growths, in_jumps

if TYPE_CHECKING:
    from producer.analysis.soak import LaneSoak
    from producer.analysis.summary import Summary
    from producer.rundir.run import Run

MIB = 2**20
MISSING = (
    "Growth is told of a soak, which holds a load for long: poolrace soak, or poolrace soak --app shop.celery:app."
)
READS = (
    "Each line is a process that was there all the time, and its memory is its RSS. One that levels off has filled its "
    "caches; one that goes on rising leaks; of one that rises in a few jumps nobody knows. Left of the dotted line "
    "nothing counts."
)


@picture(key="growth", title="Memory that each process gained", missing=MISSING, order=62, needs=("soak",))
def growth(summary: Summary, run: Run) -> Drawn | None:
    """Draw the memory of each process against the time that its lane worked."""
    assert summary.soak
    lines = lines_of(summary, run, "memory")
    if not lines:
        return None
    return Drawn(
        shows=" ".join(_shown(lane) for lane in summary.soak.lanes),
        reads=READS,
        figure=figure_of(
            lines, "memory", lambda held: (held - held[0]) / MIB, unit="+.2f} MiB", y="MiB more than at first"
        ),
        table=growths(summary.soak),
    )


def _shown(lane: LaneSoak) -> str:
    said = f"{lane.lane}: {lane.growing.value} in {lane.worked_s / 60:.1f} minutes of work."
    jumping = [in_jumps(each) for each in lane.growths if each.what == "memory" and each.jumps]
    return " ".join([said, *(f"{text[0].upper()}{text[1:]}." for text in jumping)])
