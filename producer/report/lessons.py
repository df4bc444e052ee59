"""What lessons found, as the parts of a report: the answer first, then figures, a picture, and what to set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from producer.analysis.lessons import LessonResult
from producer.fleet.machine import describe
from producer.lessons.catalogue import find, lessons
from producer.report.formats import seconds
from producer.report.lesson_pictures import estimate_of, in_characters, value_of
from producer.report.parts import Prose, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from producer.lessons.lesson import Entry
    from producer.report.parts import Part

UNNAMED = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class LessonsRun:
    """
    What a run of lessons found; as JSON it is what `poolrace lessons --json` prints.

    Attributes:
        at: The day, in ISO 8601.
        cores: The cores of the machine.
        memory_gib: Its memory.
        took_s: How long all of it took, in seconds.
        results: What each lesson found, a result for each interpreter.
    """

    at: str
    cores: int
    memory_gib: float
    took_s: float
    results: list[LessonResult]

    def by_lesson(self) -> Iterator[tuple[Entry, list[LessonResult]]]:
        """Return the results of each lesson, in their order."""
        for name in dict.fromkeys(each.lesson for each in self.results):
            entry = find(name)
            assert entry is not None
            yield entry, [each for each in self.results if each.lesson == name]


def run_of(results: Sequence[LessonResult], folder: Path, took_s: float) -> LessonsRun:
    """Return results with what is to be said of them all: when they were found, on what machine, and in what time."""
    machine = describe()
    return LessonsRun(
        at=folder.name[:10],
        cores=machine.cores_available,
        memory_gib=round(machine.memory_total_bytes / 2**30, 1),
        took_s=round(took_s, 1),
        results=list(results),
    )


def to_json(run: LessonsRun) -> str:
    """Return a run as JSON, ending in a line break."""
    return msgspec.json.format(msgspec.json.encode(run), indent=2).decode() + "\n"


def from_json(text: str | bytes) -> LessonsRun:
    """Read a run from JSON."""
    return msgspec.json.decode(text, type=LessonsRun)


def whole(run: LessonsRun) -> list[Part]:
    """Return every lesson of a run."""
    return [part for entry, results in run.by_lesson() for part in lesson(entry, results)]


def contents() -> list[Part]:
    """Return the list of all lessons."""
    rows = [[str(each.lesson.order), each.name, each.lesson.english] for each in lessons()]
    return [
        Table(title="Lessons", columns=["", "name", "statement"], rows=rows, words=["name", "statement"]),
        Prose(
            title="",
            lines=["Each statement is tried on this machine: the first fifteen are the textbook's, in its order."],
            commands=["poolrace lessons 7", "poolrace lessons lost-update --guess", "poolrace lessons --all"],
        ),
    ]


def overview(run: LessonsRun) -> list[Part]:
    """Return one row a lesson, with the verdict in each interpreter."""
    builds = list(dict.fromkeys(build_of(each) for each in run.results))
    rows = []
    for entry, results in run.by_lesson():
        verdicts = {build_of(each): each.judgement.verdict.value for each in results}
        rows.append([
            str(entry.lesson.order), entry.lesson.english, *(verdicts.get(build, UNNAMED) for build in builds)
        ])  # fmt: skip
    return [
        Table(
            title=f"{len(rows)} statements, tried in {seconds(run.took_s)}",
            columns=["", "statement", *builds],
            rows=rows,
            words=["statement", *builds],
            note=machine_of(run),
        )
    ]


def lesson(entry: Entry, results: Sequence[LessonResult]) -> list[Part]:
    """Return what one lesson found."""
    said = [f"{build_of(each)}: {sentence(each)}" for each in results]
    parts: list[Part] = [
        Prose(
            title=f"{entry.lesson.order}. {entry.lesson.english}",
            lines=[*([entry.lesson.vietnamese] if entry.lesson.vietnamese else []), *said],
        ),
        Prose(title="Tried", lines=[entry.lesson.tried, expectation(entry)]),
    ]
    tried = [each for each in results if each.found is not None]
    if table := figures(entry, results):
        parts.append(table)
    for each in tried:
        assert each.found is not None
        picture = entry.picture(each.found)
        where = f", {build_of(each)}" if len(tried) > 1 else ""
        parts.append(Prose(title=f"{picture.title}{where}", lines=[], commands=in_characters(picture)))
    return [*parts, Prose(title="In Celery", lines=[entry.lesson.advice])]


def expectation(entry: Entry) -> str:
    """Return what is expected of each build."""
    with_gil, free = entry.lesson.expected
    if with_gil == free:
        return f"Expected: {free.value} on every build."
    return f"Expected: {with_gil.value} on a build with the GIL, {free.value} on a free-threaded one."


def sentence(result: LessonResult) -> str:
    """Return the judgement as a sentence."""
    verdict, because = result.judgement.verdict.value, result.judgement.because
    separator = " " if verdict.endswith("if") else ": "
    return f"{verdict}{separator}{because}"


def guessed(entry: Entry, result: LessonResult, guess: float) -> str:
    """Compare a reader's guess with what was found; a share is guessed in per cent."""
    measure = entry.lesson.measures[entry.lesson.guessed]
    if result.found is None:
        return f"You said {guess:g}. {sentence(result)}"
    scale = 0.01 if measure.unit == "%" else 1.0
    said, was = value_of(guess * scale, measure.unit), estimate_of(result.found[entry.lesson.guessed], measure.unit)
    return f"You said {said}; it was {was} in {build_of(result)}."


def machine_of(run: LessonsRun) -> str:
    """Return when and on what machine lessons were tried."""
    return f"{run.at}, {run.cores} cores, {run.memory_gib:.0f} GiB."


def figures(entry: Entry, results: Sequence[LessonResult]) -> Table | None:
    """Return what was measured as a table, a column an interpreter; None if nothing was."""
    results = [each for each in results if each.found is not None]
    if not results:
        return None
    rows = [
        [measure.title, *(_cell(each, name, measure.unit) for each in results)]
        for name, measure in entry.lesson.measures.items()
    ]
    cores = ["cores free for it, of 2", *(_cores(each) for each in results)]
    repeated = ["repetitions", *(str(_repetitions(each)) for each in results)]
    return Table(
        title="Seen",
        columns=["", *map(build_of, results)],
        rows=[*rows, cores, repeated],
        note="The median of the repetitions, and its interval, which holds it with 95 %.",
    )


def _cell(result: LessonResult, name: str, unit: str) -> str:
    assert result.found is not None
    known = result.found.measures.get(name)
    return UNNAMED if known is None else estimate_of(known, unit)


def _cores(result: LessonResult) -> str:
    assert result.found is not None
    return f"{result.found.cores.value:.2f}"


def _repetitions(result: LessonResult) -> int:
    assert result.found is not None
    return result.found.cores.repetitions


def build_of(result: LessonResult) -> str:
    """Return the name of the interpreter's build."""
    return result.python.build if result.python else UNNAMED
