"""What can be set for the stack: the variables of .env.example, from the environment or from a file `.env`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Self

from poolrace.transport_setting import STOCK, TRANSPORTS
from producer.errors import UsageError
from producer.plan.lanes import ACKS, MAX_PREFETCH, MAX_SLOTS
from producer.plan.mix import parse_mix
from producer.plan.units import whole_number
from producer.stack.live_settings import parse_live_rate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

MAX_PORT = 65535
MAX_TASKS = 10_000_000
MAX_TIMEOUT_S = 10_000_000

VARIABLES = {
    "slots": "POOLRACE_SLOTS",
    "prefetch": "POOLRACE_PREFETCH",
    "acks": "POOLRACE_ACKS",
    "transport": "POOLRACE_TRANSPORT",
    "visibility_timeout_s": "POOLRACE_VISIBILITY_TIMEOUT_S",
    "loglevel": "WORKER_LOGLEVEL",
    "live_rate": "POOLRACE_LIVE_RATE",
    "live_mix": "POOLRACE_LIVE_MIX",
    "metrics_port": "POOLRACE_METRICS_PORT",
    "flower_port": "FLOWER_PORT",
    "flower_read_only": "FLOWER_READ_ONLY",
    "flower_max_tasks": "FLOWER_MAX_TASKS",
    "maxmemory": "REDIS_MAXMEMORY",
}
"""The variable of each setting; one that is empty or not set leaves the default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSettings:
    """
    How the stack runs. Each default is that of docker-compose.yml.

    Attributes:
        slots: Slots of each worker.
        prefetch: Celery's prefetch multiplier.
        acks: When a job is acknowledged, `early` or `late`.
        transport: What carries messages to both workers, `stock` or `atomic`.
        visibility_timeout_s: Until what a dead worker had taken goes to another one.
        loglevel: Of both workers.
        live_rate: Jobs of the gentle load on each lane, as `poolrace live run` takes it.
        live_mix: Shares of workloads, as `poolrace live run` takes it.
        metrics_port: Where the gentle load serves its metrics.
        flower_port: Where Flower listens, on 127.0.0.1.
        flower_read_only: `true` or `false`.
        flower_max_tasks: Tasks that Flower remembers.
        maxmemory: Past this the broker refuses jobs; in Redis's words.
    """

    slots: int = 8
    prefetch: int = 4
    acks: str = "early"
    transport: str = STOCK
    visibility_timeout_s: int = 3600
    loglevel: str = "WARNING"
    live_rate: str = "2/s"
    live_mix: str = "cpu=1,io=3,mixed=1"
    metrics_port: int = 9808
    flower_port: int = 5555
    flower_read_only: str = "true"
    flower_max_tasks: int = 10_000
    maxmemory: str = "256mb"

    def differing(self, other: Self) -> list[str]:
        """Variables whose settings are others there."""
        mine, theirs = asdict(self), asdict(other)
        return [VARIABLES[name] for name in mine if mine[name] != theirs[name]]


def read_settings(environ: Mapping[str, str]) -> StackSettings:
    """
    Settings from variables.

    Raises:
        UsageError: If one has a value that cannot be; with those that can.
    """
    given = {name: environ[variable] for name, variable in VARIABLES.items() if environ.get(variable)}
    return StackSettings(**{name: READ[name](text, VARIABLES[name]) for name, text in given.items()})


def with_dotenv(environ: Mapping[str, str], path: Path) -> dict[str, str]:
    """
    The environment, and what a file `.env` adds to it, in the lines `NAME=value` that Compose reads there as well.

    Raises:
        UsageError: If the file cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return dict(environ)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read ({error}).") from error
    pairs = (line.partition("=") for line in lines if "=" in line and not line.lstrip().startswith("#"))
    return {name.strip(): _unquoted(value) for name, _, value in pairs} | dict(environ)


def _unquoted(value: str) -> str:
    text = value.strip()
    if len(text) > 1 and text[0] in "'\"" and text.endswith(text[0]):
        return text[1:-1]
    return text.partition(" #")[0].rstrip()


def _number(low: int, high: int) -> Callable[[str, str], int]:
    return lambda text, name: whole_number(text, name, low, high)


def _one_of(*allowed: str) -> Callable[[str, str], str]:
    def read(text: str, name: str) -> str:
        if text not in allowed:
            raise UsageError(f"{name} {text!r}: must be one of {', '.join(allowed)}.")
        return text

    return read


def _as_it_is(parse: Callable[[str, str], object]) -> Callable[[str, str], str]:
    """Keeps the text, once it is known that it can be parsed."""

    def read(text: str, name: str) -> str:
        parse(text, name)
        return text

    return read


def _size(text: str, name: str) -> str:
    if not text.lower().rstrip("bkmg").isdigit():
        raise UsageError(f"{name} {text!r}: must be a size such as 256mb or 1gb.")
    return text


READ: Mapping[str, Callable[[str, str], Any]] = {
    "slots": _number(1, MAX_SLOTS),
    "prefetch": _number(1, MAX_PREFETCH),
    "acks": _one_of(*ACKS),
    "transport": _one_of(*TRANSPORTS),
    "visibility_timeout_s": _number(1, MAX_TIMEOUT_S),
    "loglevel": _one_of("DEBUG", "INFO", "WARNING", "ERROR"),
    "live_rate": _as_it_is(parse_live_rate),
    "live_mix": _as_it_is(parse_mix),
    "metrics_port": _number(1, MAX_PORT),
    "flower_port": _number(1, MAX_PORT),
    "flower_read_only": _one_of("true", "false"),
    "flower_max_tasks": _number(1, MAX_TASKS),
    "maxmemory": _size,
}

assert set(VARIABLES) == set(READ) == {field.name for field in fields(StackSettings)}
