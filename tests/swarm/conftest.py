"""A swarm of three hosts with the stack on it, once for all tests below; skipped where there can be none."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from swarm.hosts import LOCAL_SWARM, Swarm


def swarm_missing() -> str | None:
    """Why there can be no swarm here; None if there can."""
    tool = os.environ.get(LOCAL_SWARM)
    if not tool or not shutil.which(tool):
        return f"needs a command that makes a swarm on this machine, in {LOCAL_SWARM}"
    if os.geteuid() != 0:
        return "needs root, to make networks and start engines"
    try:
        told = subprocess.run(["docker", "info", "--format", "{{json .Swarm}}"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"needs a Docker engine: {error}"
    if json.loads(told.stdout)["LocalNodeState"] != "inactive":
        return "needs an engine that is in no swarm: the tests kill hosts"
    return None


@pytest.fixture(scope="session")
def swarm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    """The stack on three hosts, with the safe profile; all of it is gone afterwards."""
    missing = swarm_missing()
    if missing and os.environ.get("POOLRACE_SWARM") == "required":
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    running = Swarm(tmp_path_factory.mktemp("swarm") / "secrets")
    running.script("down")  # what a run before left, that was killed
    try:
        running.script("up")
        running.poolrace("live", "pause")
        running.docker("swarm", "update", "--dispatcher-heartbeat", "2s")  # a host that is gone is seen sooner
        yield running
    finally:
        running.script("down")
        assert running.left() == []
