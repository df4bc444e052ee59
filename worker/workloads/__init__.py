"""The workloads: each module of this folder is one, and a new one is a new file."""

from pathlib import Path

from worker import workload

WORKLOADS = workload.load(__name__, Path(__file__).parent)
"""Every workload by its name."""
