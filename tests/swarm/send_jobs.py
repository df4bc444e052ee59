"""
Run in the producer's container: send jobs to both pools until standard input ends, and tell what was sent.

Meanwhile it looks twenty times a second which jobs are delivered and not acknowledged: those that a fault may repeat.
Prints a line when it begins, and in the end JSON: `sent`, `refused`, and `held` as pairs of an instant and jobs.
"""

import json
import sys
import threading
import time
from typing import Any

import redis
from celery import Celery

from producer.cli._broker import broker_from_environment

LOOK_EVERY_S = 0.05


def main() -> None:
    wanted = json.loads(sys.argv[1])
    url = broker_from_environment() or ""
    app, over = Celery("test", broker=url, set_as_current=False), threading.Event()
    sent: list[str] = []
    refused: list[str] = []
    held: list[tuple[float, list[str]]] = []

    def look() -> None:
        client: Any = redis.Redis.from_url(url)
        while not over.wait(LOOK_EVERY_S):
            at = time.time()
            held.append((at, [json.loads(raw)[0]["headers"]["id"] for raw in client.hvals("unacked")]))

    def send() -> None:
        while not over.wait(1 / wanted["rate_per_s"]):
            job, queue = f"{wanted['name']}{len(sent)}", wanted["queues"][len(sent) % len(wanted["queues"])]
            sent.append(job)
            try:
                app.send_task("noted.wait", [wanted["job_s"]], task_id=job, queue=queue, ignore_result=True)
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
