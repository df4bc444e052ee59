"""A fault of the user's: a command, or somebody by hand, and what is noted of it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from producer.errors import FleetError
from producer.fleet.processes import Processes
from producer.measure.own_fault import BY_HAND, SAYS_NOW, ByCommand, ByHand, Done, Struck, strike

if TYPE_CHECKING:
    from pathlib import Path


class Noting:
    """A scene that notes what it is told."""

    def __init__(self, told: list[object]) -> None:
        self._told = told

    def begin_strike(self, what: str) -> None:
        self._told.append(("begins", what))

    def end_strike(self, done: Done) -> None:
        self._told.append(done)


class Fault:
    """A fault that notes that it is done."""

    what = "a node is killed"

    def __init__(self, told: list[object]) -> None:
        self._told = told

    def do(self) -> Done:
        self._told.append("done")
        return Done(what=self.what)


def command(words: str, tmp_path: Path) -> Done:
    with Processes() as processes:
        return ByCommand(words, processes, tmp_path / "fault.log").do()


def by_hand(monkeypatch: pytest.MonkeyPatch, text: str) -> Done:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    return ByHand().do()


def test_it_is_done_once_and_strikes_all_lanes_from_its_beginning_to_its_end() -> None:
    told: list[object] = []
    strike(Struck(scenes=[Noting(told), Noting(told)], fault=Fault(told)))
    begins, ends = ("begins", "a node is killed"), Done(what="a node is killed")
    assert told == [begins, begins, "done", ends, ends]


def test_a_command_of_a_shell_is_over_when_it_ends(tmp_path: Path) -> None:
    words = f"echo struck > {tmp_path}/here && test -e {tmp_path}/here"
    assert command(words, tmp_path) == Done(what=words)
    assert (tmp_path / "here").read_text() == "struck\n"


def test_a_command_that_fails_is_a_problem_with_what_it_said(tmp_path: Path) -> None:
    done = command("echo no such container >&2; exit 7", tmp_path)
    assert done.problem == "the command of the fault ended with exit code 7: no such container"


def test_by_hand_somebody_is_told_when_and_says_what_it_was(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert by_hand(monkeypatch, "node3 unplugged\n") == Done(what="node3 unplugged")
    assert capsys.readouterr().err == f"{SAYS_NOW}\n"
    assert by_hand(monkeypatch, "\n") == Done(what=BY_HAND)


def test_by_hand_a_line_may_say_that_it_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert by_hand(monkeypatch, "! exit code 1\n") == Done(what=BY_HAND, problem="exit code 1")


def test_without_standard_input_nobody_can_say_that_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FleetError, match="Standard input ended"):
        by_hand(monkeypatch, "")
