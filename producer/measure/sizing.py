"""Sizes the jobs for this machine, once per run, before any node starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from producer.errors import FleetError
from producer.fleet.environment import inherited_environment
from producer.plan.jobs import Jobs

if TYPE_CHECKING:
    from producer.plan.settings import FleetSettings

TIMEOUT_S = 60.0


def sized_jobs(settings: FleetSettings) -> tuple[dict[str, Jobs], dict[str, Any]]:
    """
    Return the sized jobs of each workload, and the calibration for the manifest.

    Raises:
        FleetError: If the calibration fails.
    """
    if settings.own_app:
        return dict(settings.own_app.jobs), {}
    sizes = dict(settings.sizes)
    missing = [name for name in settings.workloads if name not in sizes]
    if missing:
        sizes |= calibrate(missing, job_s=settings.job_s, cpu_share=settings.cpu_share)
    jobs = {
        name: Jobs.of(name, f"worker.{name}", tuple(sizes[name]["amount"]), expected_s=sizes[name]["target_s"] or 0.0)
        for name in settings.workloads
    }
    return jobs, {name: sizes[name] for name in settings.workloads}


def calibrate(
    workloads: list[str], *, job_s: float | None, cpu_share: float | None, timeout_s: float = TIMEOUT_S
) -> dict[str, Any]:
    """
    Run `worker.calibrate` in a process of its own and return its answer.

    Raises:
        FleetError: If it fails or times out.
    """
    command = [sys.executable, "-m", "worker.calibrate", *workloads]
    command += ["--target", str(job_s)] if job_s is not None else []
    command += ["--cpu-share", str(cpu_share)] if cpu_share is not None else []
    try:
        answer = subprocess.run(
            command, env=inherited_environment(os.environ), capture_output=True, text=True, timeout=timeout_s,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise FleetError(
            f"The jobs were not sized within {timeout_s:.0f} s: this machine is too busy. Run again when it is not."
        ) from error
    if answer.returncode:
        raise FleetError(f"The jobs cannot be sized: {answer.stderr.strip() or answer.returncode}")
    return dict(json.loads(answer.stdout))
