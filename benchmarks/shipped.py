"""
Nodes that ship records at a given rate, and do no jobs: a process with the shippers of all of them.

`python -m benchmarks.shipped` prints how long it took to hand over all records, in seconds.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from celery import Celery

from poolrace.contract import FLAG_GIL, Outcome
from poolrace.records_sender import RecordsSender
from poolrace.shipping import Shipper

if TYPE_CHECKING:
    from collections.abc import Sequence

POOL = "prefork"
TICK_S = 0.01
QUEUED_S, RAN_S = 0.002, 0.01


def node_names(nodes: int) -> list[str]:
    """Return the names of so many nodes."""
    return [f"{POOL}-n{number}@host" for number in range(1, nodes + 1)]


def ship(shippers: Sequence[Shipper], run_id: str, records: int, rate_per_s: float) -> float:
    """Hand the records of so many jobs to shippers in turn, each when its job would end; return how long it took."""
    began_s, done = time.monotonic(), 0
    while done < records:
        due = min(records, round((time.monotonic() - began_s) * rate_per_s))
        for seq in range(done, due):
            now_at = time.time()
            due_at = now_at - QUEUED_S - RAN_S
            header = [run_id, 0, seq, due_at, due_at]
            end = (due_at, now_at - RAN_S, now_at, RAN_S, 100 + seq % 8, 0, 1, FLAG_GIL, Outcome.SUCCEEDED, 0, "")
            shippers[seq % len(shippers)].put(header, end)
        done = due
        time.sleep(TICK_S)
    return time.monotonic() - began_s


def main() -> None:
    """Ship, as the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shipped", description=__doc__)
    parser.add_argument("--broker", required=True)
    parser.add_argument("--run", required=True)
    parser.add_argument("--nodes", type=int, required=True)
    parser.add_argument("--records", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    asked = parser.parse_args()
    app = Celery("shipped", broker=asked.broker, set_as_current=False)
    # Busy nodes, which let records gather before they ship them.
    shippers = [
        Shipper(RecordsSender(app), node=name, pool=POOL, idle=lambda: False) for name in node_names(asked.nodes)
    ]
    for shipper in shippers:
        shipper.watch(asked.run)
        shipper.start()
    took_s = ship(shippers, asked.run, asked.records, asked.rate)
    for shipper in shippers:
        shipper.close()
    print(took_s)


if __name__ == "__main__":
    main()
