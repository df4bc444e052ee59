"""Settings of a run as its manifest records them, written flat: each option goes to the part of its kind."""

from dataclasses import fields

import msgspec

from producer.plan.lanes import parse_lanes
from producer.plan.run_settings import RunSettings
from producer.rundir.manifest import Manifest
from producer.rundir.schema import COMPLETE, FORMAT

LANES = parse_lanes(["prefork:2", "threads:2"], concurrency=2, prefetch=4, acks="early")
COMMON = {
    "kind": "race", "lanes": LANES, "workloads": ["sleep"], "job_s": None, "cpu_share": None, "arrivals": "poisson",
    "seed": 1, "publishers": 1, "start_nodes": True, "expect_nodes": None, "queues": [], "ready_s": 30.0, "out": "runs",
}  # fmt: skip
RACE = {"pairs": 3, "trial_s": 0.6, "utilisation": 0.7, "rate_per_s": None, "margin": 0.05, "quick": False, "apart": []}
LOAD = {
    "scenario": "", "profile": "10/s", "replay": False, "duration_s": 6.0, "offered_per_s": 10.0, "phases": [],
    "thresholds": [], "abort_after_s": None, "payload_bytes": 0, "priority": None,
}  # fmt: skip
LIMIT = {"slo": [], "mix": {"sleep": 1.0}, "probe_s": 4.0, "precision": 0.05, "most_probes": 20, "first_per_s": None}
SWEEP = {"axis": "concurrency", "base": LANES, "points": [], "memory_bytes": None}
SOAK = {"for_s": 300.0, "recycled": {}, "recycle_jobs": 100, "tolerated_bytes_per_h": 4 << 20}
PARTS = {
    "race": {"race": RACE},
    "load": {"load": LOAD},
    "limit": {"limit": LIMIT},
    "sweep": {"race": RACE, "sweep": SWEEP},
    "soak": {"race": RACE, "soak": SOAK},
}


def recorded(**options):
    """
    The settings of a run.

    Args:
        options: Those that matter; `kind` and the others have defaults. One that belongs to no part is refused.
    """
    named = {**COMMON, **options}
    parts = {
        part: {name: named.pop(name, default) for name, default in defaults.items()}
        for part, defaults in PARTS[named["kind"]].items()
    }
    unknown = set(named) - {field.name for field in fields(RunSettings)}
    assert not unknown, f"no option of a {named['kind']}: {', '.join(sorted(unknown))}"
    return msgspec.convert(msgspec.to_builtins({**named, **parts}), RunSettings)


def manifest_of(settings, **others):
    """The manifest of a complete run with these settings."""
    return Manifest(**{"format": FORMAT, "status": COMPLETE, "run_id": "00112233445566ff", **others}, settings=settings)
