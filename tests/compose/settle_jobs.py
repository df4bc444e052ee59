"""
Run inside a container of the stack: send jobs to a lane, collect until each has ended, and print how they were settled.

Arguments: queue, number of jobs, microseconds that each sleeps.
"""

import json
import secrets
import sys
import time

import polars as pl
from celery import Celery

from producer.backlog import waiting
from producer.collect import Collector
from producer.commands import broker_from_environment
from producer.errors import FleetError
from producer.plan import backlog
from producer.publish import Call, Order, Publishers
from producer.settle import settle, tally
from producer.trials import Kind, Trial

PATIENCE_S = 45


def main() -> None:
    queue, jobs, amount = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    url, run_id = broker_from_environment() or "", secrets.token_hex(8)
    app = Celery("test", broker=url)
    order = Order(run_id=run_id, trial=0, calls=(Call("worker.sleep", (amount,)),), queue=queue, plan=backlog(jobs))
    records: list[pl.DataFrame] = []
    with Publishers(url) as publishers:
        publishers.begin(order)
        sent = publishers.ledger()
    sys.stderr.write("sent\n")
    sys.stderr.flush()
    deadline = time.monotonic() + PATIENCE_S
    ended = 0
    while ended < jobs and time.monotonic() < deadline:
        try:
            with Collector(app, run_id, lane_of={}, publisher_correction_s=0.0) as collector:
                collector.expect(0, jobs)
                while ended < jobs and time.monotonic() < deadline:
                    collector.poll(0.5)
                    records.append(collector.take()[0])
                    ended = pl.concat(records).filter(pl.col("outcome") != "retried")["seq"].n_unique()
        except FleetError:
            time.sleep(1)  # the broker is being restarted
    queued = waiting(app, [queue], run_id, 0) or []
    trial = Trial(
        trial=0,
        kind=Kind.CAPACITY,
        workload="sleep",
        lane=queue,
        round=0,
        jobs=jobs,
        rate_per_s=None,
        slots=1,
        began_at=0.0,
        ended_at=0.0,
        queued=tuple(queued),
    )
    sys.stdout.write(json.dumps(tally(settle(sent, pl.concat(records), [trial])).to_dict()))


if __name__ == "__main__":
    main()
