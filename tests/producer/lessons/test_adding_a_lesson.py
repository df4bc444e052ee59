"""The design page's example of a lesson is one file, and works as it is printed."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from producer.analysis.lessons import found_in, judge
from producer.lessons.bench import Bench, this_python
from producer.lessons.lesson import Entry, Verdict

ROOT = Path(__file__).parents[3]


def test_the_example_of_the_design_page_is_observed_judged_and_drawn() -> None:
    section = (ROOT / "docs" / "design.md").read_text().split("### Adding a lesson")[1]
    code = re.findall(r"```python\n(.*?)```", section, re.DOTALL)[0]
    module: dict[str, Any] = {"__name__": "timer"}
    exec(code, module)
    example = SimpleNamespace(**module)
    entry = Entry(
        name="timer",
        lesson=example.LESSON,
        observe=example.observe,
        judge=example.judge,
        picture=example.picture,
        source=code,
    )
    with Bench() as bench:
        seen = list(itertools.islice(entry.observe(bench), 6))
    found = found_in(this_python(), seen, [2.0] * 6)
    assert judge(entry, found).verdict is Verdict.TRUE
    assert entry.picture(found).rows
