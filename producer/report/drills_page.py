"""One page with what drills found: what ran where, the fault in it, what was lost, and what is promised."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from markupsafe import Markup

from producer.files import replaced
from producer.report.charts.page import own_file, templates
from producer.report.drills import drill, machine_of, matrix, to_json

if TYPE_CHECKING:
    from pathlib import Path

    from producer.analysis.drill import CellResult
    from producer.report.drills import DrillsRun

DRILLS, PAGE = "drills.json", "drills.html"
"""The files of a folder of drills."""

WIDTH, LABEL, ROW = 900, 190, 18
DONE, AGAIN, OPEN, STRUCK = "#2f6db5", "#d9a441", "#a05a9c", "#b3261e"
KEY = ((DONE, "ran once"), (AGAIN, "ran again"), (OPEN, "never ended"), (STRUCK, "the fault"))

LABELLED = Markup('<text x="{}" y="{}" font-size="12">{}</text>')
STRETCH = Markup('<rect x="{:.1f}" y="{}" width="{:.1f}" height="12" fill="{}"><title>{}</title></rect>')
STRIKE = Markup('<path d="M{0:.1f} 0V{1}" stroke="{2}" stroke-width="2"><title>{3}</title></path>')


def write_drills(run: DrillsRun, folder: Path) -> None:
    """Write `drills.json` and the page `drills.html` into a folder."""
    for name, text in ((DRILLS, to_json(run)), (PAGE, drills_page(run))):
        with replaced(folder / name) as file:
            file.write(text.encode())


def drills_page(run: DrillsRun) -> str:
    """Return the page as HTML, whole: style and pictures are in it, and it has no script."""
    return (
        templates()
        .get_template("drills.html")
        .render(
            machine=machine_of(run),
            took=f"{run.took_s:.0f} s",
            matrix=matrix(run),
            drills=[
                {"entry": entry, "parts": drill(entry, found), "pictures": [(each, picture(each)) for each in found]}
                for entry, found in run.by_drill()
            ],
            style=own_file("page.css"),
        )
    )


def picture(result: CellResult) -> Markup:
    """Draw what ran where: a row a slot, a stretch a job, a line where the fault struck; empty if nothing ran."""
    if not result.runs:
        return Markup()
    slots = list(dict.fromkeys(each.slot for each in result.runs))
    times = Counter(each.job for each in result.runs)
    end_s = max([each.end_s or each.begin_s for each in result.runs] + [at for _, at in result.struck])
    scale, bottom = (WIDTH - LABEL) / max(end_s, 0.001), ROW * len(slots)
    parts = [LABELLED.format(0, ROW * at + 13, slot) for at, slot in enumerate(slots)]
    for each in result.runs:
        colour = AGAIN if times[each.job] > 1 else OPEN if each.end_s is None else DONE
        left, wide = LABEL + each.begin_s * scale, ((each.end_s or each.begin_s) - each.begin_s) * scale
        parts.append(STRETCH.format(left, ROW * slots.index(each.slot) + 3, max(2.0, wide), colour, each.job))
    parts += [STRIKE.format(LABEL + at * scale, bottom, STRUCK, what) for what, at in result.struck]
    for number, (colour, name) in enumerate(KEY):
        left = LABEL + 130.0 * number
        parts += [STRETCH.format(left, bottom + 7, 12.0, colour, name), LABELLED.format(left + 18, bottom + 17, name)]
    head = Markup('<svg viewBox="0 0 {} {}" role="img" fill="currentColor">').format(WIDTH, bottom + 24)
    return Markup("{}{}</svg>").format(head, Markup("").join(parts))
