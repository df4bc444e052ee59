"""
Run inside a container of the stack: send jobs to lanes, follow them through whatever happens, and print their fates.

The argument is JSON: `queues`, and for each of them `jobs` times `task` with `args`; `quiet_s` is how long no record
may come while nothing is queued, for the rest to be given up. Says on standard error the run's id, when all are sent,
and with each record how many jobs have ended on the lane that is behind. With `then` "stop" it only sends and prints
what another one needs that follows, as `sent`.
"""

import json
import secrets
import sys
import time
from dataclasses import asdict
from typing import Any

import polars as pl
from celery import Celery

from producer.analysis.settle import settle, tally
from producer.cli._broker import broker_from_environment
from producer.errors import FleetError
from producer.fleet.queue_depth import waiting
from producer.measure.collector import Collector
from producer.measure.order import Order
from producer.measure.publishers import Publishers
from producer.plan.arrivals import backlog
from producer.plan.jobs import Call
from producer.rundir.schema import RECORD_SCHEMA, SENT_SCHEMA
from producer.rundir.trials import Kind, Trial

PATIENCE_S = 120


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def send(url: str, run_id: str, wanted: dict[str, Any]) -> pl.DataFrame:
    """Send everything; the ledger says what the broker took."""
    with Publishers(url) as publishers:
        ledgers = []
        for number, queue in enumerate(wanted["queues"]):
            plan, args = backlog(wanted["jobs"]), tuple(wanted["args"])
            publishers.begin(
                Order(run_id=run_id, trial=number, calls=(Call(wanted["task"], args),), queue=queue, plan=plan)
            )
            ledgers.append(publishers.ledger())
    return pl.concat(ledgers)


class Follower:
    """Collects records until every job has ended, or nothing more can come."""

    def __init__(self, app: Celery, run_id: str, wanted: dict[str, Any]) -> None:
        self._app, self._run_id, self._wanted = app, run_id, wanted
        self.records = pl.DataFrame(schema=RECORD_SCHEMA)
        self._last_at = time.monotonic()

    def queued(self) -> list[list[int]]:
        """By lane, what the broker still has."""
        return [
            waiting(self._app, [queue], self._run_id, number) or []
            for number, queue in enumerate(self._wanted["queues"])
        ]

    def follow(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                with Collector(self._app, self._run_id, lane_of={}) as collector:
                    say("following")
                    while not self._over() and time.monotonic() < deadline:
                        collector.poll(0.5)
                        self._add(collector.take()[0])
                    return
            except FleetError:
                self._last_at = time.monotonic()
                time.sleep(1)  # the broker is away

    def _over(self) -> bool:
        if any(self.queued()):
            self._last_at = time.monotonic()
        ended = self.records.unique(["trial", "seq"]).height == self._wanted["jobs"] * len(self._wanted["queues"])
        return time.monotonic() - self._last_at > (1 if ended else self._wanted["quiet_s"])

    def _add(self, records: pl.DataFrame) -> None:
        if records.height:
            self._last_at = time.monotonic()
            self.records = pl.concat([self.records, records])
            ended = self.records.unique(["trial", "seq"])["trial"].value_counts()
            say(f"ended {min(ended['count']) if ended.height == len(self._wanted['queues']) else 0}")


def fates(sent: pl.DataFrame, follower: Follower, wanted: dict[str, Any]) -> dict[str, Any]:
    """By queue: how many jobs had which fate, and the numbers of those that were not simply done."""
    trials = [
        Trial(
            trial=number,
            kind=Kind.CAPACITY,
            workload="sleep",
            lane=queue,
            round=0,
            jobs=wanted["jobs"],
            rate_per_s=None,
            slots=1,
            began_at=0.0,
            ended_at=0.0,
            queued=tuple(queued),
        )
        for number, (queue, queued) in enumerate(zip(wanted["queues"], follower.queued(), strict=True))
    ]
    settled = settle(sent, follower.records, trials)
    named = settled.filter(pl.col("fate") != "done").cast({"fate": pl.String})
    return {
        queue: {
            "tally": asdict(tally(settled, number)),
            "named": {
                fate: named.filter((pl.col("trial") == number) & (pl.col("fate") == fate))["seq"].to_list()
                for fate in named.filter(pl.col("trial") == number)["fate"].unique()
            },
        }
        for number, queue in enumerate(wanted["queues"])
    }


def main() -> None:
    wanted = json.loads(sys.argv[1])
    url = broker_from_environment() or ""
    before = wanted.get("sent") or {"run_id": secrets.token_hex(8)}
    say(f"run {before['run_id']}")
    sent = pl.DataFrame(before["ledger"], SENT_SCHEMA) if "ledger" in before else send(url, before["run_id"], wanted)
    say("sent")
    if wanted.get("then") == "stop":
        sys.stdout.write(json.dumps({**before, "ledger": sent.to_dicts()}))
        return
    follower = Follower(Celery("test", broker=url), before["run_id"], wanted)
    follower.follow()
    sys.stdout.write(json.dumps(fates(sent, follower, wanted)))


if __name__ == "__main__":
    main()
