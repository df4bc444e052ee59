"""Interpreters other than the one that runs this command: whether they can run a node."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from poolrace.pools import POOLS
from producer.errors import UsageError
from producer.fleet.environment import APP, inherited_environment, interpreter, source_path

if TYPE_CHECKING:
    from collections.abc import Mapping

IMPORT_S = 30.0
GIL_S = 300.0
"""The longest wait for an answer about the GIL: each extension module is imported in a process of its own."""

NODE_NEEDS = "'celery[redis]>=5.7' 'kombu>=5.7' psutil urllib3"
"""What a node needs, as pip takes it."""

VERSION_NEEDED = "import sys; v = sys.version_info; assert v >= (3, 11), 'Python %d.%d is older than 3.11' % v[:2]"


def check_interpreter(python: str, option: str) -> None:
    """
    Check that an interpreter can run a node.

    Args:
        python: The interpreter.
        option: What named it, as the error says it, e.g. `--python /usr/bin/python3.13`.

    Raises:
        UsageError: If it is missing or lacks a package; the message has the command that installs it.
    """
    problem = why_no_node(python, option)
    if problem is None:
        return
    if "is older than" in problem:
        raise UsageError(f"{option}: {problem}, which a node needs. Name a newer one.")
    raise UsageError(
        f"{option} cannot run a node: {problem}. Install what a node needs:\n    {python} -m pip install {NODE_NEEDS}"
    )


def check_pool(python: str, pool: str, option: str) -> None:
    """
    Check that an interpreter has the package that a pool needs besides Celery.

    Args:
        python: The interpreter; empty for the one that runs this command.
        pool: The name of the pool.
        option: What named it, for errors.

    Raises:
        UsageError: If it lacks it; the message has the command that installs it.
    """
    package, chosen = POOLS[pool].package, interpreter(python)
    if package and what_fails(chosen, option, f"import {package}"):
        raise UsageError(
            f"{option}: {package} is not installed there. Install it:\n    {chosen} -m pip install {package}"
        )


def why_no_node(python: str, option: str) -> str | None:
    """
    Return why an interpreter cannot run a node; None if it can.

    Args:
        python: The interpreter.
        option: What named it, for errors.

    Raises:
        UsageError: If there is no such interpreter, or it takes too long.
    """
    problem = what_fails(python, option, f"{VERSION_NEEDED}; import {APP}")
    return problem.removeprefix("AssertionError: ") if problem else None


@dataclass(frozen=True, slots=True, kw_only=True)
class GilAnswer:
    """
    What imports do to the GIL of an interpreter; see `poolrace.gil`.

    Attributes:
        version: Its version, e.g. `3.14.7`.
        free_threaded: True if it was built to run without the GIL.
        extensions: The extension modules that are imported.
        culprits: Those that turn the GIL on.
        error: Why the imports failed; empty if they did not.
    """

    version: str
    free_threaded: bool
    extensions: tuple[str, ...] = ()
    culprits: tuple[str, ...] = ()
    error: str = ""


def ask_about_gil(python: str, app: str, folder: Path, environment: Mapping[str, str]) -> GilAnswer:
    """
    Ask an interpreter which imports turn its GIL on.

    Args:
        python: The interpreter.
        app: The user's app; empty for what a node of ours imports.
        folder: The folder in which the app is imported.
        environment: Its environment.

    Raises:
        UsageError: If it cannot be run, or does not answer.
    """
    question = json.dumps({"app": app, "folder": str(folder.resolve())})
    home = str(Path(__file__).resolve().parents[2])
    option = f"--python {python}"
    answer = _run(python, option, _GIL_CALL, environment, home, question=question, patience_s=GIL_S)
    try:
        return msgspec.json.decode(answer.stdout, type=GilAnswer)
    except msgspec.MsgspecError as error:
        raise UsageError(f"{option}: {_last_line(answer.stderr)}.") from error


_GIL_CALL = "import sys; sys.path.append(sys.argv[1]); from poolrace.gil import main; main()"


def what_fails(python: str, option: str, code: str) -> str | None:
    """
    Run code in an interpreter that finds our packages, and return the last line of its error; None if it ran.

    Raises:
        UsageError: If there is no such interpreter, or it takes too long.
    """
    answer = _run(python, option, code, {**inherited_environment(os.environ), **source_path(python)})
    return _last_line(answer.stderr) if answer.returncode else None


def _run(
    python: str,
    option: str,
    code: str,
    environment: Mapping[str, str],
    *words: str,
    question: str = "",
    patience_s: float = IMPORT_S,
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [interpreter(python), "-c", code, *words], env=environment, input=question, capture_output=True, text=True,
            timeout=patience_s, check=False,
        )  # fmt: skip
    except OSError as error:
        raise UsageError(f"{option}: cannot be run: {error.strerror}. Name an interpreter.") from error
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"{option}: did not answer in {patience_s:.0f} s.") from error


def _last_line(text: str) -> str:
    return (text.strip().splitlines()[-1:] or ["no message"])[0]
