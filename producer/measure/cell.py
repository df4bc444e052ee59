"""Runs one cell of a drill: `python -m producer.measure.cell DRILL CELL WITHOUT LOGS ANSWER`."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from producer import interrupts
from producer.analysis.drill import CellResult
from producer.errors import PoolraceError
from producer.files import replaced
from producer.measure.drill import find, run_cell
from producer.plan.drill import cells


def main() -> None:
    """Run the cell that the command line names."""
    interrupts.install()
    name, key, without, logs, answer = sys.argv[1:]
    entry = find(name)
    cell = next((each for each in cells() if each.name == key), None)
    assert entry is not None
    assert cell is not None
    cell = cell.leaving_out(*without.split(",")) if without else cell
    try:
        result = run_cell(entry, cell, Path(logs))
    except PoolraceError as error:
        result = CellResult(drill=name, cell=cell.name, short=[f"could not be tried: {error}"])
    with replaced(Path(answer)) as file:
        file.write(msgspec.json.encode(result))


if __name__ == "__main__":
    main()
