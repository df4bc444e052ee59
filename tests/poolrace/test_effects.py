"""The ledger of effects, with several processes that write to it and one that is killed."""

from __future__ import annotations

import os
import signal
import threading
from multiprocessing import get_context
from typing import TYPE_CHECKING

import pytest

from poolrace.effects import BEGUN, DONE, MAX_LINE, Ledger, note

if TYPE_CHECKING:
    from pathlib import Path

LINES = 300


def write(path: Path, name: str) -> None:
    for number in range(LINES):
        note(path, f"{name}-{number}", DONE, "node-1@here")


def write_until_killed(path: Path) -> None:
    number = 0
    while True:
        note(path, f"job-{number}", DONE, "node-1@here")
        number += 1


def test_a_note_says_who_wrote_it_and_when(tmp_path: Path) -> None:
    note(tmp_path / "effects", "job-1", BEGUN, "node-1@here")
    (found,) = Ledger(tmp_path / "effects").notes()
    assert found[:2] == ("job-1", BEGUN)
    assert (found.node, found.pid, found.thread) == ("node-1@here", os.getpid(), threading.get_native_id())


def test_no_file_is_no_note(tmp_path: Path) -> None:
    assert Ledger(tmp_path / "effects").notes() == []


def test_lines_of_several_processes_never_mix(tmp_path: Path) -> None:
    path, fork = tmp_path / "effects", get_context("fork")
    writers = [fork.Process(target=write, args=(path, name)) for name in "abc"]
    for each in writers:
        each.start()
    for each in writers:
        each.join()
    assert sorted(each.job for each in Ledger(path).notes()) == sorted(
        f"{name}-{n}" for name in "abc" for n in range(LINES)
    )


def test_what_a_killed_process_had_noted_stays_whole(tmp_path: Path) -> None:
    path, fork = tmp_path / "effects", get_context("fork")
    writer = fork.Process(target=write_until_killed, args=(path,))
    writer.start()
    while not path.exists() or path.stat().st_size < 1 << 16:
        pass
    os.kill(writer.pid or 0, signal.SIGKILL)
    writer.join()
    found = [each.job for each in Ledger(path).notes()]
    assert found == [f"job-{number}" for number in range(len(found))]
    assert path.read_text().endswith("\n")


def test_a_line_that_is_cut_off_is_not_read(tmp_path: Path) -> None:
    note(tmp_path / "effects", "job-1", DONE, "node-1@here")
    with (tmp_path / "effects").open("a") as file:
        file.write("job-2\tdone\t1.0")
    ledger = Ledger(tmp_path / "effects")
    assert [each.job for each in ledger.notes()] == ["job-1"]
    with (tmp_path / "effects").open("a") as file:
        file.write("\tnode\t1\t2\n")
    assert [each.job for each in ledger.notes()] == ["job-1", "job-2"]


def test_a_ledger_is_read_on_and_knows_what_is_done_and_when_it_began(tmp_path: Path) -> None:
    path = tmp_path / "effects"
    ledger = Ledger(path)
    assert (ledger.done_count(), ledger.first_begin("job-1")) == (0, None)
    for what in (BEGUN, BEGUN, DONE):
        note(path, "job-1", what, "node-1@here")
        assert len(ledger.notes()) == path.read_text().count("\n")
    note(path, "job\u2028two", BEGUN, "node-1@here")
    assert ledger.done() == {"job-1"}
    assert ledger.done_count() == 1
    assert ledger.first_begin("job-1") == ledger.notes()[0]
    assert ledger.first_begin("job\u2028two") == ledger.notes()[-1]


@pytest.mark.parametrize("job", ["two\tfields", "two\nlines", "x" * MAX_LINE])
def test_an_identity_that_is_no_part_of_a_line_is_refused_and_nothing_is_written(tmp_path: Path, job: str) -> None:
    with pytest.raises(ValueError, match="cannot be a line of the ledger"):
        note(tmp_path / "effects", job, DONE, "node-1@here")
    assert Ledger(tmp_path / "effects").notes() == []
