"""Control groups limit what runs in them, are made where the kernel allows it, and are refused with what is missing."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from producer.deadlines import until
from producer.errors import FleetError
from producer.fleet import control_group
from producer.fleet.control_group import GroupLimits, make, new_group, why_not, within
from producer.fleet.processes import Processes

MIB = 2**20
HUNDRED_MIB = GroupLimits(memory_bytes=100 * MIB)
HALF_A_CORE = GroupLimits(cpus=0.5)
EAT = "import sys; eaten = b'x' * (int(sys.argv[1]) << 20)"


def tree(root: Path, files: dict[str, str]) -> Path:
    """Make a tree of control groups as a kernel shows it."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def v2(root: Path, giving: str = "cpu memory pids") -> Path:
    """Make one of version 2."""
    return tree(root, {"cgroup.subtree_control": f"{giving}\n", "cgroup.procs": ""})


def eat(mib: int, log: Path) -> int:
    """Return how a process ends that takes so much memory in a group of 100 MiB."""
    with Processes() as processes:
        group = processes.group(HUNDRED_MIB)
        child = processes.start("eater", [sys.executable, "-c", EAT, str(mib)], log=log, group=group)
        return child.process.wait()


@pytest.mark.skipif(bool(why_not(HUNDRED_MIB)), reason=why_not(HUNDRED_MIB) or "never")
def test_what_takes_more_is_killed_and_what_takes_less_is_not(tmp_path: Path) -> None:
    assert eat(300, tmp_path / "log") == -signal.SIGKILL
    assert eat(10, tmp_path / "log") == 0


@pytest.mark.skipif(bool(why_not(HALF_A_CORE)), reason=why_not(HALF_A_CORE) or "never")
def test_a_group_is_there_with_its_limit_until_its_processes_are_left(tmp_path: Path) -> None:
    with Processes() as processes:
        group = processes.group(HALF_A_CORE)
        child = processes.start(
            "sleeper", ["sh", "-c", "echo inside; exec sleep 600"], log=tmp_path / "log", group=group
        )
        assert until(child.said, 30.0) == "inside\n"
        assert [file.read_text().split() for file in group.files] == [text.split() for text in group.files.values()]
        assert all(str(child.process.pid) in (each / "cgroup.procs").read_text().split() for each in group.folders)
    assert not any(folder.exists() for folder in group.folders)


def test_nothing_that_is_limited_needs_no_group() -> None:
    assert why_not(GroupLimits(), root=Path("/nowhere")) == ""
    assert new_group(GroupLimits(), Path("/nowhere")).folders == ()


def test_version_2_has_one_folder_for_both_limits(tmp_path: Path) -> None:
    group = new_group(GroupLimits(cpus=0.25, memory_bytes=MIB), v2(tmp_path))
    (folder,) = group.folders
    assert folder.parent == tmp_path
    assert group.files == {folder / "cpu.max": "25000 100000", folder / "memory.max": "1048576"}


def test_version_2_takes_the_nearest_group_around_that_gives_the_controller_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user's own systemd lets its groups be used, and its service itself gives nothing on while it has processes."""
    v2(tmp_path / "user", "cpu memory")
    v2(tmp_path / "user/scope", "")
    v2(tmp_path, "cpu memory")
    monkeypatch.setattr(control_group, "read_text", lambda path: {"/proc/self/cgroup": "0::/user/scope\n"}.get(
        path) or Path(path).read_text())  # fmt: skip
    (folder,) = new_group(HALF_A_CORE, tmp_path).folders
    assert folder.parent == tmp_path / "user"


def test_version_1_has_a_folder_for_the_limit_and_one_that_counts(tmp_path: Path) -> None:
    tree(tmp_path, {"cpu/cpu.cfs_quota_us": "-1", "cpu/cgroup.procs": "", "cpuacct/cgroup.procs": ""})
    group = new_group(HALF_A_CORE, tmp_path)
    assert [folder.parent.name for folder in group.folders] == ["cpu", "cpuacct"]
    assert [(file.name, text) for file, text in group.files.items()] == [
        ("cpu.cfs_period_us", "100000"),
        ("cpu.cfs_quota_us", "50000"),
    ]


def test_version_1_often_has_both_in_one_place(tmp_path: Path) -> None:
    tree(tmp_path, {"cpu,cpuacct/cpu.cfs_quota_us": "-1", "cpu,cpuacct/cgroup.procs": ""})
    for name in ("cpu", "cpuacct"):
        (tmp_path / name).symlink_to(tmp_path / "cpu,cpuacct")
    assert [folder.parent.name for folder in new_group(HALF_A_CORE, tmp_path).folders] == ["cpu"]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, r"this system has no control groups for cpu\. Or give nodes their limits yourself .* --broker"),
        ({"cgroup.subtree_control": "memory"}, r"no control group here gives cpu to groups below it.* echo \+cpu > "),
        ({"cgroup.subtree_control": "cpu"}, "no control group can be made in .* needs root .* Delegate=yes"),
        ({"cpu/cpu.cfs_quota_us": "-1"}, "no control group can be made in .*/cpu: that needs root"),
        ({"cpu/cpu.shares": "1024"}, "this system has no control groups for cpu"),
    ],
)
def test_what_is_missing_is_told_with_what_to_do(tmp_path: Path, files: dict[str, str], said: str) -> None:
    with pytest.raises(FleetError, match=said):
        new_group(HALF_A_CORE, tree(tmp_path, files))


def test_a_group_that_the_kernel_refuses_is_told(tmp_path: Path) -> None:
    group = new_group(HALF_A_CORE, v2(tmp_path))
    group.folders[0].mkdir()
    with pytest.raises(FleetError, match=r"The kernel refuses a control group: .*File exists"):
        make(group)


def test_a_command_enters_all_folders_before_it_is_what_it_is(tmp_path: Path) -> None:
    """Its words are its own, whatever is in them."""
    group = control_group.ControlGroup(folders=(tmp_path / "a b", tmp_path / "c"), files={})
    for folder in group.folders:
        folder.mkdir()
    program = "import os, sys; print(os.getpid(), sys.argv[1:])"
    with Processes() as processes:
        child = processes.start(
            "shower", [sys.executable, "-c", program, "$HOME", "two words"], log=tmp_path / "log", group=group
        )
        child.process.wait()
    assert child.said() == f"{child.process.pid} ['$HOME', 'two words']\n"
    assert [(each / "cgroup.procs").read_text() for each in group.folders] == [f"{child.process.pid}\n"] * 2


def test_a_command_that_cannot_enter_does_not_run(tmp_path: Path) -> None:
    group = control_group.ControlGroup(folders=(tmp_path / "gone",), files={})
    assert within(group, ["true"])[-1] == "true"
    with Processes() as processes:
        child = processes.start("runner", [sys.executable, "-c", "print('ran')"], log=tmp_path / "log", group=group)
        assert child.process.wait() != 0
    assert "ran" not in child.said()
    assert "gone/cgroup.procs" in child.said()
