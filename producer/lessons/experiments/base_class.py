"""Whether processes and threads of Python inherit from one base."""

import multiprocessing
import threading

from producer.lessons.experiment import Bench, Found, Judgement, Lesson, Lines, Measure, Observed, Seen, Verdict
from producer.lessons.lesson import false, true

LESSON = Lesson(
    order=8,
    vietnamese="Trong python thì process và thread cùng kế thừa chung một interface là một base thread.",
    english="In Python, process and thread inherit from one interface, a base thread.",
    tried="The interpreter is asked: which classes `multiprocessing.Process` and `threading.Thread` inherit from, and "
    "which public names both have.",
    question="How many classes besides `object` do Process and Thread both inherit from?",
    guessed="common",
    measures={
        "common": Measure(title="common base classes besides object"),
        "names": Measure(title="public names that both have"),
    },
    expected=(Verdict.FALSE, Verdict.FALSE),
    advice="Celery's pools are no such family either: prefork, threads, gevent and solo have one interface, and each "
    "ignores other settings. What yours ignores is in the report of a race, under what you give up.",
)


def observe(_bench: Bench) -> Observed:
    """Ask for the base classes and the public names, once: the answer is the same each time."""
    kinds = (multiprocessing.Process, threading.Thread)
    process, thread = (set(kind.__mro__) - {object} for kind in kinds)
    ours, theirs = ({name for name in dir(kind) if name[0] != "_"} for kind in kinds)
    yield Seen(
        figures={"common": len(process & thread), "names": len(ours & theirs)},
        notes={
            "Process": " < ".join(kind.__name__ for kind in multiprocessing.Process.__mro__),
            "Thread": " < ".join(kind.__name__ for kind in threading.Thread.__mro__),
            "both have": ", ".join(sorted(ours & theirs)),
        },
    )


def judge(found: Found) -> Judgement:
    """Judge by the classes that they have in common."""
    if found["common"].value:
        return true("they have a base in common.")
    return false(f"they have no base in common but object; they share {found['names'].value:g} names of methods.")


def picture(found: Found) -> Lines:
    """Show the base classes."""
    return Lines(title="Base classes", lines=[f"{name}: {value}" for name, value in found.last.notes.items()])
