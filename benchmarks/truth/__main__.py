"""
Runs the checks that are simulations, and need neither broker nor nodes: `python -m benchmarks.truth [NAME]...`.

Each prints its table. It exits 1 if a promise is broken, and 2 at a name that is none.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.truth import capacity, growth, lead_in, one_size, percentiles, races, same_time, sequential

if TYPE_CHECKING:
    from collections.abc import Sequence

SIMULATIONS = {
    "capacity": capacity.main,
    "growth": growth.main,
    "lead_in": lead_in.main,
    "one_size": one_size.main,
    "percentiles": percentiles.main,
    "sequential": sequential.main,
    "races": races.main,
    "same_time": same_time.main,
}


def main(names: Sequence[str]) -> int:
    """Run the simulations with these names, or all; 1 if a promise is broken."""
    unknown = [name for name in names if name not in SIMULATIONS]
    if unknown:
        print(f"{unknown[0]}: unknown. Allowed: {', '.join(SIMULATIONS)}", file=sys.stderr)
        return 2
    broken = 0
    for name in names or SIMULATIONS:
        print(f"# {name}")
        broken += SIMULATIONS[name]() != 0
        print()
    return int(broken > 0)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
