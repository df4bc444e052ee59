"""A user's own app in a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from producer.plan.run_settings import AppSettings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from producer.plan.jobs import Jobs


MIX = "mix"
"""The workload of all tasks together, each as often as the weights of its jobs ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnApp:
    """
    A user's app.

    Attributes:
        app: The app, as `celery -A` takes it.
        folder: The folder in which it is run.
        facts: Its description of itself, and the changes to its settings.
        jobs: The jobs to send, by workload: each task, and all together if there are several.
        environment: The environment of its processes; the manifest never has it, since it may hold secrets.
        timeout_s: The longest wait for the end of a job.
        keep_backend: True to keep the result backend of the app's settings.
        recorded: The time at which each job came, and its workload, if the job file is a recording to be replayed.
    """

    app: str
    folder: Path
    facts: Mapping[str, Any]
    jobs: Mapping[str, Jobs]
    environment: Mapping[str, str] = field(repr=False)
    timeout_s: float
    keep_backend: bool = False
    recorded: tuple[tuple[float, str], ...] = ()

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks whose jobs are sent."""
        return tuple(name for name in self.jobs if name != MIX)

    @property
    def queues(self) -> tuple[str, ...]:
        """The names of its queues, without the default queue."""
        return tuple(self.facts["queues"])

    @property
    def shares(self) -> dict[str, float]:
        """The share of each task among all jobs, from 0 to 1."""
        calls = self.jobs[MIX if MIX in self.jobs else self.tasks[0]]
        weights = calls.weights or (1.0,)
        return {call.workload: weight / sum(weights) for call, weight in zip(calls.calls, weights, strict=True)}

    def app_settings(self) -> AppSettings:
        """Return what the manifest records: all but the messages, which may be many and hold private data."""
        return AppSettings(
            app=self.app,
            folder=str(self.folder),
            facts=dict(self.facts),
            shares=self.shares,
            timeout_s=self.timeout_s,
            backend=_backend(self),
        )


def _backend(own_app: OwnApp) -> str:
    if not own_app.facts["backend_scheme"]:
        return "none, as in the app's settings"
    if own_app.keep_backend:
        return f"{own_app.facts['backend_scheme']}, as in the app's settings"
    return f"replaced: {own_app.facts['backend_scheme']} in the app's settings, the race's own broker in the race"
