"""Other interpreters: whether they can run a node, and what turns their GIL on."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from producer.errors import UsageError
from producer.fleet.doctor import State, examine_interpreter, judge_gil
from producer.fleet.interpreters import GilAnswer, ask_about_gil, check_interpreter, check_pool, why_no_node

SHOP = Path(__file__).parents[3] / "examples" / "shop"


@pytest.fixture
def bare(tmp_path: Path) -> str:
    """An interpreter without a single package."""
    path = tmp_path / "python"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n')
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def old(tmp_path: Path) -> str:
    """An interpreter that says it is older than a node needs."""
    path = tmp_path / "python3.9"
    path.write_text("#!/bin/sh\necho 'AssertionError: Python 3.9 is older than 3.11' >&2\nexit 1\n")
    path.chmod(0o755)
    return str(path)


def test_the_interpreter_of_the_tests_can_run_a_node() -> None:
    assert why_no_node(sys.executable, "--python") is None
    check_interpreter(sys.executable, f"--python {sys.executable}")


def test_one_without_packages_has_the_command_that_installs_them(bare: str) -> None:
    with pytest.raises(UsageError, match="No module named") as error:
        check_interpreter(bare, f"--lane free: python={bare}")
    assert str(error.value).startswith(f"--lane free: python={bare} cannot run a node: ")
    assert f"\n    {bare} -m pip install 'celery[redis]>=5.7'" in str(error.value)


def test_one_that_is_too_old_is_not_told_to_install_anything(old: str) -> None:
    with pytest.raises(UsageError, match=r"Python 3\.9 is older than 3\.11, which a node needs") as error:
        check_interpreter(old, f"--python {old}")
    assert "pip" not in str(error.value)


def test_one_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match="--python /no/such: cannot be run: No such file or directory"):
        why_no_node("/no/such", "--python /no/such")


def test_what_imports_do_to_the_gil_is_asked_of_the_interpreter_itself(tmp_path: Path) -> None:
    answer = ask_about_gil(sys.executable, "", tmp_path, os.environ)
    assert answer.version == "{}.{}.{}".format(*sys.version_info)
    assert any(name.startswith("psutil.") for name in answer.extensions)


def test_an_app_that_cannot_be_imported_there_is_a_finding_with_the_reason(tmp_path: Path) -> None:
    node, gil = examine_interpreter(sys.executable, "no_such_app:app", tmp_path, os.environ)
    assert node.state is State.OK
    assert gil.state is State.MISSING
    assert "no_such_app" in gil.value


def test_the_app_of_the_example_is_imported_with_its_tasks() -> None:
    _, gil = examine_interpreter(sys.executable, "shop.celery:app", SHOP, os.environ)
    assert gil.state is State.OK, gil.value


@pytest.mark.parametrize(
    ("free_threaded", "culprits", "state", "said"),
    [
        (False, (), State.OK, "always on"),
        (True, (), State.OK, "stays off with what a node imports: 2 extension modules"),
        (True, ("hiredis.hiredis",), State.WARNING, "turned on with what a node imports, by hiredis.hiredis"),
    ],
)
def test_the_gil_of_an_interpreter_is_judged(
    free_threaded: bool, culprits: tuple[str, ...], state: State, said: str
) -> None:
    answer = GilAnswer(version="3.14.7", free_threaded=free_threaded, extensions=("a", "b"), culprits=culprits)
    finding = judge_gil(answer, "")
    assert finding.state is state
    assert said in finding.value
    assert bool(finding.remedy) is bool(culprits)


def test_a_pool_whose_package_is_missing_is_refused_with_the_command_that_installs_it(tmp_path: Path) -> None:
    python = tmp_path / "python"  # as in a venv without anything
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    python.chmod(0o755)
    with pytest.raises(UsageError, match="--lane gevent: gevent is not installed there") as refused:
        check_pool(str(python), "gevent", "--lane gevent")
    assert str(refused.value).endswith(f"{python} -m pip install gevent")
    check_pool(str(python), "threads", "--lane threads")  # needs none
