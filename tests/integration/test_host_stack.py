"""The stack without Docker, with real processes: it comes up whole or not at all, and no accepted job is lost."""

import base64
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.error import HTTPError

import psutil
import pytest
import redis
from integration.commands import until

from producer.stack.parts import PARTS, server_program

ROOT = Path(__file__).parents[2]
FOLLOW = ROOT / "tests" / "compose" / "follow_jobs.py"
POOLRACE = str(Path(sys.executable).with_name("poolrace"))
PATIENCE_S = 120
LANES = ("prefork", "threads")


def free_ports(count):
    with ExitStack() as probes:
        taken = [probes.enter_context(closing(socket.socket())) for _ in range(count)]
        for probe in taken:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in taken]


class Stack:
    """A stack with a state folder and ports of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.state = folder / "the state"
        self.flower_port, self.metrics_port = free_ports(2)
        self.variables = {
            "FLOWER_PORT": str(self.flower_port),
            "POOLRACE_METRICS_PORT": str(self.metrics_port),
            "POOLRACE_CONCURRENCY": "2",
        }

    def begin(self, *arguments, **variables):
        """Start a command on it, in a session of its own."""
        return subprocess.Popen(
            [POOLRACE, "stack", *arguments, "--state", str(self.state)],
            env={**os.environ, **self.variables, **variables}, cwd=self.folder, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, *arguments, **variables):
        """Run a command on it: exit code, standard output, standard error."""
        command = self.begin(*arguments, **variables)
        out, err = command.communicate(timeout=PATIENCE_S)
        return command.returncode, out, err

    def up(self):
        code, out, err = self.run("up")
        assert code == 0, out + err
        return out

    def status(self):
        """Exit code, and what `status --json` tells."""
        code, out, _ = self.run("status", "--json")
        return code, json.loads(out)

    def states(self):
        return {part["part"]: part["state"] for part in self.status()[1]["parts"]}

    def noted(self):
        """By part, the process that the state folder tells of."""
        ledger = self.state / "stack.json"
        return json.loads(ledger.read_text())["daemons"] if ledger.exists() else {}

    def processes(self):
        """All that run in the state folder, which every part and its children do; nobody else does."""
        return [process for process in psutil.process_iter() if folder_of(process).startswith(str(self.state))]

    def jobs(self, **wanted):
        """Send jobs to both queues, or follow those sent before, and return what is told of them."""
        order = {"queues": LANES, "task": "worker.sleep", "quiet_s": 20, **wanted}
        shown = subprocess.run(
            ["sh", "-c", '. "$0"; exec "$@"', str(self.state / "env"), sys.executable, str(FOLLOW), json.dumps(order)],
            capture_output=True, text=True, timeout=PATIENCE_S, check=True,
        )  # fmt: skip
        return json.loads(shown.stdout)

    def settled(self, **wanted):
        """By queue, what became of jobs, without the fates that none had."""
        told = self.jobs(**wanted)
        return [{fate: count for fate, count in told[lane]["tally"].items() if count} for lane in LANES]

    def kept(self):
        """By queue, jobs that wait in the file of the broker that has ended; and how many are with no queue."""
        config = self.state / "broker" / "broker.conf"
        port = int(re.search(r"^port (\d+)$", config.read_text(), re.MULTILINE)[1])
        password = (self.state / "secrets" / "broker-password").read_text()
        with (
            subprocess.Popen([server_program(), str(config)], stdout=subprocess.DEVNULL) as broker,
            redis.Redis(port=port, username="poolrace", password=password) as client,
        ):
            try:
                until(lambda: answers(client))
                return {lane: client.llen(lane) for lane in LANES}, client.hlen("unacked")
            finally:
                broker.terminate()

    def flower(self, path, login=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.flower_port}{path}")
        if login:
            request.add_header("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, ""


def folder_of(process):
    try:
        return process.cwd()
    except (psutil.Error, OSError):
        return ""


def answers(client):
    try:
        return client.ping()
    except redis.ConnectionError:  # not there yet, or still loading
        return False


def wait_for_line(stream, word):
    """Read until a line has the word; returns all until then."""
    lines = []
    while not lines or word not in lines[-1]:
        line = stream.readline()
        assert line, "".join(lines)
        lines.append(line)
    return "".join(lines)


@pytest.fixture
def stack(tmp_path):
    """A stack that has not been started; whatever a test leaves of it ends."""
    stack = Stack(tmp_path)
    yield stack
    if stack.processes():
        stack.run("down")
    assert stack.processes() == []


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A stack that runs, for tests that leave it running; `found` is what its status told of it."""
    stack = Stack(tmp_path_factory.mktemp("stack"))
    try:
        stack.first_words = stack.up()
        stack.found = stack.status()[1]
        yield stack
    finally:
        code, out, _ = stack.run("down")
    assert code == 0
    ended = re.findall(r"^  (\S+) +ended$", out, re.MULTILINE)
    assert ended == ["producer", "worker-prefork", "worker-threads", "flower", "upstream", "broker"]
    assert stack.processes() == []


def test_hundreds_of_jobs_are_all_done_on_each_pool(running):
    assert running.settled(jobs=200, args=[1000]) == [{"sent": 200, "done": 200}] * 2


def test_the_gentle_load_reaches_both_pools(running):
    def done_on_both():
        with urllib.request.urlopen(f"http://127.0.0.1:{running.metrics_port}/metrics", timeout=30) as answer:
            found = re.findall(
                r'^poolrace_jobs_total{lane="(\w+)".*outcome="succeeded"', answer.read().decode(), re.MULTILINE
            )
        return set(found) == set(LANES)

    assert until(done_on_both)


def test_flower_lists_both_nodes_to_who_has_the_login_and_nothing_to_who_has_not(running):
    login = Path(running.found["flower"]["login_file"]).read_text().strip()
    assert running.flower("/workers") == (401, "")
    code, page = running.flower("/workers", login)
    assert code == 200
    assert [lane for lane in LANES if f"{lane}@" not in page] == []


def test_a_second_up_says_that_it_runs_and_starts_nothing(running):
    before = sorted(process.pid for process in running.processes())
    code, out, _ = running.run("up", POOLRACE_CONCURRENCY="3")
    assert code == 0
    assert out.startswith("The stack runs already.\n")
    assert "To change POOLRACE_CONCURRENCY: down first, then up." in out
    assert "(as before)" in out
    assert sorted(process.pid for process in running.processes()) == before


def test_the_login_is_told_at_the_first_start_and_again_by_status(running):
    _, password = Path(running.found["flower"]["login_file"]).read_text().strip().split(":")
    code, shown, _ = running.run("status")
    assert code == 0
    assert f"password: {password}\n" in running.first_words
    assert f"password: {password}\n" in shown
    assert password not in json.dumps(running.found)


def test_status_names_every_part_its_process_and_its_log(running):
    parts = running.found["parts"]
    assert running.found["up"]
    assert {part["part"]: part["state"] for part in parts} == dict.fromkeys(PARTS, "running")
    assert {part["pid"] for part in parts} <= {process.pid for process in running.processes()}
    assert all(Path(part["log"]).is_file() for part in parts)


def test_what_up_prints_is_enough_to_steer_the_load(running):
    line = re.search(r"^    (\. .*/env.*)$", running.first_words, re.MULTILINE)[1]
    # As a user types it; the program stands in the virtual environment.
    steer = f"{line}; {POOLRACE} live pause; {POOLRACE} live set --rate 3/s; {POOLRACE} live resume"
    shown = subprocess.run(["sh", "-c", steer], capture_output=True, text=True, check=True).stdout
    assert [words.split(",")[0] for words in shown.splitlines()] == [
        "paused: 2/s on each lane", "paused: 3/s on each lane", "running: 3/s on each lane",
    ]  # fmt: skip


@pytest.mark.heavy
def test_a_load_on_one_queue_of_nodes_that_run_reaches_the_nodes_of_that_queue_alone(running):
    line = re.search(r"^    (\. .*/env.*)$", running.first_words, re.MULTILINE)[1]
    load = f"{POOLRACE} load --queue threads --rate 20/s --duration 2s --arrivals constant --mix sleep=1 --json"
    told = subprocess.run(["sh", "-c", f"{line}; {load}"], cwd=running.folder, capture_output=True, text=True)
    assert told.returncode in {0, 4}, told.stderr  # 4: this machine kept the publisher waiting
    by_lane = {lane["lane"]: lane for lane in json.loads(told.stdout)["load"]["lanes"]}
    assert list(by_lane) == ["threads"]
    assert by_lane["threads"]["settlement"]["done"] == by_lane["threads"]["settlement"]["sent"] == 40


def test_no_command_line_shows_a_password_and_no_other_user_can_read_the_folder(running):
    secrets = [path.read_text().strip().rpartition(":")[2] for path in (running.state / "secrets").glob("*-*")]
    lines = [word for process in running.processes() for word in process.cmdline()]
    assert [line for line in lines if any(secret in line for secret in secrets)] == []
    assert running.state.stat().st_mode & 0o077 == 0


def test_two_commands_at_a_time_are_refused(running):
    with (running.state / "lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        refused = [running.run(command) for command in ("up", "down")]
    words = f"poolrace: Another poolrace stack up or down is at work on {running.state}. Wait until it has ended.\n"
    assert refused == [(3, "", words)] * 2


@pytest.mark.heavy
def test_a_part_that_died_is_shown_and_up_starts_it_again_alone(running):
    before = {part: noted["pid"] for part, noted in running.noted().items()}
    node = psutil.Process(before["worker-prefork"])
    slots = node.children(recursive=True)
    node.kill()
    until(lambda: not node.is_running() or node.status() == "zombie")
    code, shown, _ = running.run("status")
    assert code == 3
    assert re.search(r"worker-prefork +ended .*worker-prefork\.log", shown)
    until(lambda: not any(slot.is_running() for slot in slots))
    running.up()
    code, found = running.status()
    assert (code, found["up"]) == (0, True)
    assert [part["part"] for part in found["parts"] if part["pid"] != before[part["part"]]] == ["worker-prefork"]


@pytest.mark.heavy
def test_down_in_the_middle_loses_no_accepted_job(stack):
    stack.up()
    sent = stack.jobs(jobs=250, args=[60_000], then="stop")
    assert stack.run("down")[0] == 0
    assert stack.processes() == []
    waiting, with_no_queue = stack.kept()
    assert all(0 < jobs <= 250 for jobs in waiting.values()), waiting
    assert with_no_queue == 0
    stack.up()
    for counts in stack.settled(jobs=250, args=[60_000], sent=sent):
        # A job that ends while its worker does may run again; there are two slots.
        assert counts["sent"] == counts["done"] + counts.get("duplicated", 0) == 250
        assert counts.get("duplicated", 0) <= 2


@pytest.mark.heavy
def test_on_the_atomic_transport_jobs_of_a_killed_worker_run_again_and_a_race_says_what_it_runs_on(stack):
    """Its workers reach the broker as the stack's user, who may run the commands that are named and no other."""
    stack.variables |= {
        "POOLRACE_TRANSPORT": "atomic", "POOLRACE_ACKS": "late", "POOLRACE_VISIBILITY_TIMEOUT_S": "7",
        "POOLRACE_PREFETCH": "1", "POOLRACE_LIVE_RATE": "1/m",
    }  # fmt: skip
    assert re.search(r"worker-threads +queue threads, 2 slots, atomic transport\n", stack.up())
    # Long jobs: the first are at work when the node dies. One that had ended might die with its record on the way.
    sent = stack.jobs(jobs=4, args=[5_000_000], then="stop")
    (node,) = [process for process in stack.processes() if process.pid == stack.noted()["worker-threads"]["pid"]]
    node.kill()
    stack.up()
    assert stack.settled(jobs=4, sent=sent) == [{"sent": 4, "done": 4}] * 2
    race = f". '{stack.state}/env'; {POOLRACE} race --workload sleep --pairs 1 --duration 0.1s --json"
    told = subprocess.run(["sh", "-c", race], cwd=stack.folder, capture_output=True, text=True, timeout=PATIENCE_S)
    summary = json.loads(told.stdout)
    assert [(lane["key"], lane["transport"]) for lane in summary["lanes"]] == [
        ("prefork", "atomic"), ("threads", "atomic"),
    ]  # fmt: skip
    assert summary["settlement"]["done"] == summary["settlement"]["sent"] > 0


def test_a_process_that_got_the_pid_of_a_part_is_left_alone(stack):
    """The ledger of a machine that has been started anew names pids that others have now."""
    stack.state.mkdir()
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as stranger:
        daemons = {part: {"pid": stranger.pid, "born": "another boot:1"} for part in PARTS}
        ledger = {"settings": {}, "ports": {"broker": 1, "upstream": 1}, "daemons": daemons}
        (stack.state / "stack.json").write_text(json.dumps(ledger))
        assert set(stack.states().values()) == {"ended"}
        code, out, _ = stack.run("down")
        assert (code, out) == (0, f"Nothing of {stack.state} runs.\n")
        assert stranger.poll() is None
        stranger.kill()


def test_down_and_status_of_a_stack_that_does_not_run_say_so(stack):
    nothing = f"Nothing of {stack.state} runs."
    assert stack.run("down") == (0, f"{nothing}\n", "")
    assert stack.run("status") == (3, f"{nothing} Start it: poolrace stack up\n", "")
    assert stack.status() == (3, {"up": False, "parts": []})


@pytest.mark.parametrize("variable", ["FLOWER_PORT", "POOLRACE_METRICS_PORT"])
def test_a_port_that_is_taken_is_told_before_anything_starts(stack, variable):
    port = int(stack.variables[variable])
    with socket.create_server(("127.0.0.1", port)):
        code, out, err = stack.run("up")
    assert (code, out) == (3, "")
    assert err.startswith(f"poolrace: Port {port} is taken, ")
    assert f"{variable}={port + 1} make up" in err
    assert stack.processes() == []


@pytest.mark.heavy
def test_a_part_that_fails_is_named_with_the_end_of_its_log_and_all_others_end(stack):
    stack.state.mkdir()
    (stack.state / "disk").touch()  # where a folder has to be
    code, _, err = stack.run("up")
    assert (code, err) == (2, f"poolrace: --state {stack.state}: File exists. Name a folder that can be written.\n")
    (stack.state / "disk").unlink()
    code, out, err = stack.run("up", REDIS_MAXMEMORY="1kkk")
    assert code == 3
    assert err.startswith("poolrace: The broker ended with exit code 1. The end of its log, ")
    assert "maxmemory 1kkk" in err
    assert re.search(r"It did not come up. Ending what was started:\n  upstream +ended\n", out)
    assert stack.processes() == []
    assert stack.noted() == {}


@pytest.mark.heavy
@pytest.mark.parametrize("moment", ["Starting", "upstream", "worker-threads"])
def test_ctrl_c_during_up_leaves_nothing(stack, moment):
    command = stack.begin("up")
    wait_for_line(command.stdout, moment)
    os.killpg(command.pid, signal.SIGINT)
    out, err = command.communicate(timeout=PATIENCE_S)
    assert (command.returncode, err) == (130, "poolrace: Interrupted.\n")
    assert "Up" not in out
    assert stack.processes() == []
    assert stack.noted() == {}
