"""What ops people do with the stack: look at Flower, race, scale, restart; nothing is lost and nothing is left."""

import base64
import json
import re
import urllib.error
import urllib.request
from typing import Any

import pytest
from compose.followed import LANES, Followed
from compose.waiting import until

PATIENCE_S = 120


def flower(stack: Any, path: str, user: tuple[str, str] | None = None, method: str = "GET") -> tuple[int, str]:
    """Status and text of a page of Flower."""
    request = urllib.request.Request(f"http://127.0.0.1:{stack.flower}{path}", method=method)
    if user:
        request.add_header("Authorization", "Basic " + base64.b64encode(":".join(user).encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_the_gentle_load_reaches_both_pools(stack: Any) -> None:
    def both() -> bool:
        text = stack.metrics()
        done = re.findall(r'poolrace_jobs_total\{lane="(\w+)".*outcome="succeeded".*\} ([\d.]+)', text)
        return {lane for lane, count in done if float(count) > 0} == {"prefork", "threads"}

    assert until(both, PATIENCE_S)


def test_hundreds_of_jobs_are_all_done_on_each_pool(stack: Any) -> None:
    for found in Followed(stack, LANES, 300, 0.001, task="worker.sleep", args=[1000]).finish().values():
        assert found["tally"] == all_done(300)


def all_done(jobs: int) -> dict[str, int]:
    others = ("failed", "revoked", "retried", "duplicated", "lost", "queued", "refused")
    return {"sent": jobs, "done": jobs, **dict.fromkeys(others, 0)}


def test_a_race_on_the_stack_settles_every_job_and_leaves_no_key_of_its_own(stack: Any) -> None:
    words = ("race", "--workload", "sleep", "--pairs", "3", "--duration", "0.5s", "--json")
    ended = stack.compose("run", "--rm", "-T", "producer", *words, check=False)
    summary = json.loads(ended.stdout)
    assert summary["settlement"]["done"] == summary["settlement"]["sent"] > 100
    assert [lane["pool"] for lane in summary["lanes"]] == ["prefork", "threads"]
    assert summary["lanes"][0]["hello"]["limits"]["cpu_quota"] == 1.0
    (machine,) = summary["hosts"]  # whatever container a node is in
    assert [node.partition("@")[0] for node in machine["nodes"]] == ["prefork", "threads"]
    assert 0 <= machine["others_cores"] <= machine["cores"]
    code = (
        "import sys, redis; from producer.cli._broker import broker_from_environment as url\n"
        "print(redis.Redis.from_url(url()).exists(*sys.argv[1:]))"
    )
    assert stack.python(code, "poolrace.claim", f"poolrace.records.{summary['run']['id']}").strip() == "0"


def test_flower_refuses_who_has_no_login_and_lists_both_pools_to_who_has(stack: Any) -> None:
    assert flower(stack, "/workers")[0] == 401
    assert flower(stack, "/workers", ("admin", "admin"))[0] == 401
    status, page = until(
        lambda: (found := flower(stack, "/workers", stack.login()))[1].count("@") > 1 and found, PATIENCE_S
    )
    assert status == 200
    assert "prefork@" in page
    assert "threads@" in page


def test_flower_changes_nothing_in_read_only_mode(stack: Any) -> None:
    user = stack.login()
    name = re.findall(r"threads@\w+", flower(stack, "/workers", user)[1])[0]
    for path in (f"/api/worker/shutdown/{name}", f"/api/worker/pool/grow/{name}", "/api/task/send-task/worker.noop"):
        assert flower(stack, path, user, method="POST")[0] in {403, 405}, path


@pytest.mark.parametrize("command", ["FLUSHALL", "FLUSHDB", "CONFIG GET maxmemory", "SHUTDOWN", "KEYS *", "SCAN 0"])
def test_the_broker_s_user_may_not_do_harm(stack: Any, command: str) -> None:
    code = (
        "import sys, redis; from producer.cli._broker import broker_from_environment as url\n"
        "try: print('did', redis.Redis.from_url(url()).execute_command(*sys.argv[1:]))\n"
        "except redis.exceptions.NoPermissionError: print('refused')"
    )
    assert stack.python(code, *command.split()).strip() == "refused"


@pytest.mark.parametrize("service", ["worker-prefork", "worker-threads", "producer", "flower", "upstream"])
def test_containers_run_as_nobody_special_on_a_read_only_disk(stack: Any, service: str) -> None:
    assert stack.compose("exec", "-T", service, "id", "-u").stdout.strip() == "10001"
    assert stack.compose("exec", "-T", service, "touch", "/opt/file", check=False).returncode != 0
    capabilities = stack.compose("exec", "-T", service, "grep", "CapEff", "/proc/self/status").stdout
    assert int(capabilities.split()[1], 16) == 0


def test_workers_come_and_go_under_load_and_nothing_is_lost(stack: Any) -> None:
    stack.compose("up", "--detach", "--wait", "--no-recreate", "--scale", "worker-threads=3")
    followed = Followed(stack, ("threads",), 400, 0.05, task="worker.sleep", args=[50_000])
    followed.until("sent")
    stack.compose("up", "--detach", "--no-recreate", "--scale", "worker-threads=1")
    assert followed.finish()["threads"]["tally"] == all_done(400)
