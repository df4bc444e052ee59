"""Computing in C, outside the GIL."""

from __future__ import annotations

import hashlib

from worker.workload import Sizing, Workload

BLOCK = bytes(range(256)) * 256
"""64 KiB. Above 2,047 bytes `hashlib` releases the GIL."""


def digest(rounds: int) -> str:
    """
    Hash with SHA-256 in C code that releases the GIL.

    Args:
        rounds: Number of blocks of 64 KiB to hash; some tens of microseconds each.

    Returns:
        The digest in hexadecimal, the same for the same number of rounds.
    """
    hashed = hashlib.sha256()
    for _ in range(rounds):
        hashed.update(BLOCK)
    return hashed.hexdigest()


WORKLOAD = Workload(
    name="native",
    function=digest,
    sizing=Sizing.WORK,
    target_s=0.020,
    work=digest,
)
