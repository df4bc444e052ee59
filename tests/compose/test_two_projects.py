"""Workers of a second Compose project, on a network of its own, as on a second host: they reach Redis over TLS."""

import json
import subprocess
from ipaddress import ip_network
from typing import Any

from compose.conftest import Stack, free_port
from compose.followed import LANES, Followed, transports

WITHOUT_AUTHORITY = """
import os, redis
from poolrace import credentials
environ = {name: value for name, value in os.environ.items() if name != credentials.CA_FILE}
try:
    print(redis.Redis.from_url(credentials.broker_url(environ)).ping())
except redis.exceptions.ConnectionError as error:
    print(error)
"""


def address_of_this_host() -> str:
    """By which containers reach it: the gateway of Docker's bridge, which some do not tell until it is used."""
    words = ["docker", "network", "inspect", "bridge", "--format", "{{json (index .IPAM.Config 0)}}"]
    told = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    return str(told.get("Gateway") or next(ip_network(told["Subnet"]).hosts()))


def test_workers_of_another_project_take_part_over_tls_on_either_transport_and_strangers_do_not(faulty: Any) -> None:
    host = address_of_this_host()
    port = str(free_port())
    files = "docker-compose.yml:compose.tls.yaml:tests/compose/faults.yaml"
    # Redis comes back with a second port; what it had is in its file.
    faulty.set(COMPOSE_FILE=files, BROKER_NAMES=host, BROKER_TLS_BIND=host, BROKER_TLS_PORT=port)
    faulty.compose("up", "--detach", "--wait", "redis")
    faulty.compose("stop", "worker-prefork", "worker-threads")
    second = Stack(COMPOSE_FILE="compose.worker.yaml", BROKER_HOST=host, BROKER_TLS_PORT=port)
    try:
        handed_over = faulty.compose("run", "--rm", "-T", "secrets", "export").stdout
        second.compose("run", "--rm", "-T", "secrets", "import", given=handed_over)
        second.compose("up", "--detach", "--wait")
        found = Followed(faulty, LANES, 100, 1.0, task="worker.sleep", args=[1000]).finish()
        assert [found[lane]["tally"]["done"] for lane in LANES] == [100, 100]
        second.set(POOLRACE_TRANSPORT="atomic")
        second.compose("up", "--detach", "--wait")
        assert transports(faulty) == dict.fromkeys(LANES, "atomic")
        found = Followed(faulty, LANES, 100, 1.0, task="worker.sleep", args=[1000]).finish()
        assert [found[lane]["tally"]["done"] for lane in LANES] == [100, 100]
        outside = (
            "run",
            "--rm",
            "-T",
            "--no-deps",
            "--entrypoint",
            "python",
            "worker-threads",
            "-c",
            WITHOUT_AUTHORITY,
        )
        assert "certificate verify failed" in second.compose(*outside).stdout
    finally:
        second.compose("--profile", "*", "down", "--volumes", "--remove-orphans")
        assert second.left() == []
