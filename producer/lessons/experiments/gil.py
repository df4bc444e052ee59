"""Which import turns the GIL back on in a free-threaded Python."""

import os

from producer.lessons.bench import CannotTryError
from producer.lessons.experiment import Bench, Found, Judgement, Lesson, Lines, Measure, Observed, Seen, Verdict
from producer.lessons.lesson import APP, WORKDIR, not_shown, only_if, true

LESSON = Lesson(
    order=20,
    vietnamese="",
    english="A free-threaded Python runs without the GIL.",
    tried="All that a node imports is imported (with --app: all that your app imports); then each extension module "
    "alone, in a new process each, to see whether the GIL is on after it.",
    question="How many of the extension modules turn the GIL back on?",
    guessed="culprits",
    measures={
        "extensions": Measure(title="extension modules that were imported"),
        "culprits": Measure(title="of these turn the GIL on"),
    },
    expected=(Verdict.NOT_SHOWN, Verdict.TRUE),
    advice="Look before you buy: `poolrace doctor --python PATH --app APP`. One such import, at any time, turns the "
    "GIL on for the whole node; PYTHON_GIL=0 forbids it, at your own risk.",
)


def observe(_bench: Bench) -> Observed:
    """Import each module in a process of its own, once: the answer is the same each time."""
    from poolrace.gil import NODE, ImportFailedError, examine

    app = os.environ.get(APP, "")
    try:
        found = examine(() if app else NODE, app, os.environ.get(WORKDIR, "."))
    except ImportFailedError as error:
        raise CannotTryError(str(error)) from error
    yield Seen(
        figures={"extensions": len(found.extensions), "culprits": len(found.culprits)},
        notes={"culprits": ", ".join(found.culprits), "extensions": "\n".join(found.extensions)},
    )


def judge(found: Found) -> Judgement:
    """Judge by the modules that turn it on."""
    if not found.python.free_threaded:
        return not_shown("this build always has the GIL. Name a free-threaded one: --python /path/to/python3.14t.")
    if culprits := found.last.notes["culprits"]:
        return only_if(f"nothing imports {culprits}: each turns the GIL on for the whole process.")
    return true(f"none of the {found['extensions'].value:g} extension modules turned it on.")


def picture(found: Found) -> Lines:
    """List the modules."""
    bad = found.last.notes["culprits"].split(", ")
    names = found.last.notes["extensions"].split("\n")
    if not found.python.free_threaded:
        return Lines(title="Extension modules, whose effect a build with the GIL does not show", lines=names)
    return Lines(title="Extension modules", lines=[f"{'GIL on' if each in bad else 'ok':8}{each}" for each in names])
