"""A load on workers of a swarm while something happens to it, and the one fate of each of its jobs."""

import json
import math
import secrets
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from swarm.hosts import LANES, Swarm, until

from poolrace.effects import BEGUN, DONE
from producer import deadlines
from producer.analysis.drill import Found, JobFate, Strike, Toll, settle_jobs, toll_of

SEND = Path(__file__).with_name("send_jobs.py").read_text()
FIND = Path(__file__).with_name("find_jobs.py").read_text()
RATE_PER_S = 30.0
JOB_S = 0.15
LONG_EVERY, LONG_S = 45, 3.0
"""Of a load with long jobs, each so manieth takes so long: a fault that strikes once one has begun finds it."""

BEGUN_S = 0.5
SETTLE_S = 60.0
AROUND_S = 0.5
"""So long before and after a fault what nodes held may have been what it struck."""


class Load:
    """
    Jobs that are sent, by default at a steady rate and to both pools.

    Use it as a context manager: when it is left, sending is over. `fates` are looked for when they are first asked for.

    Args:
        swarm: The stack.
        queues: The queues to send to, in turn.
        phases: Jobs a second, and for how many seconds; the last rate holds until the end.
        job_s: How long a job takes.
        with_long: Whether some jobs are long, so that there is one for a fault to strike.
    """

    def __init__(
        self,
        swarm: Swarm,
        *,
        queues: Sequence[str] = LANES,
        phases: Sequence[tuple[float, float]] = ((RATE_PER_S, 0.0),),
        job_s: float = JOB_S,
        with_long: bool = False,
    ) -> None:
        self._swarm = swarm
        long = {"long_every": LONG_EVERY, "long_s": LONG_S} if with_long else {}
        self._order = {"queues": queues, "phases": phases, "job_s": job_s, **long}
        self._rate_per_s = phases[0][0]
        self._sent: dict[str, float] = {}
        self.name = f"job-{secrets.token_hex(4)}-"
        self._strikes: list[tuple[str, float, float]] = []
        self._told: Any = None

    def __enter__(self) -> "Load":
        self._command = self._swarm.begin_python(SEND, json.dumps({"name": self.name, **self._order}))
        assert self._command.stdout is not None
        said = self._command.stdout.readline()
        assert said == "sending\n", said + (self._command.communicate()[1] or "")
        until(lambda: self.done() >= self._rate_per_s)
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        out, err = self._command.communicate("", timeout=60)
        if error is None:
            assert self._command.returncode == 0, err
            self._told = json.loads(out)
            self._sent = self._told["sent"]

    def done(self) -> int:
        """How many jobs are done by now."""
        return len({note.job for note in self._swarm.notes(self.name) if note.what == DONE})

    def goes_on(self) -> None:
        """Wait until more is done than now, by two seconds of the load."""
        before = self.done()
        until(lambda: self.done() >= before + 2 * self._rate_per_s)

    def long_begins(self, host: str) -> None:
        """Wait until a long job has just begun on a host."""

        def has_begun() -> bool:
            notes = [note for note in self._swarm.ledger(host).notes() if note.job.startswith(self.name)]
            begun = {note.job.removeprefix(self.name): note.at for note in notes if note.what == BEGUN}
            return any(int(job) % LONG_EVERY == 0 and time.time() - at < BEGUN_S for job, at in begun.items())

        until(has_begun, every_s=BEGUN_S / 5)

    def late(self, limit_s: float) -> int:
        """How many jobs were done later than that after they were sent, or not at all."""
        assert self.fates  # looked for until none is on its way
        done = {note.job: note.at for note in self._swarm.notes(self.name) if note.what == DONE}
        return sum(done.get(job, math.inf) - at > limit_s for job, at in self._sent.items())

    def strikes(self, what: str) -> "Striking":
        """A fault, from the beginning of the block to its end."""
        return Striking(self._strikes, what)

    @cached_property
    def fates(self) -> list[JobFate]:
        """What became of each job, once none is on its way."""
        sent, refused = list(self._sent), set(self._told["refused"])
        found = self._found_in_the_end(set(sent) - refused)
        held = [(at, frozenset(jobs)) for at, jobs in self._told["held"]]
        strikes = [
            Strike(
                what=what,
                at=began,
                held=frozenset().union(*(jobs for at, jobs in held if began - AROUND_S <= at <= ended + AROUND_S)),
            )
            for what, began, ended in self._strikes
        ]
        return settle_jobs(sent, refused, self._swarm.notes(self.name), found, strikes)

    def _found_in_the_end(self, wanted: set[str]) -> Found:
        """Where jobs are once none was on its way for two looks: what has come back runs again, done or not."""
        looks: list[Found] = []

        def over() -> bool:
            looks.append(self._found())
            return len(looks) > 1 and not any(look.on_the_way & wanted for look in looks[-2:])

        deadlines.until(over, SETTLE_S, every_s=0.5)
        return looks[-1]

    def _found(self) -> Found:
        told = json.loads(self._swarm.python(FIND, *LANES))
        return Found(**{where: frozenset(jobs) for where, jobs in told.items()})

    @property
    def toll(self) -> Toll:
        """What it all cost."""
        return toll_of(self.fates)


class Striking:
    """A block in which a fault strikes: what nodes hold in it may run again because of it."""

    def __init__(self, strikes: list[tuple[str, float, float]], what: str) -> None:
        self._strikes, self._what = strikes, what

    def __enter__(self) -> None:
        self._began = time.time()

    def __exit__(self, *_: object) -> None:
        self._strikes.append((self._what, self._began, time.time()))


def told(what: str, toll: Toll, **more: Any) -> None:
    print(  # noqa: T201 - the counts are what this is for
        f"\n{what}: sent {toll.sent}, done {toll.done}, lost {toll.lost}, run again {toll.repeated},"
        f" of these unexplained {toll.unexplained}",
        *(f"{name.replace('_', ' ')} {value}" for name, value in more.items()),
        sep=", ",
    )
