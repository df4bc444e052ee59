"""The table of docs/transport.md names what is tested, all of it and nothing else."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_table_of_what_stays_the_same_names_each_test_and_no_other():
    page = (ROOT / "docs" / "transport.md").read_text()
    module = (ROOT / "tests" / "integration" / "test_transport_compatibility.py").read_text()
    section = page.partition("## What stays the same")[2].partition("\n## ")[0]
    assert re.findall(r"\| `(\w+)` \|$", section, re.MULTILINE)
    assert set(re.findall(r"\| `(\w+)` \|$", section, re.MULTILINE)) == set(
        re.findall(r"^def test_(\w+)", module, re.MULTILINE)
    )
