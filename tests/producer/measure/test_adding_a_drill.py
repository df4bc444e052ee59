"""The design page's example of a drill is one short file, and works as it is printed."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from producer.measure.drill import Entry, catalogue, run_cell
from producer.plan.drill import cells

ROOT = Path(__file__).parents[3]
DRILLS = ROOT / "producer" / "measure" / "drills"
MOST_LINES, MEAN_LINES = 27, 22


def test_the_example_of_the_design_page_is_run_and_costs_nothing(tmp_path: Path) -> None:
    section = (ROOT / "docs" / "design.md").read_text().split("### Adding a drill")[1]
    code = re.findall(r"```python\n(.*?)```", section, re.DOTALL)[0]
    module: dict[str, Any] = {"__name__": "node_pause"}
    exec(code, module)
    example = SimpleNamespace(**module)
    cell = next(each for each in cells() if each.name == "threads-late-atomic")
    found = run_cell(Entry(name="node-pause", drill=example.DRILL, strike=example.strike), cell, tmp_path)
    assert found.short == []
    assert found.toll is not None
    assert found.toll.sent == found.toll.done > 30
    assert [what for what, _ in found.struck] == ["node stood still"]


def test_a_drill_is_a_short_file() -> None:
    files = [DRILLS / f"{entry.name.replace('-', '_')}.py" for entry in catalogue()]
    lines = {path.stem: len(path.read_text().splitlines()) for path in files}
    assert max(lines.values()) <= MOST_LINES, lines
    assert sum(lines.values()) / len(lines) <= MEAN_LINES, lines
