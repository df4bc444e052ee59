"""
Break what breaks in production, under load, and account for every job.

Without DRILL, lists them. A drill starts a broker and nodes of its own, sends jobs, does the harm, and settles each job
by what it has noted itself: done, failed, set aside, waiting or lost, and how often it ran. A cell takes about 10
seconds. The exit code is 99 if a fault cost more than it may.

With --broker it has the nodes that run there already, on any host: a lane a pool. Drills that need no more than the
broker and jobs are done on them, the others left out. Your own fault is a command, or done by hand, under load.
"""

from __future__ import annotations

import difflib
import json
import math
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from poolrace.pools import DEFAULT_POOLS, POOLS
from poolrace.profiles import PROFILES, SAFE
from producer.analysis.features import disagreements
from producer.cli._attached_drill import ATTACHED, attached_options, chosen_for, is_own_fault, with_attached_options
from producer.cli._cell import own_app
from producer.cli._command import command, option
from producer.cli._exit_codes import BROKEN_THRESHOLD, EXIT_CODES
from producer.cli._options import FOLDER, OUT
from producer.cli._output import write_for_ci
from producer.cli._param_types import Count, Duration
from producer.errors import UsageError
from producer.measure.apart import AT_ONCE
from producer.measure.attached_drill import run_attached, why_left_out
from producer.measure.drill import OWN_FAULT, OwnQuestion, catalogue, find, run_drills, try_features
from producer.plan.drill import cells, own_cells
from producer.report.drills import contents, contents_on_others, features, matrix, run_of, runbook, to_json
from producer.report.drills import drill as parts_of
from producer.report.drills_page import PAGE, write_drills
from producer.report.junit import drills_as_junit
from producer.report.terminal import console_for, show_parts
from producer.rundir.folder import make_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from producer.analysis.drill import CellResult
    from producer.analysis.features import Tried
    from producer.measure.drill import Entry
    from producer.plan.drill import Cell
    from producer.report.drills import DrillsRun

FEATURES = "features"
"""In place of a drill: tries what pools do."""

CELL = "producer.cli._cell"
"""The module that runs a cell in a process of its own."""

LONG, STRIKE_S = 100, 0.45
"""How many strikes are said to take long, and how long each takes about, in seconds."""

LONGEST_S, VISIBILITY_S, MAX_S = 5.0, 10, 3600

EXAMPLES = f"""\b
Examples:
  poolrace drill
  poolrace drill node-kill
  poolrace drill rolling-deploy scale-in --cell prefork-safe --cell threads-safe
  poolrace drill node-kill node-term --pool solo --pool gevent
  poolrace drill child-kill --cell prefork-safe --without task_reject_on_worker_lost
  poolrace drill random-kills --cell threads-safe --times 1000
  poolrace drill node-kill --cell prefork-safe --repeat 20
  poolrace drill features
  poolrace drill --all
  poolrace drill --all --json > drills.json
  poolrace drill --app shop.celery:app --jobs jobs.jsonl rolling-deploy node-kill broker-restart --yes-effects
  poolrace drill --broker redis://:PASSWORD@127.0.0.1:6379/0 --fault-command 'docker kill shop-worker-1'
  poolrace drill --broker redis://:PASSWORD@127.0.0.1:6379/0 --fault-by-hand --expect-nodes 6
  poolrace drill --broker redis://:PASSWORD@127.0.0.1:6379/0 node-term job-crash

{EXIT_CODES}"""


@command(__doc__, epilog=EXAMPLES)
@click.argument("words", metavar="[DRILL]...", nargs=-1)
@option("--all", "everything", is_flag=True, help="Run all of them.")
@option("--cell", "keys", multiple=True, metavar="NAME", help="Only in this cell, e.g. threads-late-stock; repeatable.")
@option(
    "--pool",
    "pools",
    multiple=True,
    type=click.Choice(list(POOLS)),
    help=f"In the cells of this pool; repeatable. [default: {' and '.join(DEFAULT_POOLS)}]",
)
@option(
    "--without",
    multiple=True,
    metavar="SETTING",
    help="Leave a setting out of the safe profile, to see what it is for; repeatable.",
)
@option("--app", metavar="APP", help="Your own Celery app, as celery -A takes it: its jobs in place of the drill's.")
@option(
    "--jobs",
    metavar="FILE",
    help="With --app: a file with a JSON object a line, or a function that makes jobs, MODULE:FUNCTION.",
)
@option("--task", "tasks", multiple=True, metavar="NAME", help="With --app: only jobs of this task; repeatable.")
@option("--workdir", type=FOLDER, metavar="DIR", default=".", help="With --app: where it is imported and run.")
@option(
    "--longest",
    "longest_s",
    type=Duration(0.01, MAX_S),
    default=LONGEST_S,
    help="With --app: what a job takes at most. Drills wait accordingly.",
)
@option(
    "--visibility",
    "visibility_s",
    type=Count(1, MAX_S),
    default=VISIBILITY_S,
    metavar="SECONDS",
    help="With --app: the visibility timeout of its nodes; longer than any job.",
)
@option("--yes-effects", is_flag=True, help="With --app: yes, jobs may run twice, with all that they do outside.")
@option(
    "--times",
    type=Count(1, 10_000),
    metavar="N",
    help="How often a drill strikes that does so again and again, as random-kills; 20 by default.",
)
@option(
    "--repeat",
    type=Count(1, 1000),
    default=1,
    metavar="N",
    help="How often each drill is done in each cell. Jobs are counted over all of them.",
)
@with_attached_options
@option("--at-once", type=Count(1, 16), default=AT_ONCE, help="How many cells run at the same time.")
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
    pools: Sequence[str],
    without: Sequence[str],
    times: int | None,
    repeat: int,
    at_once: int,
    out: Path,
    as_json: bool,
    junit: Path | None,
    **others: Any,
) -> int:
    """List the drills, or run some and print what was found."""
    of_attached = {name: others.pop(name) for name in ATTACHED}
    told = {**others, "keys": keys, "pools": pools, "without": without, "times": times}
    attached = attached_options(of_attached, told)
    own_fault = attached is not None and is_own_fault(attached)
    if not (words or everything or own_fault):
        show_parts(contents_on_others(why_left_out) if attached else contents(), console_for(sys.stdout))
        return 0
    if FEATURES in words and of_attached["broker_url"]:
        raise UsageError("DRILL features: tries what pools do, on nodes of its own. Leave --broker out.")
    if FEATURES in words:
        return _features(words, keys, out, as_json=as_json)
    app = others.pop("app")
    chosen = _chosen(words, app, times, everything=everything and not own_fault)
    own, most = None, None
    if attached:
        entries = chosen_for(attached, chosen)
        folder = make_folder(out, "drills")
        found = run_attached(entries, folder, attached, repeat)
    else:
        named = _pools(pools, keys)
        own, known = _own(app, named, **others) if app else (None, cells(named))
        pairs = [(entry, cell) for entry in chosen for cell in _cells(known, keys, without)]
        folder, most = make_folder(out, "drills"), len(pairs) * repeat
        found = run_drills(pairs, folder, CELL, own, at_once=at_once, times=times, repeat=repeat)
    run = _run(found, most, folder, junit, times=times)
    return _show(run, own, in_matrix=len(chosen) > 1, as_json=as_json)


def _show(run: DrillsRun, own: OwnQuestion | None, *, in_matrix: bool, as_json: bool) -> int:
    """Print what was found, and return the exit code."""
    if as_json:
        click.echo(to_json(run), nl=False)
        return 0 if run.as_expected else BROKEN_THRESHOLD
    if in_matrix:
        show_parts(matrix(run), console_for(sys.stdout))
    else:
        for entry, found in run.by_drill():
            show_parts(parts_of(entry, found), console_for(sys.stdout))
    if own:
        show_parts(runbook(run, own.visibility_s), console_for(sys.stdout))
    return 0 if run.as_expected else BROKEN_THRESHOLD


def _chosen(words: Sequence[str], app: str | None, times: int | None, *, everything: bool) -> list[Entry]:
    """
    Return the drills that are named, or all of them.

    Raises:
        UsageError: If there is none of a name, or one cannot be done as it is asked for.
    """
    if everything:
        return [each for each in catalogue() if not (app and each.drill.own_jobs)]
    chosen = [_found(word, app) for word in words]
    if times and (once := [entry.name for entry in chosen if not entry.drill.times]):
        again = [entry.name for entry in catalogue() if entry.drill.times]
        raise UsageError(f"--times: {once[0]} strikes as often as it declares. Those that take it: {', '.join(again)}.")
    return chosen


def _run(
    found: Iterator[CellResult], most: int | None, folder: Path, junit: Path | None, *, times: int | None
) -> DrillsRun:
    """Go through what is found as it is, and keep it; how many there will be may not be known before."""
    results: list[CellResult] = []
    began = time.monotonic()
    if times and times >= LONG:
        click.echo(f"{times:,} strikes in each cell take about {math.ceil(times * STRIKE_S / 60)} minutes.", err=True)
    try:
        for number, result in enumerate(found, 1):
            results.append(result)
            of_all = f"{number} of {most}" if most else f"{number}"
            click.echo(f"{of_all}: {result.drill} in {result.cell}{_mark(result)}", err=True)
    finally:
        # What was found before Ctrl-C or an error is kept.
        run = run_of(results, folder, time.monotonic() - began)
        if results:
            write_drills(run, folder)
            click.echo(f"Page: {folder / PAGE}", err=True)
            if junit:
                write_for_ci(junit, drills_as_junit(run))
        else:
            with suppress(OSError):  # there may be logs
                folder.rmdir()
    return run


def _pools(named: Sequence[str], keys: Sequence[str]) -> tuple[str, ...]:
    """
    Return the pools whose cells there are: those that were named, also by a cell, or those that are raced.

    Raises:
        UsageError: If one cannot run here.
    """
    by_cell = [name for name in POOLS if any(key.startswith(f"{name}-") for key in keys)]
    pools = tuple(dict.fromkeys([*named, *by_cell])) or DEFAULT_POOLS
    for name in pools:
        if (package := POOLS[name].package) and not find_spec(package):
            raise UsageError(f"--pool {name}: needs the package {package}. Install it: pip install {package}.")
    return pools


def _own(
    app: str,
    pools: tuple[str, ...],
    *,
    jobs: str | None,
    tasks: Sequence[str],
    workdir: Path,
    longest_s: float,
    visibility_s: int,
    yes_effects: bool,
) -> tuple[OwnQuestion, Sequence[Cell]]:
    """Return what cells are told of a user's app, and the cells that it has."""
    if not yes_effects:
        raise UsageError(
            "--app: faults make jobs run twice, with all that they do outside, such as mail or payments. If that may "
            "be here, say so: --yes-effects."
        )
    if visibility_s <= longest_s:
        raise UsageError(
            f"--visibility {visibility_s}: must be more than --longest {longest_s:g}s, or jobs run twice by themselves."
        )
    question = OwnQuestion(
        app=app, folder=str(workdir.resolve()), jobs=jobs, tasks=list(tasks), visibility_s=visibility_s,
        longest_s=longest_s,
    )  # fmt: skip
    facts = own_app(question).facts
    return question, own_cells(facts["acks"], facts["transport"], pools)


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


def _found(word: str, app: str | None) -> Entry:
    entry = find(word)
    if entry is None:
        nearest = difflib.get_close_matches(word, [each.name for each in catalogue()], 1, 0.0)[0]
        raise UsageError(f"DRILL {word!r}: there is none. Do you mean {nearest}? `poolrace drill` lists all of them.")
    if entry is OWN_FAULT:
        raise UsageError(f"DRILL {word!r}: is what you do yourself. Name it by --broker and --fault-command.")
    if app and entry.drill.own_jobs:
        raise UsageError(f"DRILL {word!r}: sends jobs of its own, and says nothing of an app. Leave --app out.")
    return entry


def _cells(there: Sequence[Cell], keys: Sequence[str], without: Sequence[str]) -> Sequence[Cell]:
    known = {cell.name: cell for cell in there}
    names = [each.name for each in PROFILES[SAFE]]
    for name in without:
        if name not in names:
            raise UsageError(f"--without {name!r}: no setting of the safe profile. They are {', '.join(names)}.")
    if without:
        known = {name: cell.leaving_out(*without) for name, cell in known.items() if cell.profile}
    for key in keys:
        if key not in known:
            raise UsageError(f"--cell {key!r}: there is none. They are {', '.join(known)}; more with --pool.")
    return [known[key] for key in keys] or list(known.values())


def _mark(result: CellResult) -> str:
    if result.skipped:
        return f": left out, {result.skipped}"
    return f": {'; '.join(result.short)}" if result.short else ""
