"""Computing in pure Python."""

from __future__ import annotations

from worker.workload import Sizing, Workload


def mix(iterations: int, seed: int = 1) -> int:
    """
    Mix a 64-bit number in a loop that holds the GIL.

    Args:
        iterations: How often to mix; some tens of nanoseconds each.
        seed: The number to begin with.

    Returns:
        The mixed number, the same for the same arguments.
    """
    mixed = seed
    for step in range(iterations):
        # Literals, since without a GIL threads would contend for the reference count of a shared module constant.
        mixed = (mixed * 6364136223846793005 + step) & 0xFFFFFFFFFFFFFFFF
        mixed ^= mixed >> 29
    return mixed


WORKLOAD = Workload(
    name="cpu",
    function=mix,
    sizing=Sizing.WORK,
    target_s=0.020,
    work=mix,
)
