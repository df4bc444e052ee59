"""The pictures of a run, a file each: what hangs in this folder is on the page."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from producer.report.charts.changes import changes
from producer.report.charts.picture import RegisteredPicture
from producer.report.charts.side_by_side import side_by_side

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from producer.report.charts.picture import Picture
    from producer.rundir.run import Run


def pictures() -> list[RegisteredPicture]:
    """
    Return the pictures in the files of this folder, in the order of the page.

    Raises:
        ValueError: If two have the same key.
    """
    found: dict[str, RegisteredPicture] = {}
    for file in iter_modules(__path__):
        module = import_module(f"{__name__}.{file.name}")
        for each in vars(module).values():
            if isinstance(each, RegisteredPicture) and each.draw.__module__ == module.__name__:
                if each.key in found:
                    raise ValueError(f"two pictures have the key {each.key!r}: that of {file.name}.py is taken")
                found[each.key] = each
    return sorted(found.values(), key=lambda each: (each.order, each.key))


def pictures_of(summary: Mapping[str, Any], run: Run) -> list[Picture]:
    """
    Draw every picture of a run; one that the run has nothing for says what is missing.

    Args:
        summary: Of the run.
        run: The same run, read.
    """
    return [picture(summary, run) for picture in pictures()]


def pictures_of_both(
    found: Mapping[str, Any], summaries: Sequence[Mapping[str, Any]], runs: Sequence[Run]
) -> list[Picture]:
    """
    Draw what changed between two runs, and pictures with the lanes of both.

    Args:
        found: The comparison of both, from `producer.analysis.compare.compare_runs`.
        summaries: Of the first run and of the second.
        runs: The same runs, read.
    """
    summary, run = side_by_side(summaries, runs)
    return [changes(found), *(picture(summary, run) for picture in pictures() if picture.compares)]
