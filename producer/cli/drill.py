"""
Break what breaks in production, under load, and account for every job.

Without DRILL, lists them. A drill starts a broker and nodes of its own, sends jobs, does the harm, and settles each job
by what it has noted itself: done, failed, set aside, waiting or lost, and how often it ran. It takes about 20 seconds a
cell, two cells at a time. The exit code is 99 if a fault cost more than it may.
"""

from __future__ import annotations

import difflib
import json
import sys
import time
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from poolrace.pools import POOLS
from poolrace.profiles import PROFILES, SAFE
from producer.analysis.features import disagreements
from producer.cli._command import command, option
from producer.cli._exit_codes import BROKEN_THRESHOLD, EXIT_CODES
from producer.cli._options import OUT
from producer.cli._output import write_for_ci
from producer.errors import UsageError
from producer.measure.drill import catalogue, find, run_drills, try_features
from producer.plan.drill import cells
from producer.report.drills import contents, features, matrix, run_of, to_json
from producer.report.drills import drill as parts_of
from producer.report.drills_page import PAGE, write_drills
from producer.report.junit import drills_as_junit
from producer.report.terminal import console_for, show_parts
from producer.rundir.folder import make_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producer.analysis.drill import CellResult
    from producer.analysis.features import Tried
    from producer.measure.drill import Entry
    from producer.plan.drill import Cell

FEATURES = "features"
"""In place of a drill: tries what pools do."""

EXAMPLES = f"""\b
Examples:
  poolrace drill
  poolrace drill node-kill
  poolrace drill rolling-deploy scale-in --cell prefork-safe --cell threads-safe
  poolrace drill child-kill --cell prefork-safe --without task_reject_on_worker_lost
  poolrace drill features
  poolrace drill --all
  poolrace drill --all --json > drills.json

{EXIT_CODES}"""


@command(__doc__, epilog=EXAMPLES)
@click.argument("words", metavar="[DRILL]...", nargs=-1)
@option("--all", "everything", is_flag=True, help="Run all of them.")
@option("--cell", "keys", multiple=True, metavar="NAME", help="Only in this cell, e.g. threads-late-stock; repeatable.")
@option(
    "--without",
    multiple=True,
    metavar="SETTING",
    help="Leave a setting out of the safe profile, to see what it is for; repeatable.",
)
@OUT
@option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@option(
    "--junit",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write JUnit XML: a test for each drill in each cell.",
)
def drill(
    *,
    words: Sequence[str],
    everything: bool,
    keys: Sequence[str],
    without: Sequence[str],
    out: Path,
    as_json: bool,
    junit: Path | None,
) -> int:
    """List the drills, or run some and print what was found."""
    if not (words or everything):
        show_parts(contents(), console_for(sys.stdout))
        return 0
    if FEATURES in words:
        return _features(words, keys, out, as_json=as_json)
    chosen = catalogue() if everything else [_found(word) for word in words]
    where = _cells(keys, without)
    folder = make_folder(out, "drills")
    results: list[CellResult] = []
    began = time.monotonic()
    try:
        pairs = [(entry, cell) for entry in chosen for cell in where]
        for number, result in enumerate(run_drills(pairs, folder), 1):
            results.append(result)
            click.echo(f"{number} of {len(pairs)}: {result.drill} in {result.cell}{_mark(result)}", err=True)
    finally:
        # What was found before Ctrl-C or an error is kept.
        run = run_of(results, folder, time.monotonic() - began)
        if results:
            write_drills(run, folder)
            if junit:
                write_for_ci(junit, drills_as_junit(run))
    if as_json:
        click.echo(to_json(run), nl=False)
    elif len(chosen) > 1:
        show_parts(matrix(run), console_for(sys.stdout))
    else:
        for entry, found in run.by_drill():
            show_parts(parts_of(entry, found), console_for(sys.stdout))
    click.echo(f"Page: {folder / PAGE}", err=True)
    return 0 if run.as_expected else BROKEN_THRESHOLD


def _features(words: Sequence[str], keys: Sequence[str], out: Path, *, as_json: bool) -> int:
    if len(words) > 1 or keys:
        raise UsageError("DRILL features: tries what pools do, and stands alone. Leave the other words out.")
    pools = [name for name, pool in POOLS.items() if not pool.package or find_spec(pool.package)]
    tried: list[Tried] = []
    folder = make_folder(out, "features")
    for each in try_features(pools, folder):
        tried += each
        click.echo(f"{len({one.pool for one in tried})} of {len(pools)}: {each[0].pool}", err=True)
    tried.sort(key=lambda each: pools.index(each.pool))
    if as_json:
        found = [{**asdict(each), "said": each.said, "agrees": each.agrees} for each in tried]
        click.echo(json.dumps(found, indent=2))
    else:
        show_parts(features(tried), console_for(sys.stdout))
    return BROKEN_THRESHOLD if disagreements(tried) else 0


def _found(word: str) -> Entry:
    entry = find(word)
    if entry is None:
        nearest = difflib.get_close_matches(word, [each.name for each in catalogue()], 1, 0.0)[0]
        raise UsageError(f"DRILL {word!r}: there is none. Do you mean {nearest}? `poolrace drill` lists all of them.")
    return entry


def _cells(keys: Sequence[str], without: Sequence[str]) -> Sequence[Cell]:
    known = {cell.name: cell for cell in cells()}
    names = [each.name for each in PROFILES[SAFE]]
    for name in without:
        if name not in names:
            raise UsageError(f"--without {name!r}: no setting of the safe profile. They are {', '.join(names)}.")
    if without:
        known = {name: cell.leaving_out(*without) for name, cell in known.items() if cell.profile}
    for key in keys:
        if key not in known:
            raise UsageError(f"--cell {key!r}: there is none. They are {', '.join(known)}.")
    return [known[key] for key in keys] or list(known.values())


def _mark(result: CellResult) -> str:
    if result.skipped:
        return f": left out, {result.skipped}"
    return f": {'; '.join(result.short)}" if result.short else ""
