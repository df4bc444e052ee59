"""
Runs one cell of a drill: `python -m producer.cli._cell QUESTION LOGS ANSWER`.

The question is a `CellQuestion` as JSON. What is found is written into the file ANSWER.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from producer import interrupts
from producer.analysis.drill import CellResult
from producer.errors import PoolraceError
from producer.files import replaced
from producer.measure.drill import CellQuestion, OwnQuestion, find, run_cell
from producer.measure.drilled import OwnTasks, why_no_outbox
from producer.ownapp.introspect import ask

if TYPE_CHECKING:
    from producer.plan.own_app import OwnApp

PATIENCE_S = 60.0


def own_app(question: OwnQuestion) -> OwnApp:
    """
    Ask a user's app what it is, and have it make its jobs.

    Raises:
        UsageError: If the app, a task or a job is wrong.
        FleetError: If it does not answer.
    """
    return ask(
        question.app, folder=Path(question.folder), jobs=question.jobs, tasks=question.tasks, python="",
        environment=os.environ, seed=1, timeout_s=question.longest_s, keep_backend=False, patience_s=PATIENCE_S,
    )  # fmt: skip


def _drilled(question: OwnQuestion) -> OwnTasks:
    return OwnTasks(own_app(question), visibility_s=question.visibility_s, longest_s=question.longest_s)


def main() -> None:
    """Run the cell that the command line names."""
    interrupts.install()
    text, logs, answer = sys.argv[1:]
    question = msgspec.json.decode(text, type=CellQuestion)
    entry = find(question.drill)
    assert entry is not None
    try:
        own = _drilled(question.own) if question.own else None
        if own and question.cell.has_outbox and (reason := why_no_outbox(own.own)):
            result = CellResult(drill=entry.name, cell=question.cell.name, skipped=reason)
        else:
            result = run_cell(entry, question.cell, Path(logs), own, question.times)
    except PoolraceError as error:
        result = CellResult(drill=entry.name, cell=question.cell.name, short=[f"could not be tried: {error}"])
    with replaced(Path(answer)) as file:
        file.write(msgspec.json.encode(result))


if __name__ == "__main__":
    main()
