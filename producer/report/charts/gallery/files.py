"""Open files: what each process of a soak holds open over the time that it works, its sockets among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producer.analysis.growth import Growing
from producer.report.charts.picture import Drawn, picture
from producer.report.charts.soaked import figure_of, lines_of
from producer.report.soak import growths

if TYPE_CHECKING:
    from producer.analysis.soak import LaneSoak
    from producer.analysis.summary import Summary
    from producer.rundir.run import Run

MISSING = "Open files are told of a soak, which holds a load for long: poolrace soak, on Linux."
READS = (
    "Each line is a process that was there all the time, and the descriptors that it has open: files, pipes and "
    "connections. A line that rises with the work ends at the limit of the process, usually 1,024. The table has the "
    "sockets among them apart."
)


@picture(
    key="files", title="Files and connections that each process has open", missing=MISSING, order=63, needs=("soak",)
)
def files(summary: Summary, run: Run) -> Drawn | None:
    """Draw the open descriptors of each process against the time that its lane worked."""
    assert summary.soak
    lines = lines_of(summary, run, "files")
    if not lines:
        return None
    return Drawn(
        shows=" ".join(_shown(lane) for lane in summary.soak.lanes),
        reads=READS,
        figure=figure_of(lines, "files", lambda held: held, unit=".0f} open", y="open descriptors"),
        table=growths(summary.soak),
    )


def _shown(lane: LaneSoak) -> str:
    of_files = [each for each in lane.growths if each.what in {"files", "sockets"}]
    rising = [each.what for each in of_files if each.growing is Growing.LEAK]
    if rising:
        return f"{lane.lane}: {' and '.join(dict.fromkeys(rising))} leak."
    most = max((each.last for each in of_files if each.what == "files"), default=0)
    return f"{lane.lane}: at most {most:.0f} a process at the end."
