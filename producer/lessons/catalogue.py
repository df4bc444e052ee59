"""The lessons that there are: a file each, in the order of the textbook. Standard library only."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from functools import cache
from pathlib import Path

from producer.lessons import experiments
from producer.lessons.lesson import Entry


@cache
def lessons() -> tuple[Entry, ...]:
    """Return all lessons, in their order."""
    names = [each.name for each in pkgutil.iter_modules(experiments.__path__)]
    return tuple(sorted(map(_read, names), key=lambda entry: entry.lesson.order))


def find(word: str) -> Entry | None:
    """Return the lesson of a number or a name; None if there is none."""
    return next((each for each in lessons() if word in (each.name, str(each.lesson.order))), None)


def nearest(word: str) -> str:
    """Return the name of a lesson that is most like a word."""
    names = [each.name for each in lessons()]
    return (difflib.get_close_matches(word, names, 1, 0.0) or names)[0]


def _read(name: str) -> Entry:
    module = importlib.import_module(f"{experiments.__name__}.{name}")
    return Entry(
        name=name.replace("_", "-"),
        lesson=module.LESSON,
        observe=module.observe,
        judge=module.judge,
        picture=module.picture,
        source=Path(str(module.__file__)).read_text(encoding="utf-8"),
    )
