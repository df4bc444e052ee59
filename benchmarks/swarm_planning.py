"""
A fleet plan held against a swarm: runs on one of its hosts and on two predict three, before three are run.

It takes the stack that runs on a swarm of three hosts (`make swarm`), and scales its workers; they are back to as many
as they were in the end. The prediction is in a file before the run on three hosts begins.
"""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figures import Skipped
from benchmarks.planning import OUT, POOLS, compared, foretell, written
from producer.analysis.fleet_inputs import observations
from producer.deadlines import until
from producer.errors import FleetError
from producer.rundir.reader import read_run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.figures import Result
    from producer.rundir.run import Run

ROOT = Path(__file__).parents[1]
RUNS = "/var/lib/poolrace/runs"
SEEN, FORETOLD = (1, 2), 3
"""Hosts that are measured to predict others, and those that are predicted: each with a node of each pool."""

SLEEP_S, UTILISATION = 0.1, 0.6
"""Hosts may share their cores, so jobs sleep, and come at a rate that leaves them idle."""

READY_S = 120.0
SPEAK = '. deploy/swarm/engines.sh && find_swarm && swarm "$@"'
"""Says something to the manager of the swarm, as the scripts of deploy/swarm find it."""


def measure(*, out: Path = OUT, pairs: int = 3, trial_s: float = 8.0) -> Sequence[Result]:
    """Measure one host and two, write what three will do, measure these, and compare."""
    if reason := _missing():
        return [Skipped(name="foretold / measured, on a swarm", reason=reason)]
    out.mkdir(parents=True, exist_ok=True)
    with _scaled_back():
        few = [_race(out, hosts, pairs, trial_s) for hosts in SEEN]
        slots = observations(few[0])[0].lane.concurrency
        said = written(
            few[-1].path.with_suffix(".prediction.json"),
            foretell(few, nodes=FORETOLD, slots=slots, utilisation=UTILISATION),
        )
        many = _race(out, FORETOLD, pairs, trial_s, next(iter(said.values())).rate_per_s)
    return compared(many, said, f"{FORETOLD} hosts by runs of {' and '.join(map(str, SEEN))}")


def _missing() -> str | None:
    """Return why it cannot be measured here; None if it can."""
    try:
        hosts = [line for line in _say("node", "ls", "--format", "{{.Status}}").splitlines() if line == "Ready"]
        running = _say("service", "ls", "--format", "{{.Name}}").splitlines()
    except FleetError as error:
        return f"needs the stack on a swarm of {FORETOLD} hosts, `make swarm`: {error}"
    if len(hosts) < FORETOLD or not {_service(pool) for pool in POOLS} <= set(running):
        return f"needs the stack on a swarm of {FORETOLD} hosts, `make swarm`; here are {len(hosts)}"
    return None


def _service(pool: str) -> str:
    return f"poolrace_worker-{pool}"


def _command(*words: str) -> str:
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if ended.returncode:
        raise FleetError((ended.stderr or ended.stdout).strip() or f"{words[0]} ended with {ended.returncode}")
    return ended.stdout


def _say(*words: str) -> str:
    return _command("sh", "-c", SPEAK, "sh", *words)


@contextmanager
def _scaled_back() -> Iterator[None]:
    """Have as many workers afterwards as there were."""
    template = "{{.Spec.Mode.Replicated.Replicas}}"
    before = {pool: int(_say("service", "inspect", "--format", template, _service(pool))) for pool in POOLS}
    try:
        yield
    finally:
        _say("service", "scale", "--detach", *(f"{_service(pool)}={number}" for pool, number in before.items()))


def _scale(hosts: int) -> None:
    """Have one worker of each pool on so many hosts."""
    _say("service", "scale", "--detach", *(f"{_service(pool)}={hosts}" for pool in POOLS))

    def there() -> bool:
        return all(len(found) == len(set(found)) == hosts for found in map(_hosts, POOLS))

    if not until(there, READY_S, every_s=1):
        raise FleetError(f"No worker of each pool on each of {hosts} hosts. See docker stack ps poolrace.")


def _hosts(pool: str) -> list[str]:
    """Return the host of each worker that runs; also of those that are ending."""
    told = _say("service", "ps", _service(pool), "--format", "{{.Node}} {{.CurrentState}}")
    return [line.split()[0] for line in told.splitlines() if line.split()[1] == "Running"]


def _race(out: Path, hosts: int, pairs: int, trial_s: float, rate_per_s: float | None = None) -> Run:
    """Race both pools on so many hosts, and bring the run here."""
    _scale(hosts)
    rate = ("--rate", f"{rate_per_s}/s") if rate_per_s else ("--utilisation", str(UTILISATION))
    told = _command(
        "deploy/swarm/poolrace", "race", "--expect-nodes", str(hosts * len(POOLS)), "--workload", "sleep",
        "--job-duration", f"{SLEEP_S:g}s", "--pairs", str(pairs), "--duration", f"{trial_s:g}s", *rate, "--json",
    )  # fmt: skip
    directory = json.loads(told)["run"]["directory"]
    container = _say("ps", "-q", "--filter", "label=com.docker.swarm.service.name=poolrace_producer").strip()
    _say("cp", f"{container}:{RUNS}/{directory}", str(out.resolve() / directory))
    return read_run(out / directory)
