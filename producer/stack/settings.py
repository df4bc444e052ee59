"""The settings of the stack: the variables of .env.example, from the environment or from a file `.env`."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Self

from dotenv import dotenv_values

from poolrace.profiles import PROFILES
from poolrace.transport_setting import STOCK, TRANSPORTS
from producer.errors import UsageError
from producer.plan.lanes import (
    ACKS,
    DEFAULT_ACKS,
    DEFAULT_CONCURRENCY,
    DEFAULT_PREFETCH,
    MAX_CONCURRENCY,
    MAX_PREFETCH,
)
from producer.plan.mix import parse_mix
from producer.plan.settings import GENTLE_MIX
from producer.plan.units import MAX_PORT, parse_choice, whole_number
from producer.stack.live_settings import parse_live_rate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    Reader = Callable[[str, str], Any]
    """Reads the text of a variable; its second argument is the variable's name, for the error."""

MAX_TASKS = 10_000_000
MAX_TIMEOUT_S = 10_000_000
LOGLEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def _setting(default: Any, variable: str, read: Reader) -> Any:
    return field(default=default, metadata={"variable": variable, "read": read})


def _number(low: int, high: int) -> Reader:
    return lambda text, name: whole_number(text, name, low, high)


def _one_of(*allowed: str) -> Reader:
    return lambda text, name: parse_choice(text, name, allowed)


def _checked(parse: Reader) -> Reader:
    """Return a reader that keeps the text, once it is known that it can be parsed."""

    def read(text: str, name: str) -> str:
        parse(text, name)
        return text

    return read


def _size(text: str, name: str) -> str:
    if not text.lower().rstrip("bkmg").isdigit():
        raise UsageError(f"{name} {text!r}: must be a size such as 256mb or 1gb.")
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSettings:
    """
    The settings of a stack. Each default is that of docker-compose.yml.

    Attributes:
        concurrency: Slots of each worker.
        prefetch: Celery's prefetch multiplier.
        acks: When a job is acknowledged, `early` or `late`.
        transport: What carries messages to both workers, `stock` or `atomic`.
        profile: The profile of settings of both workers, `safe`; empty for none.
        visibility_timeout_s: When jobs that a dead worker had taken go to another one.
        loglevel: Log level of both workers.
        live_rate: Jobs of the gentle load on each lane, as `poolrace live run` takes it.
        live_mix: Shares of workloads, as `poolrace live run` takes it.
        metrics_port: Port on which the gentle load serves its metrics.
        flower_port: Port of Flower on 127.0.0.1.
        flower_read_only: `true` or `false`.
        flower_max_tasks: Tasks that Flower remembers.
        maxmemory: Memory above which the broker refuses jobs, as Redis writes it.
    """

    concurrency: int = _setting(DEFAULT_CONCURRENCY, "POOLRACE_CONCURRENCY", _number(1, MAX_CONCURRENCY))
    prefetch: int = _setting(DEFAULT_PREFETCH, "POOLRACE_PREFETCH", _number(1, MAX_PREFETCH))
    acks: str = _setting(DEFAULT_ACKS, "POOLRACE_ACKS", _one_of(*ACKS))
    transport: str = _setting(STOCK, "POOLRACE_TRANSPORT", _one_of(*TRANSPORTS))
    visibility_timeout_s: int = _setting(3600, "POOLRACE_VISIBILITY_TIMEOUT_S", _number(1, MAX_TIMEOUT_S))
    profile: str = _setting("", "POOLRACE_PROFILE", _one_of(*PROFILES))
    loglevel: str = _setting("WARNING", "WORKER_LOGLEVEL", _one_of(*LOGLEVELS))
    live_rate: str = _setting("2/s", "POOLRACE_LIVE_RATE", _checked(parse_live_rate))
    live_mix: str = _setting(GENTLE_MIX, "POOLRACE_LIVE_MIX", _checked(parse_mix))
    metrics_port: int = _setting(9808, "POOLRACE_METRICS_PORT", _number(1, MAX_PORT))
    flower_port: int = _setting(5555, "FLOWER_PORT", _number(1, MAX_PORT))
    flower_read_only: str = _setting("true", "FLOWER_READ_ONLY", _one_of("true", "false"))
    flower_max_tasks: int = _setting(10_000, "FLOWER_MAX_TASKS", _number(1, MAX_TASKS))
    maxmemory: str = _setting("256mb", "REDIS_MAXMEMORY", _size)

    def differing(self, other: Self) -> list[str]:
        """List the variables of the settings in which another stack differs."""
        mine, theirs = asdict(self), asdict(other)
        return [VARIABLES[name] for name in mine if mine[name] != theirs[name]]


VARIABLES: Mapping[str, str] = {each.name: each.metadata["variable"] for each in fields(StackSettings)}
"""The variable of each setting; one that is empty or not set leaves the default."""


def read_settings(environ: Mapping[str, str]) -> StackSettings:
    """
    Read the settings from variables.

    Raises:
        UsageError: If a value is not allowed; says which are.
    """
    given = {
        each.name: each.metadata["read"](text, variable)
        for each in fields(StackSettings)
        if (text := environ.get(variable := each.metadata["variable"]))
    }
    return StackSettings(**given)


def with_dotenv(environ: Mapping[str, str], path: Path) -> dict[str, str]:
    """
    Return the environment, and what a file `.env` adds to it; the file is read as Compose reads it.

    Raises:
        UsageError: If the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return dict(environ)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read ({error}).") from error
    found = dotenv_values(stream=io.StringIO(text), interpolate=True)
    return {name: value for name, value in found.items() if value is not None} | dict(environ)
