"""
Run kombu's and Celery's own tests on both transports, and compare what each test comes to.

The tests are those of the source distributions from the package index, in an environment of their own. A test that
differs, and is not in `differences.toml` with the reason, fails this. So does a reason that no test needs any more, a
suite that did not run to its end, and a server that saw the commands of the other transport.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from integration.servers import Server

from peers.outcomes import Expected, compare, read_outcomes
from peers.transport_plugin import TRANSPORT
from producer.fleet.processes import Processes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from peers.outcomes import Differences

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
STOCK, ATOMIC = "stock", "atomic"
AT_MOST_S = 3600
RAN = {0, 1}
"""Codes with which pytest ends when it ran what it found: all passed, or some failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """
    Tests of a package.

    Attributes:
        package: The package whose source distribution has them.
        files: Their files, in `t/integration`.
        passes: How many of them pass at least, on kombu's own transport.
        options: Further options of pytest.
        own_brpop: They send BRPOP themselves.
    """

    package: str
    files: Sequence[str]
    passes: int
    options: Sequence[str] = ()
    own_brpop: bool = False


SUITES = {
    "kombu": Suite(package="kombu", files=("test_redis.py", "test_redis_brpop_qos.py"), passes=120, own_brpop=True),
    "celery": Suite(
        package="celery",
        files=("test_canvas.py", "test_tasks.py", "test_inspect.py", "test_group_chains.py", "test_redis_backend.py"),
        passes=300,
        options=("--timeout", "120"),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """
    A suite as it ran on a transport.

    Attributes:
        outcomes: What each test came to.
        commands: How often the server saw each command.
        code: The exit code of pytest.
    """

    outcomes: Mapping[str, str]
    commands: Mapping[str, int]
    code: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; return 1 if anything differs that should not."""
    options = _options(arguments)
    expected = tomllib.loads((HERE / "differences.toml").read_text(encoding="utf-8"))
    code = 0
    for name in options.suite or SUITES:
        suite = SUITES[name]
        ran = {transport: _run(suite, transport, options) for transport in (STOCK, ATOMIC)}
        known = [Expected(**each) for each in expected.get(name, ())]
        found = compare(ran[STOCK].outcomes, ran[ATOMIC].outcomes, known)
        # Of a selection neither the number of tests nor all differences are known.
        faults = [] if options.keyword else [*_faults(suite, ran), *_idle(found)]
        _show(name, found, faults)
        code |= bool(found.unknown or faults)
    return code


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m peers", description=__doc__)
    parser.add_argument("suite", nargs="*", type=_suite, metavar="SUITE", help="kombu or celery; both if none is named")
    # Not resolved: a link is how a virtual environment is known.
    parser.add_argument("--python", required=True, type=os.path.abspath, help="an interpreter with what they need")
    parser.add_argument("--sources", required=True, type=os.path.abspath, help="the folder with their sources")
    parser.add_argument("--keyword", default="", help="only tests that match, as pytest -k")
    return parser.parse_args(arguments)


def _suite(text: str) -> str:
    if text not in SUITES:
        raise argparse.ArgumentTypeError(f"{text!r}: must be {' or '.join(SUITES)}")
    return text


def _run(suite: Suite, transport: str, options: argparse.Namespace) -> Ran:
    """Run a suite on a transport and a server of its own."""
    sources = list(Path(options.sources).glob(f"{suite.package}-*/"))
    if len(sources) != 1:
        raise SystemExit(f"{options.sources}: needs one source of {suite.package}, and has {len(sources)}.")
    (source,) = sources
    click.echo(f"{suite.package} on {transport}", err=True)
    with Processes() as processes:
        server = Server(processes, "")
        junit, log = server.folder / "junit.xml", server.folder / "pytest.log"
        child = processes.start(
            f"tests of {suite.package}", _command(suite, options, source, junit), log=log, cwd=source,
            env=_environment(server, transport, source),
        )  # fmt: skip
        try:
            code = child.process.wait(AT_MOST_S)
        except subprocess.TimeoutExpired:
            raise SystemExit(f"The {child.name} took more than {AT_MOST_S} s:\n{child.tail()}") from None
        if not junit.exists():
            raise SystemExit(f"The {child.name} did not run:\n{child.tail()}")
        seen = server.client.info("commandstats")
        commands = {name.removeprefix("cmdstat_"): each["calls"] for name, each in seen.items()}
        return Ran(outcomes=read_outcomes(junit), commands=commands, code=code)


def _command(suite: Suite, options: argparse.Namespace, source: Path, junit: Path) -> list[str]:
    return [
        options.python, "-m", "pytest", "-q", "-p", "transport_plugin", "-p", "no:cacheprovider",
        "--rootdir", str(source), f"--junitxml={junit}", "--override-ini", "junit_family=xunit1", *suite.options,
        *(["-k", options.keyword] if options.keyword else []), *(f"t/integration/{file}" for file in suite.files),
    ]  # fmt: skip


def _environment(server: Server, transport: str, source: Path) -> dict[str, str]:
    port = str(server.port)
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, HERE, source))),
        TRANSPORT: transport,
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": port,
        "REDIS_6379_TCP": port,
        "TEST_BROKER": server.url,
        "TEST_BACKEND": server.url,
        "TMPDIR": str(server.folder),
    }


def _faults(suite: Suite, ran: Mapping[str, Ran]) -> list[str]:
    """Return what is wrong with the runs themselves: not all of the suite, or the commands of the other transport."""
    faults = [f"pytest ended with code {each.code} on {name}" for name, each in ran.items() if each.code not in RAN]
    passed = sum(outcome == "passed" for outcome in ran[STOCK].outcomes.values())
    if passed < suite.passes:
        faults.append(f"{passed} tests passed on {STOCK}, and {suite.passes} should at least")
    if not ran[STOCK].commands.get("brpop"):
        faults.append(f"the server saw no BRPOP on {STOCK}")
    if ran[ATOMIC].commands.get("brpop") and not suite.own_brpop:
        faults.append(f"the server saw BRPOP on {ATOMIC}, {ran[ATOMIC].commands['brpop']} times")
    if not ran[ATOMIC].commands.get("client|tracking"):
        faults.append(f"the server saw no CLIENT TRACKING on {ATOMIC}")
    return faults


def _idle(found: Differences) -> list[str]:
    return [f"no test differs any more by: {each.reason} ({each.tests})" for each in found.idle]


def _show(name: str, found: Differences, faults: Sequence[str]) -> None:
    for transport, counts in {STOCK: found.stock, ATOMIC: found.atomic}.items():
        click.echo(f"{name} on {transport}: {', '.join(f'{count} {what}' for what, count in sorted(counts.items()))}")
    for reason, tests in found.known.items():
        click.echo(f"  {len(tests)} differ, as they should: {reason}")
    for test, (before, after) in found.unknown.items():
        click.echo(f"  NOT EXPECTED: {test}: {before} on {STOCK}, {after} on {ATOMIC}")
    for fault in faults:
        click.echo(f"  WRONG: {fault}")


if __name__ == "__main__":
    sys.exit(main())
