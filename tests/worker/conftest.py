"""A running upstream service, for all tests of the worker."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

ROOT = Path(worker.__file__).parents[1]


@contextlib.contextmanager
def run_upstream(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the service on a free port, yield its process and URL, and end it in any case."""
    command = [sys.executable, "-W", "error", "-m", "worker.upstream", *arguments]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("listening on http://"), line
            yield process, line.removeprefix("listening on ").strip()
        finally:
            process.kill()


@pytest.fixture(scope="session")
def upstream_url() -> Iterator[str]:
    """Yield the URL of a service that all tests share; none may end it."""
    with run_upstream() as (_, url):
        yield url


@pytest.fixture
def start_upstream() -> Callable[..., AbstractContextManager[tuple[subprocess.Popen[str], str]]]:
    """Return a function that starts a service with arguments."""
    return run_upstream


@pytest.fixture
def own_upstream() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Yield the process and the URL of a service that a test may end."""
    with run_upstream() as upstream:
        yield upstream
