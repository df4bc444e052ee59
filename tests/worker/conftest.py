"""What the worker's tests share: a running upstream service."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import worker

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(worker.__file__).parents[1]


@contextlib.contextmanager
def run_upstream() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the service on a free port, tell its process and URL, and end it, whatever happens."""
    command = [sys.executable, "-W", "error", "-m", "worker.upstream"]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("listening on http://127.0.0.1:"), line
            yield process, line.removeprefix("listening on ").strip()
        finally:
            process.kill()


@pytest.fixture(scope="session")
def upstream_url() -> Iterator[str]:
    """A service that all tests share; none may end it."""
    with run_upstream() as (_, url):
        yield url


@pytest.fixture
def own_upstream() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A service that a test may end."""
    with run_upstream() as upstream:
        yield upstream
