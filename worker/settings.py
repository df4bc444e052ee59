"""The worker's settings, read once from the environment."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from poolrace import credentials, profiles
from poolrace.credentials import BROKER_URL
from poolrace.transport_setting import ATOMIC, SCHEMES, STOCK, TRANSPORTS, setting, supports

if TYPE_CHECKING:
    from collections.abc import Mapping

UPSTREAM_URL = "POOLRACE_UPSTREAM_URL"
DISK_DIR = "POOLRACE_DISK_DIR"
ACKS = "POOLRACE_ACKS"
TRANSPORT = "POOLRACE_TRANSPORT"
HEALTH_DIR = "POOLRACE_HEALTH_DIR"
VISIBILITY_TIMEOUT_S = "POOLRACE_VISIBILITY_TIMEOUT_S"
PROFILE = "POOLRACE_PROFILE"
RESULTS_URL = "POOLRACE_RESULTS_URL"
RESULTS_PREFIX = "POOLRACE_RESULTS_PREFIX"

QUEUE = "poolrace"
"""The queue of jobs unless the command line names another."""

RESTORE_EVERY_S = 10
"""The longest time between a node's searches for jobs that another node has held beyond the visibility timeout."""

RESULTS_KEPT_S = 60
"""How long a stored result is kept. Nobody asks for it, and thousands of jobs a second would fill the server."""

CONNECTION_RETRIES = 5
"""The retries of each URL. Celery waits 2, 4, 6, 8 and 10 seconds between rounds of them: about half a minute."""


class Acks(StrEnum):
    """The time at which a node acknowledges a job to the broker."""

    EARLY = "early"
    """Before the job runs, so that a crash loses it; Celery's default."""

    LATE = "late"
    """After the job ran, so that it runs again after a crash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    Settings of a worker that are not on its command line.

    Attributes:
        broker_url: The broker of the jobs. Not shown, since it may hold a password.
        upstream_url: URL of `worker.upstream`, without a slash at the end.
        disk_dir: The directory that the disk workload writes to.
        acks: When a job is acknowledged.
        transport: The transport of messages: `stock`, kombu's own, or `atomic`, `poolrace.transport`.
        health_dir: Directory of the files that say that the node is alive and ready; None for no such files.
        visibility_timeout_s: Time after which a job that a node has not acknowledged is given to another one, in
            seconds; None for the transport's own default.
        profile: The profile of settings, e.g. `safe`; empty for none.
        results_url: The backend that results are stored in, by lanes that store them; empty for none. Not shown, since
            it may hold a password.
        results_prefix: What the names of results begin with there, so that they can be found again.
    """

    broker_url: str = field(default="redis://127.0.0.1:6379/0", repr=False)
    upstream_url: str = "http://127.0.0.1:8081"
    disk_dir: Path = field(default_factory=lambda: Path(tempfile.gettempdir()))
    acks: Acks = Acks.EARLY
    transport: str = STOCK
    health_dir: Path | None = None
    visibility_timeout_s: int | None = None
    profile: str = ""
    results_url: str = field(default="", repr=False)
    results_prefix: str = ""

    def __post_init__(self) -> None:
        """Check the values as far as is possible without a connection."""
        if "://" not in self.broker_url:
            # The value is not quoted, since it may hold a password.
            raise ValueError(f"{BROKER_URL}: not a URL. Give one such as redis://127.0.0.1:6379/0.")
        if not self.upstream_url.startswith(("http://", "https://")):
            raise ValueError(
                f"{UPSTREAM_URL} {self.upstream_url!r}: not an HTTP URL. Give one such as http://127.0.0.1:8081."
            )
        if self.transport not in TRANSPORTS:
            raise ValueError(f"{TRANSPORT} {self.transport!r}: must be {' or '.join(TRANSPORTS)}.")
        if self.transport == ATOMIC and not supports(self.broker_url):
            raise ValueError(
                f"{TRANSPORT} {self.transport!r}: works with {' and '.join(f'{s}://' for s in SCHEMES)} "
                f"only. Name such a broker in {BROKER_URL}, or set {TRANSPORT} to {STOCK}."
            )


def load(environ: Mapping[str, str]) -> Settings:
    """
    Read the settings from environment variables; one that is empty or not set has its default.

    Raises:
        ValueError: If a variable has a bad value; the message says what is allowed.
    """
    given: dict[str, Any] = {}
    if broker_url := credentials.broker_url(environ):
        given["broker_url"] = broker_url
    if upstream_url := environ.get(UPSTREAM_URL):
        given["upstream_url"] = upstream_url.rstrip("/")
    if disk_dir := environ.get(DISK_DIR):
        given["disk_dir"] = Path(disk_dir)
    if acks := environ.get(ACKS):
        given["acks"] = parse_acks(acks)
    if transport := environ.get(TRANSPORT):
        given["transport"] = transport
    if health_dir := environ.get(HEALTH_DIR):
        given["health_dir"] = Path(health_dir)
    if visibility_timeout := environ.get(VISIBILITY_TIMEOUT_S):
        given["visibility_timeout_s"] = parse_visibility_timeout(visibility_timeout)
    if profile := environ.get(PROFILE):
        given |= _of_profile(profile)
    return Settings(**given, results_url=environ.get(RESULTS_URL, ""), results_prefix=environ.get(RESULTS_PREFIX, ""))


def _of_profile(profile: str) -> dict[str, Any]:
    """Return what a profile says, which overrules the variables for the same."""
    if profile not in profiles.PROFILES:
        raise ValueError(f"{PROFILE} {profile!r}: must be {' or '.join(profiles.PROFILES)}, or not set.")
    conf = profiles.settings_of(profile, profiles.Where.APP)
    return {
        "profile": profile,
        "acks": Acks.LATE if conf["task_acks_late"] else Acks.EARLY,
        "transport": profiles.transport_in(conf),
        "visibility_timeout_s": profiles.VISIBILITY_TIMEOUT_S,
    }


def parse_acks(value: str) -> Acks:
    """Read `early` or `late`."""
    try:
        return Acks(value)
    except ValueError:
        allowed = " or ".join(Acks)
        raise ValueError(f"{ACKS} {value!r}: must be {allowed}. Use the same on every lane.") from None


def parse_visibility_timeout(value: str) -> int:
    """Read whole seconds, 1 or more."""
    if not (value.isascii() and value.isdigit() and int(value)):
        raise ValueError(
            f"{VISIBILITY_TIMEOUT_S} {value!r}: must be whole seconds, 1 or more, and longer than any job, e.g. 3600."
        )
    return int(value)


def celery_config(settings: Settings) -> dict[str, Any]:
    """Return the settings of the Celery app that differ from Celery's defaults, or must not change with them."""
    return {
        "broker_url": settings.broker_url,
        **setting(settings.transport, settings.broker_url),
        "task_acks_late": settings.acks is Acks.LATE,
        # Only for a worker started by hand; a lane names its own queue on the command line.
        "task_default_queue": QUEUE,
        # A job's record says what it did. A stored result would cost five more broker commands a job.
        "task_ignore_result": True,
        **_results(settings),
        # A child that is spawned, not forked, makes its tasks by this import.
        "imports": ("worker.app",),
        # Celery's default, stated because a worker that reads pickles runs any code that it is sent.
        "accept_content": ["json"],
        # A broker that starts beside the worker may need a moment. But a node without a broker has to end at some
        # time, or a race would hang on it.
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": CONNECTION_RETRIES * len(settings.broker_url.split(";")),
        "broker_transport_options": _transport_options(settings),
        **_profile(settings),
    }


def _profile(settings: Settings) -> dict[str, Any]:
    if not settings.profile:
        return {}
    return profiles.settings_of(settings.profile, profiles.Where.APP, broker_url=settings.broker_url)


def _results(settings: Settings) -> dict[str, Any]:
    if not settings.results_url:
        return {}
    return {
        "result_backend": settings.results_url,
        "result_backend_transport_options": {"global_keyprefix": settings.results_prefix},
        "result_expires": RESULTS_KEPT_S,
    }


def _transport_options(settings: Settings) -> dict[str, Any]:
    if settings.visibility_timeout_s is None:
        return {}
    return {
        "visibility_timeout": settings.visibility_timeout_s,
        # kombu searches every 100 s only, which would be added to the timeout.
        "unacked_restore_interval": min(RESTORE_EVERY_S, settings.visibility_timeout_s),
        "unacked_restore_throttle": 1,
    }
