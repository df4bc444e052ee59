"""
Run in the producer's container: send jobs until standard input ends, and tell what was sent.

Meanwhile it looks twenty times a second which jobs are delivered and not acknowledged: those that a fault may repeat.
Prints a line when it begins, and in the end JSON: `sent` with the instant of each job, `refused`, and `held` as pairs
of an instant and jobs.
"""

import json
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import redis
from celery import Celery

from producer.cli._broker import broker_from_environment

LOOK_EVERY_S = 0.05


def pauses_s(phases: list[tuple[float, float]]) -> Iterator[float]:
    """Yield the time from each job to the next; the last phase has no end."""
    for rate_per_s, lasts_s in phases:
        until_s = time.monotonic() + lasts_s
        while time.monotonic() < until_s:
            yield 1 / rate_per_s
    while True:
        yield 1 / phases[-1][0]


def main() -> None:
    wanted = json.loads(sys.argv[1])
    url = broker_from_environment() or ""
    app, over = Celery("test", broker=url, set_as_current=False), threading.Event()
    sent: dict[str, float] = {}
    refused: list[str] = []
    held: list[tuple[float, list[str]]] = []

    def look() -> None:
        client: Any = redis.Redis.from_url(url)
        while not over.wait(LOOK_EVERY_S):
            at = time.time()
            held.append((at, [json.loads(raw)[0]["headers"]["id"] for raw in client.hvals("unacked")]))

    def send() -> None:
        for pause_s in pauses_s(wanted["phases"]):
            if over.wait(pause_s):
                return
            number = len(sent)
            job, queue = f"{wanted['name']}{number}", wanted["queues"][number % len(wanted["queues"])]
            is_long = "long_every" in wanted and number % wanted["long_every"] == 0
            takes_s = wanted["long_s"] if is_long else wanted["job_s"]
            sent[job] = time.time()
            try:
                app.send_task("noted.wait", [takes_s], task_id=job, queue=queue, ignore_result=True)
            except app.connection_for_write().connection_errors:
                refused.append(job)

    threads = [threading.Thread(target=work) for work in (look, send)]
    for thread in threads:
        thread.start()
    sys.stdout.write("sending\n")
    sys.stdout.flush()
    sys.stdin.read()
    over.set()
    for thread in threads:
        thread.join()
    sys.stdout.write(json.dumps({"sent": sent, "refused": refused, "held": held}))


if __name__ == "__main__":
    main()
