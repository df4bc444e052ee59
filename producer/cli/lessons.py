"""
Try statements about processes, threads, the GIL and locks on this machine.

Without LESSON, lists them. A lesson runs an experiment on live Celery nodes or bare Python, and says what it saw,
whether the statement is true, and what to set in Celery because of it. All take about two minutes.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from producer.cli._command import command, option
from producer.cli._exit_codes import EXIT_CODES
from producer.cli._options import FOLDER, OUT
from producer.cli._param_types import Duration
from producer.errors import UsageError
from producer.fleet.environment import app_environment
from producer.fleet.interpreters import check_interpreter
from producer.lessons.catalogue import find, nearest
from producer.lessons.catalogue import lessons as all_lessons
from producer.lessons.lesson import APP, WORKDIR
from producer.measure.lessons import LessonRunner
from producer.report.lessons import contents, guessed, lesson, overview, run_of, to_json
from producer.report.lessons_page import PAGE, write_lessons
from producer.report.terminal import console_for, show_parts
from producer.rundir.folder import make_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from producer.analysis.lessons import LessonResult
    from producer.lessons.lesson import Entry

AT_MOST_S = 5.0

GIL = "gil"
"""The lesson that takes an app."""

EXAMPLES = f"""\b
Examples:
  poolrace lessons
  poolrace lessons 7
  poolrace lessons two-threads lost-update --guess
  poolrace lessons --all
  poolrace lessons lost-update --python python3.14t
  poolrace lessons gil --app shop.celery:app --python python3.14t
  poolrace lessons --all --json > lessons.json

{EXIT_CODES}"""


@command(__doc__, epilog=EXAMPLES)
@click.argument("words", metavar="[LESSON]...", nargs=-1)
@option("--all", "everything", is_flag=True, help="Try all of them.")
@option(
    "--python",
    "pythons",
    multiple=True,
    metavar="PATH",
    help="An interpreter to try them in; repeatable, for several side by side. [default: the one that runs this]",
)
@option("--guess", is_flag=True, help="Ask for your guess before each lesson.")
@option(
    "--at-most",
    "at_most_s",
    type=Duration(0.1, 600),
    default=AT_MOST_S,
    help="How long a lesson may repeat in each interpreter, the start of nodes apart.",
)
@option("--app", metavar="APP", default="", help="With the lesson gil: your own Celery app, as celery -A takes it.")
@option("--workdir", type=FOLDER, metavar="DIR", default=".", help="With --app: where it is imported.")
@OUT
@option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@click.pass_obj
def lessons(
    environment: dict[str, str],
    *,
    words: Sequence[str],
    everything: bool,
    pythons: Sequence[str],
    guess: bool,
    at_most_s: float,
    app: str,
    workdir: Path,
    out: Path,
    as_json: bool,
) -> int:
    """List the lessons, or try some and print what was found."""
    if not (words or everything):
        show_parts(contents(), console_for(sys.stdout))
        return 0
    chosen = all_lessons() if everything else [_found(word) for word in words]
    _check(chosen, pythons, app=app, guess=guess)
    own = {**app_environment(environment), APP: app, WORKDIR: str(workdir.resolve())} if app else {}
    folder = make_folder(out, "lessons")
    results: list[LessonResult] = []
    began = time.monotonic()
    try:
        with LessonRunner(folder / "logs", at_most_s, own) as runner:
            for entry, found in _tried(runner, chosen, pythons or ("",), guess=guess):
                results += found
                if app and found[0].found is None and entry.name == GIL:
                    raise UsageError(f"--app {found[0].judgement.because}")
                if not (everything or as_json):
                    show_parts(lesson(entry, found), console_for(sys.stdout))
    finally:
        # What was found before Ctrl-C or an error is kept.
        run = run_of(results, folder, time.monotonic() - began)
        if results:
            write_lessons(run, folder)
    if as_json:
        click.echo(to_json(run), nl=False)
    elif everything:
        show_parts(overview(run), console_for(sys.stdout))
    click.echo(f"Page: {folder / PAGE}", err=True)
    return 0


def _found(word: str) -> Entry:
    entry = find(word)
    if entry is None:
        hint = f"They are 1 to {len(all_lessons())}." if word.isdecimal() else f"Do you mean {nearest(word)}?"
        raise UsageError(f"LESSON {word!r}: there is none. {hint} `poolrace lessons` lists all of them.")
    return entry


def _check(chosen: Sequence[Entry], pythons: Sequence[str], *, app: str, guess: bool) -> None:
    if guess and not sys.stdin.isatty():
        raise UsageError("--guess: asks on a terminal, and the standard input is none. Leave it out.")
    if app and GIL not in [each.name for each in chosen]:
        raise UsageError("--app: is for the lesson gil. Name it: poolrace lessons gil --app APP.")
    for python in pythons:
        check_interpreter(python, f"--python {python}")


def _tried(
    runner: LessonRunner, chosen: Sequence[Entry], pythons: Sequence[str], *, guess: bool
) -> Iterator[tuple[Entry, list[LessonResult]]]:
    """Try each lesson in each interpreter, and say meanwhile which it is."""
    for number, entry in enumerate(chosen, 1):
        guess_of_reader = click.prompt(entry.lesson.question, type=float, err=True) if guess else None
        found = []
        for python in pythons:
            click.echo(f"{number} of {len(chosen)}: {entry.name}" + (f" in {python}" if python else ""), err=True)
            found.append(runner.run(entry, python))
            if guess_of_reader is not None:
                click.echo(guessed(entry, found[-1], guess_of_reader), err=True)
        yield entry, found
