"""A fault that is the user's: done to nodes that run already, by a command of theirs or by hand."""

from __future__ import annotations

import math
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from producer.deadlines import until
from producer.errors import FleetError
from producer.plan.drill import Drill

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from producer.fleet.processes import Processes

NAME = "own-fault"

DRILL = Drill(
    title="What a command, or somebody by hand, does to nodes that run already.",
    documented="Late acknowledgement on the atomic transport loses nothing, whatever becomes of nodes. On kombu's own "
    "each node that goes may lose a job, and with early acknowledgement as many more as it has slots.",
    source="docs/drills.md, and docs.celeryq.dev: userguide/tasks, Task.acks_late",
    resume_s=60.0,
)

SAYS_NOW = "Strike now: do to the nodes what you want to try, and press Enter once it is over."
"""What a user, or a script in their place, waits for."""

FAILED = "!"
"""What a line begins with that says that the fault could not be done."""

BY_HAND = "by hand"
MOST_SAID = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """
    A fault that is over.

    Attributes:
        what: The fault, in words.
        problem: Why it may not have been what it should be; empty if it was.
    """

    what: str
    problem: str = ""


class Fault(Protocol):
    """Does something to nodes, and returns when it is over."""

    @property
    def what(self) -> str:
        """The fault, in words, as far as it is known before."""

    def do(self) -> Done:
        """Do it."""


class Strikeable(Protocol):
    """A scene of nodes that run already."""

    def begin_strike(self, what: str) -> None:
        """Note that a fault begins."""

    def end_strike(self, done: Done) -> None:
        """Note that it is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Struck:
    """
    What a fault strikes.

    Attributes:
        scenes: The scenes of all lanes, which it strikes at once.
        fault: The fault.
    """

    scenes: Sequence[Strikeable]
    fault: Fault


def strike(struck: Struck) -> None:
    """Do the fault, which strikes all lanes from its beginning to its end."""
    for scene in struck.scenes:
        scene.begin_strike(struck.fault.what)
    done = struck.fault.do()
    for scene in struck.scenes:
        scene.end_strike(done)


@dataclass(frozen=True, slots=True)
class ByCommand:
    """
    A command of a shell.

    Attributes:
        what: The command.
        processes: Starts it, and ends it if the drill is interrupted.
        log: What it prints.
    """

    what: str
    processes: Processes
    log: Path

    def do(self) -> Done:
        """Run it, and wait for its end."""
        child = self.processes.start("command of the fault", ["sh", "-c", self.what], env=os.environ, log=self.log)
        until(lambda: child.process.poll() is not None, math.inf)
        if not child.process.returncode:
            return Done(what=self.what)
        said = " ".join(child.said().split())[-MOST_SAID:]
        return Done(what=self.what, problem=f"the command of the fault ended with {child.ended()}: {said}")


class ByHand:
    """Somebody who is told when to strike, and says on standard input when it is over, and what it was."""

    what = BY_HAND

    def do(self) -> Done:
        """
        Say that it is time, and wait for a line.

        Raises:
            FleetError: If standard input ends without one.
        """
        print(SAYS_NOW, file=sys.stderr, flush=True)  # noqa: T201 - a question to who sits there
        line = sys.stdin.readline()
        if not line:
            raise FleetError("Standard input ended before a line said that the fault is over.")
        said = line.strip()
        if said.startswith(FAILED):
            return Done(what=BY_HAND, problem=said.removeprefix(FAILED).strip())
        return Done(what=said or BY_HAND)
