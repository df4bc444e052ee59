"""The state folder of a stack: the ledger of its processes, and everything that they write."""

from __future__ import annotations

import fcntl
import json
import shutil
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from producer.errors import FleetError, UsageError
from producer.files import replaced
from producer.stack.daemons import Daemon
from producer.stack.settings import StackSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@dataclass(slots=True, kw_only=True)
class Ledger:
    """
    The notes on a stack that was started.

    Attributes:
        settings: The settings that it was started with.
        ports: Ports of the parts that take any free one; kept for the next start.
        daemons: The process of each part that was started and not ended again.
    """

    settings: StackSettings = field(default_factory=StackSettings)
    ports: dict[str, int] = field(default_factory=dict)
    daemons: dict[str, Daemon] = field(default_factory=dict)

    def runs(self, part: str) -> bool:
        """Return whether the process of a part still runs."""
        return part in self.daemons and self.daemons[part].runs()


class StateFolder:
    """The folder of one stack; two stacks have two."""

    def __init__(self, path: Path) -> None:
        self.shown = path
        self.path = path.absolute()
        self.secrets = self.path / "secrets"
        self.logs = self.path / "logs"
        self.broker = self.path / "broker"
        self.disk = self.path / "disk"
        self.temporary = self.path / "tmp"
        self.variables = self.path / "env"
        self._ledger = self.path / "stack.json"

    def make(self) -> None:
        """
        Make the folder and those in it, readable by their owner alone.

        Raises:
            UsageError: If that cannot be done.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (self.secrets, self.logs, self.broker, self.disk, self.temporary):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--state {self.shown}: {error.strerror}. Name a folder that can be written.") from error

    def health(self, part: str) -> Path:
        """Return the folder in which a worker says that it is alive and ready."""
        return self.path / "health" / part

    def log(self, part: str) -> Path:
        """Return the log of a part."""
        return self.logs / f"{part}.log"

    def begin(self, part: str) -> Path:
        """Prepare for a new process of a part: keep the last log as `.1`, and forget its health. Return the new log."""
        shutil.rmtree(self.health(part), ignore_errors=True)
        with suppress(FileNotFoundError):
            self.log(part).replace(self.log(part).with_suffix(".log.1"))
        self.log(part).touch(mode=0o600)
        return self.log(part)

    def clear(self) -> None:
        """Remove what has no use once nothing runs; the broker's file, passwords and logs stay."""
        for folder in (self.path / "health", self.disk, self.temporary):
            shutil.rmtree(folder, ignore_errors=True)

    def read(self) -> Ledger:
        """
        Read the ledger; it is empty where nothing was started.

        Raises:
            UsageError: If the file is not a ledger.
        """
        try:
            return _from_dict(json.loads(self._ledger.read_text(encoding="utf-8")))
        except (FileNotFoundError, NotADirectoryError):
            return Ledger()
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise UsageError(f"{self._ledger}: cannot be read as a stack's ledger ({error}).") from error

    def write(self, ledger: Ledger) -> None:
        """Write the ledger in one step."""
        with replaced(self._ledger) as file:
            file.write(json.dumps(asdict(ledger), indent=2).encode())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """
        Hold the lock of the stack: one command at a time starts or ends its parts.

        Raises:
            FleetError: If another command holds it.
        """
        with (self.path / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise FleetError(
                    f"Another poolrace stack up or down is at work on {self.shown}. Wait until it has ended."
                ) from None
            yield


def _from_dict(value: Mapping[str, Any]) -> Ledger:
    return Ledger(
        settings=StackSettings(**value["settings"]),
        ports={name: int(port) for name, port in value["ports"].items()},
        daemons={name: Daemon(**noted) for name, noted in value["daemons"].items()},
    )
