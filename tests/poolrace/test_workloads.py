"""The declarations of workloads, read without importing them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from poolrace.workloads import Declaration, declarations
from worker.workloads import WORKLOADS


def declared(folder: Path, **modules: str) -> tuple[Declaration, ...]:
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    return declarations(folder)


def test_they_are_those_that_a_worker_registers() -> None:
    read = {each.name: each.needs for each in declarations()}
    assert list(read.items()) == [(name, workload.needs) for name, workload in WORKLOADS.items()]


def test_they_are_in_the_order_of_names_and_not_of_files(tmp_path: Path) -> None:
    found = declared(
        tmp_path, a='WORKLOAD = Workload(name="z", needs=("disk_dir",))', b='WORKLOAD = Workload(name="y")'
    )
    assert found == (
        Declaration(module="b", name="y"),
        Declaration(module="a", name="z", needs=("disk_dir",)),
    )


def test_no_module_is_run(tmp_path: Path) -> None:
    found = declared(tmp_path, slow='raise SystemExit("this module was run")\nWORKLOAD = Workload(name="slow")')
    assert found == (Declaration(module="slow", name="slow"),)


def test_a_module_with_an_underscore_is_none(tmp_path: Path) -> None:
    assert declared(tmp_path, __init__="", _shared="") == ()


@pytest.mark.parametrize("text", ["", "workload = Workload(name='odd')", "WORKLOAD: object = 1"])
def test_a_module_that_declares_none_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"odd.py: declares no workload. Add WORKLOAD = Workload\("):
        declared(tmp_path, odd=text)


@pytest.mark.parametrize("text", ["WORKLOAD = Workload(name=NAME)", "WORKLOAD = Workload(needs=())"])
def test_a_name_that_is_not_a_literal_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(ValueError, match=r"odd.py: the name of WORKLOAD must be a literal"):
        declared(tmp_path, odd=text)


def test_two_of_one_name_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"b.py: 'same' is declared in a.py already. Choose another name"):
        declared(tmp_path, a='WORKLOAD = Workload(name="same")', b='WORKLOAD = Workload(name="same")')


def test_a_users_package_of_the_same_name_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "worker").mkdir()
    (tmp_path / "worker" / "__init__.py").write_text("raise SystemExit('the package of the user was run')")
    command = [Path(sys.executable).with_name("poolrace"), "race", "--help"]
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ", ".join(WORKLOADS) in " ".join(ended.stdout.split())
