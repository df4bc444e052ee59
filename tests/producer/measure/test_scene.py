"""What a scene notes of faults, without a broker."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from poolrace import effects
from producer.analysis.drill import Strike
from producer.measure.scene import Scene
from producer.plan.drill import Drill, cells

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_fault_that_strikes_while_nodes_are_asked_what_they_hold_is_not_overwritten(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scene = Scene(cells()[0], Drill(title="", documented="", source=""), tmp_path)
    scene._keeps_journal = False
    first, second = (Strike(what=what, at=time.time(), held=frozenset()) for what in ("first", "second"))
    scene.strikes.append(first)

    def held() -> frozenset[str]:
        scene.strikes.append(second)
        return frozenset(["job-1"])

    monkeypatch.setattr(scene, "_held", held)
    scene.note_held()
    assert [(each.what, each.held) for each in scene.strikes] == [("first", {"job-1"}), ("second", frozenset())]


def test_a_job_whose_run_a_fault_cut_short_is_explained_by_it_though_no_node_held_its_message(tmp_path: Path) -> None:
    """One that is acknowledged early, and has sent its next try as its node is killed."""
    scene = Scene(cells()[0], Drill(title="", documented="", source=""), tmp_path)
    scene._keeps_journal = False
    scene.ledger = effects.Ledger(tmp_path / "effects")
    for job, what in (("job-1", effects.BEGUN), ("job-2", effects.BEGUN), ("job-2", effects.DONE)):
        effects.note(str(tmp_path / "effects"), job, what, "node-1@drill")
    scene.strikes.append(Strike(what="a node was killed", at=time.time(), held=frozenset(["job-3"])))
    (explained,) = scene.explained()
    assert explained.held == {"job-1", "job-3"}
