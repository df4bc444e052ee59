"""The page of the drills is that of the stored run, and has every drill in every cell."""

from __future__ import annotations

from pictures.drills import PAGE, page, stored
from poolrace.profiles import PROFILES, SAFE
from producer.measure.drill import catalogue
from producer.plan.drill import cells


def test_the_page_is_that_of_the_stored_run() -> None:
    assert PAGE.read_text() == page(stored())


def test_the_stored_run_has_every_drill_in_every_cell() -> None:
    found = {(each.drill, each.cell) for each in stored().results}
    assert found == {(entry.name, cell.name) for entry in catalogue() for cell in cells()}


def test_the_safe_profile_lost_nothing_in_the_stored_run_and_neither_did_the_outbox() -> None:
    kept = [each for each in stored().results if each.cell.endswith(("-safe", "-outbox")) and each.toll]
    assert len(kept) > 2 * len(catalogue())
    assert [(each.drill, each.cell) for each in kept if each.toll and each.toll.lost] == []


def test_the_page_names_every_setting_of_the_safe_profile() -> None:
    text = PAGE.read_text()
    assert [each.name for each in PROFILES[SAFE] if f"| `{each.name}` |" not in text] == []
