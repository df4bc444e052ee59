"""
A sample has the use of all processes of a tree, also of those that have ended; tried on real processes.

Bounds are on CPU time, which a busy machine does not stretch.
"""

import json
import math
import os
import subprocess
import sys
import threading
import time
from collections import namedtuple

import psutil
import pytest

from poolrace import sampling
from poolrace.contract import NodeSample
from poolrace.sampling import Sampler, _sum_known, _Total

BURN = "import time\ndef burn(s):\n    while time.process_time() < s: pass\n"
ON_LINUX = pytest.mark.skipif(not psutil.LINUX, reason="this system keeps no such account")
TICK_S = 1 / os.sysconf("SC_CLK_TCK")

ROOT = """
import os, signal, subprocess, sys
children = []
for line in sys.stdin:
    command, *words = line.split(" ", 1)
    print(eval(words[0]) if command == "eval" else exec(words[0]), flush=True)
"""


class Tree:
    """A Python process that runs code for the test, as the root of a tree."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", BURN + ROOT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self.process.pid
        self.do("pass")  # until then it starts, and has files open that it closes again

    def do(self, statement):
        return self._ask(f"exec {statement}")

    def ask(self, expression):
        return json.loads(self._ask(f"eval {expression}"))

    def start_child(self, code):
        """A child that runs code, says so, and waits until its input ends."""
        program = BURN + code + "\nprint(flush=True)\nimport sys\nsys.stdin.read()"
        self.do(
            f"children.append(subprocess.Popen([sys.executable, '-c', {program!r}], "
            "stdin=subprocess.PIPE, stdout=subprocess.PIPE)); children[-1].stdout.readline()"
        )
        return self.ask("children[-1].pid")

    def end_child(self):
        self.do("child = children.pop(0); child.stdin.close(); child.stdout.close(); child.wait()")

    def _ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def close(self):
        if self.process.poll() is None:
            for process in (*psutil.Process(self.pid).children(recursive=True), self.process):
                process.kill()
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


@pytest.fixture
def tree():
    tree = Tree()
    yield tree
    tree.close()


def test_a_sample_is_one_of_the_contract_and_survives_json():
    sample = Sampler().sample()
    assert NodeSample.from_dict(json.loads(json.dumps(sample.to_dict()))) == sample


def test_without_a_pid_it_samples_the_process_that_made_it():
    until_s = time.process_time() + 0.05
    while time.process_time() < until_s:
        pass
    sampler = Sampler()
    before = sampler.sample()
    assert before.cpu_s >= time.process_time() / 2
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    assert sampler.sample().threads == before.threads + 1
    end.set()
    thread.join()


def test_the_instant_and_the_drift_come_from_the_clocks():
    sample = Sampler(now=lambda: 1_000.5, monotonic=lambda: 400.25).sample()
    assert sample.at == 1_000.5
    assert sample.drift_s == 600.25


def test_clocks_between_which_a_node_was_stopped_are_read_again():
    """A node whose CPU quota is used up stands still for up to a tenth of a second."""
    monotonic = iter([400.0, 400.09, 400.1, 400.1])
    wall = iter([1_000.0, 1_000.09, 1_000.1])
    sample = Sampler(now=lambda: next(wall), monotonic=lambda: next(monotonic)).sample()
    assert (sample.at, sample.drift_s) == (1_000.1, 600.0)


def test_processes_and_threads_of_the_whole_tree_are_counted(tree):
    sampler = Sampler(tree.pid)
    alone = sampler.sample()
    assert (alone.processes, alone.threads) == (1, 1)
    tree.start_child("import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()")
    tree.start_child(
        "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)"
    )
    grown = sampler.sample()
    # The root, a child with two threads, a child, and its child.
    assert (grown.processes, grown.threads) == (4, 5)
    assert Sampler(tree.pid).sample().processes == 4


def test_the_cpu_time_of_a_living_child_counts(tree):
    sampler = Sampler(tree.pid)
    before_s = sampler.cpu_s()
    tree.start_child("burn(0.3)")
    assert sampler.cpu_s() - before_s >= 0.3 - 4 * TICK_S


def test_the_cpu_time_of_a_child_that_ended_stays_and_is_not_counted_twice(tree):
    sampler = Sampler(tree.pid)
    tree.start_child("burn(0.5)")
    alive_s = sampler.cpu_s()
    tree.end_child()
    ended_s = sampler.cpu_s()
    assert ended_s >= alive_s
    # Counted twice, it would be half a second more. Ending takes an interpreter far less than that.
    assert ended_s - alive_s < 0.25
    assert sampler.sample().processes == 1


@ON_LINUX
def test_the_cpu_time_of_a_child_that_ended_and_was_not_waited_for_stays(tree):
    sampler = Sampler(tree.pid)
    child = psutil.Process(tree.start_child("burn(0.3)"))
    alive_s = sampler.cpu_s()
    child.kill()
    while child.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.001)
    assert sampler.cpu_s() >= alive_s
    assert sampler._cpu_s._carried < TICK_S


@ON_LINUX
def test_the_cpu_time_of_a_child_that_no_sample_saw_counts(tree):
    sampler = Sampler(tree.pid)
    before_s = sampler.cpu_s()
    tree.start_child("burn(0.3)")
    tree.end_child()
    assert sampler.cpu_s() - before_s >= 0.3 - 4 * TICK_S


def test_cpu_time_does_not_fall_where_the_system_keeps_no_account_of_the_dead(tree):
    """A parent that ignores SIGCHLD does not learn what its children used."""
    tree.do("signal.signal(signal.SIGCHLD, signal.SIG_IGN)")
    sampler = Sampler(tree.pid)
    child = psutil.Process(tree.start_child("burn(0.3)"))
    alive_s = sampler.cpu_s()
    child.kill()
    child.wait()
    ended_s = sampler.cpu_s()
    assert ended_s >= alive_s
    tree.do("burn(time.process_time() + 0.2)")
    # What the root uses from then on is counted in full.
    assert sampler.cpu_s() - ended_s >= 0.2 - 4 * TICK_S


def test_cpu_alone_is_the_same_figure_as_in_a_sample(tree):
    sampler = Sampler(tree.pid)
    tree.do("burn(0.1)")
    assert sampler.cpu_s() == sampler.sample().cpu_s


@ON_LINUX
def test_the_switches_of_every_thread_count_not_only_of_the_main_one(tree):
    sampler = Sampler(tree.pid)
    before = sampler.sample().voluntary_switches
    nap = "[time.sleep(0) or time.sleep(0.0001) for _ in range(500)]"
    tree.do(
        f"import threading; end = threading.Event(); ready = threading.Event(); "
        f"threading.Thread(target=lambda: ({nap}, ready.set(), end.wait()), daemon=True).start(); ready.wait()"
    )
    assert sampler.sample().voluntary_switches - before >= 500
    assert psutil.Process(tree.pid).num_ctx_switches().voluntary < 500


def test_the_switches_of_a_thread_that_ended_stay(tree):
    sampler = Sampler(tree.pid)
    tree.do(
        "import threading; end = threading.Event(); ready = threading.Event(); thread = threading.Thread("
        "target=lambda: ([time.sleep(0.0001) for _ in range(500)], ready.set(), end.wait())); "
        "thread.start(); ready.wait()"
    )
    alive = sampler.sample()
    tree.do("end.set(); thread.join()")
    # Python has joined the thread a moment before the kernel has done with it.
    while (ended := sampler.sample()).threads == alive.threads:
        time.sleep(0.001)
    assert ended.threads == alive.threads - 1
    assert ended.voluntary_switches >= alive.voluntary_switches


@ON_LINUX
def test_the_own_process_counts_the_switches_of_threads_and_children_that_no_sample_saw():
    sampler = Sampler()
    before = sampler.sample().voluntary_switches
    thread = threading.Thread(target=lambda: [time.sleep(0.0001) for _ in range(300)])
    thread.start()
    thread.join()
    subprocess.run([sys.executable, "-c", "import time; [time.sleep(0.0001) for _ in range(300)]"], check=True)
    assert sampler.sample().voluntary_switches - before >= 600


@ON_LINUX
def test_shared_pages_are_counted_once(tree):
    """Four forked children that only read 64 MB add four times a little, where RSS would add four times 64 MB."""
    tree.do("ballast = bytes(bytearray(range(256)) * 262_144)")
    sampler = Sampler(tree.pid)
    alone = sampler.sample().pss_bytes
    tree.do("forks = [os.fork() or signal.pause() for _ in range(4)]")
    forked = sampler.sample()
    assert forked.processes == 5
    assert alone > 64 * 1024**2
    assert forked.pss_bytes < 2 * alone
    assert sum(process.memory_info().rss for process in sampler._tree) > 4 * alone
    tree.do("[(os.kill(pid, signal.SIGKILL), os.waitpid(pid, 0)) for pid in forks]")


def test_children_are_those_right_below_the_root_as_they_come_and_go(tree):
    sampler = Sampler(tree.pid)
    assert sampler.sample(memory=False).children == ()
    child = tree.start_child("import subprocess; below = subprocess.Popen(['sleep', '60'])")
    sample = sampler.sample(memory=False)
    assert sample.processes == 3
    assert sample.children == (child,)
    psutil.Process(child).children()[0].kill()
    tree.end_child()
    assert sampler.sample(memory=False).children == ()


@ON_LINUX
def test_pages_that_forked_children_have_in_common_are_not_private(tree):
    """64 MB are private to one process, shared once it has forked, and private to a child that writes to them again."""
    ballast = 64 * 1024**2
    tree.do("ballast = bytearray(range(256)) * 262_144")
    sampler = Sampler(tree.pid)
    alone = sampler.sample()
    tree.do("fork = os.fork() or signal.pause()")
    forked = sampler.sample()
    tree.do("[ballast.__setitem__(at, 1) for at in range(0, len(ballast), 4096)]")
    written = sampler.sample()
    tree.do("os.kill(fork, signal.SIGKILL), os.waitpid(fork, 0)")
    assert alone.pss_bytes > alone.private_bytes > ballast
    assert forked.pss_bytes - forked.private_bytes > ballast
    # Once in the parent that wrote, and once in the child, which has the old pages to itself now.
    assert written.private_bytes > 2 * ballast


@ON_LINUX
def test_a_process_that_stops_sharing_pages_with_its_child_has_not_grown(tree):
    ballast = 64 * 1024**2
    tree.do("ballast = bytearray(range(256)) * 262_144")
    tree.do("fork = os.fork() or signal.pause()")
    sampler = Sampler(tree.pid)
    before = sampler.sample()
    tree.do("[ballast.__setitem__(at, 1) for at in range(0, len(ballast), 4096)]")
    after = sampler.sample()
    tree.do("os.kill(fork, signal.SIGKILL), os.waitpid(fork, 0)")
    assert after.private_bytes - before.private_bytes > ballast
    assert after.parts[0].rss_bytes - before.parts[0].rss_bytes < ballast / 8


def test_memory_can_be_left_out(tree):
    sample = Sampler(tree.pid).sample(memory=False)
    assert (sample.pss_bytes, sample.private_bytes, sample.parts) == (None, None, ())


@ON_LINUX
def test_each_process_is_told_apart_the_root_first(tree):
    child = tree.start_child("held = bytearray(b'1') * (20 << 20)")
    sample = Sampler(tree.pid).sample()
    assert [part.pid for part in sample.parts] == [tree.pid, child]
    assert sum(part.rss_bytes for part in sample.parts) > sample.pss_bytes
    assert sample.parts[1].rss_bytes > 20 << 20


@ON_LINUX
def test_open_files_are_counted_and_which_of_them_are_sockets(tree):
    sampler = Sampler(tree.pid)
    (before,) = sampler.sample().parts
    tree.do("import socket, os; held = [open(os.devnull), *socket.socketpair()]")
    (after,) = sampler.sample().parts
    assert (after.open_files - before.open_files, after.sockets - before.sockets) == (3, 2)


@ON_LINUX
def test_files_of_a_process_that_is_not_ours_to_look_into_are_unknown(tree, monkeypatch):
    def refuse(_):
        raise PermissionError

    monkeypatch.setattr("poolrace.sampling.Path.iterdir", refuse)
    (part,) = Sampler(tree.pid).sample().parts
    assert (part.open_files, part.sockets) == (None, None)


def test_files_are_counted_whole_where_the_system_does_not_tell_sockets(tree, monkeypatch):
    monkeypatch.setattr("psutil.LINUX", False)
    monkeypatch.setattr(psutil.Process, "num_fds", lambda _: 12)
    parts = Sampler(tree.pid).sample().parts
    assert [(part.open_files, part.sockets) for part in parts] == [(12, None)]


@ON_LINUX
def test_the_memory_of_a_process_is_read_once(tree, monkeypatch):
    """Its private part costs no second reading."""
    read, reads = psutil.Process.memory_full_info, []
    monkeypatch.setattr(psutil.Process, "memory_full_info", lambda process: reads.append(process.pid) or read(process))
    assert Sampler(tree.pid).sample().private_bytes > 0
    assert reads == [tree.pid]


@ON_LINUX
def test_memory_is_unknown_if_that_of_one_process_is(tree, monkeypatch):
    tree.start_child("pass")
    child = tree.ask("children[0].pid")
    read = psutil.Process.memory_full_info

    def refuse_the_child(process):
        if process.pid == child:
            raise psutil.AccessDenied(child)
        return read(process)

    monkeypatch.setattr(psutil.Process, "memory_full_info", refuse_the_child)
    sample = Sampler(tree.pid).sample()
    assert (sample.pss_bytes, sample.private_bytes) == (None, None)


def test_memory_is_unknown_where_the_system_has_no_pss(tree, monkeypatch):
    on_macos = namedtuple("on_macos", ["rss", "uss"])
    monkeypatch.setattr(psutil.Process, "memory_full_info", lambda _: on_macos(rss=2, uss=1))
    sample = Sampler(tree.pid).sample()
    assert (sample.pss_bytes, sample.private_bytes) == (None, None)


def test_unknown_is_not_zero():
    assert _sum_known([1, 2]) == 3
    assert _sum_known([1, None]) is None


@ON_LINUX
def test_a_process_that_ends_between_listing_and_reading_is_skipped(tree, monkeypatch):
    sampler = Sampler(tree.pid)
    tree.start_child("burn(0.3)")
    alive_s = sampler.cpu_s()
    listed = sampling._processes_of_tree
    ended = []

    def list_then_end(root, before):
        family = listed(root, before)
        if not ended:
            ended.append(tree.end_child())
        return family

    monkeypatch.setattr(sampling, "_processes_of_tree", list_then_end)
    sample = sampler.sample()
    assert sample.processes == 1
    assert 0 <= sample.cpu_s - alive_s < 0.25


@ON_LINUX
def test_a_child_that_is_waited_for_in_the_middle_of_a_reading_is_neither_lost_nor_carried(tree, monkeypatch):
    """The root is read, then the child ends: it is in neither reading, unless all is read again."""
    sampler = Sampler(tree.pid)
    tree.start_child("burn(0.3)")
    alive_s = sampler.cpu_s()
    read = sampling._process_cpu_s
    ended = []

    def read_root_then_end_child(process):
        used_s = read(process)
        if not ended:
            ended.append(tree.end_child())
        return used_s

    monkeypatch.setattr(sampling, "_process_cpu_s", read_root_then_end_child)
    assert 0 <= sampler.cpu_s() - alive_s < 0.25
    assert sampler._cpu_s._carried < TICK_S


def test_a_storm_of_short_children_does_not_hold_a_sample_up(tree, monkeypatch):
    gone = psutil.Process(tree.start_child("pass"))
    tree.end_child()
    monkeypatch.setattr(sampling, "_processes_of_tree", lambda root, _: [root, gone])
    sample = Sampler(tree.pid).sample()
    assert sample.processes == 1


def test_totals_never_go_backwards_while_children_come_and_go(tree):
    sampler = Sampler(tree.pid)
    seen = []
    for _ in range(5):
        tree.start_child("burn(0.05)")
        seen.append(sampler.sample())
        tree.end_child()
        seen.append(sampler.sample())
    for name in ("cpu_s", "voluntary_switches", "involuntary_switches"):
        values = [getattr(sample, name) for sample in seen]
        assert values == sorted(values)
    assert seen[-1].cpu_s >= 5 * (0.05 - 4 * TICK_S)


def test_the_root_ending_is_an_error(tree):
    sampler = Sampler(tree.pid)
    sampler.sample()
    tree.process.kill()
    tree.process.wait()
    with pytest.raises(psutil.NoSuchProcess):
        sampler.sample()
    with pytest.raises(psutil.NoSuchProcess):
        Sampler(tree.pid)


def test_a_total_carries_a_part_that_vanished():
    total = _Total()
    # 5 + 3; the 3 vanish; the 5 grow to 6: 6 + 3. Then a new process with 2: 11.
    assert [total.advance(parts) for parts in ([5, 3], [5], [6], [6, 2])] == [8, 8, 9, 11]


def test_a_total_is_not_falsified_by_rounding():
    total = _Total()
    assert total.advance([0.1, 0.2]) == total.advance([0.2, 0.1])
    assert math.isclose(total.advance([0.4]), 0.4)


def test_it_works_where_the_kernel_keeps_no_list_of_children(tree, monkeypatch):
    def no_list(pid):
        raise FileNotFoundError(pid)
        yield

    monkeypatch.setattr(sampling, "_descendants", no_list)
    sampler = Sampler(tree.pid)
    assert sampler.sample().processes == 1
    tree.start_child("pass")
    assert sampler.sample().processes == 2


@ON_LINUX
def test_a_child_that_the_kernels_list_skipped_is_found_by_looking_at_all_processes(tree, monkeypatch):
    sampler = Sampler(tree.pid)
    tree.start_child("burn(0.1)")
    alive_s = sampler.cpu_s()
    monkeypatch.setattr(sampling, "_descendants", lambda _: iter(()))
    assert sampler.sample().processes == 2
    assert sampler.cpu_s() >= alive_s
    assert sampler._cpu_s._carried < TICK_S


def test_many_threads_may_sample_at_once(tree):
    sampler = Sampler(tree.pid)
    samples = []
    threads = [threading.Thread(target=lambda: samples.append(sampler.sample())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [sample.processes for sample in samples] == [1] * 4
