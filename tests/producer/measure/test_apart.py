"""Parts of a run in processes of their own: their answers, and an end without one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from producer.errors import FleetError
from producer.measure.apart import Apart, run_apart

if TYPE_CHECKING:
    from pathlib import Path

PART = """
import pathlib, sys, time
word, folder, answer = sys.argv[1:]
print("trying", word)
if word == "fails":
    raise SystemExit("no luck")
began = time.monotonic()
time.sleep(0.5)
pathlib.Path(answer).write_text(f"{word} {began} {time.monotonic()}")
"""


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Apart]:
    (tmp_path / "some_part.py").write_text(PART)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    return {
        word: Apart(name=f"part {word}", module="some_part", words=(word,), folder=tmp_path / word)
        for word in ("one", "two", "three", "fails")
    }


def test_each_part_is_told_its_words_and_gives_its_answer_and_no_more_run_at_once_than_may(
    parts: dict[str, Apart],
) -> None:
    answers = {
        part.words[0]: answer.split() for part, answer in run_apart([parts["one"], parts["two"], parts["three"]], 2)
    }
    assert [answers[word][0].decode() for word in ("one", "two", "three")] == ["one", "two", "three"]
    third_began = float(answers["three"][1])
    assert min(float(answers[word][2]) for word in ("one", "two")) <= third_began


def test_one_that_ends_without_an_answer_is_told_with_the_end_of_its_log(parts: dict[str, Apart]) -> None:
    with pytest.raises(FleetError, match=r"(?s)part fails ended with exit code 1.*no luck"):
        list(run_apart([parts["fails"]]))
