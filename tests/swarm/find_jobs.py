"""Run in the producer's container: print as JSON where jobs are, on the broker and on the nodes that answer."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import redis
from celery import Celery
from kombu.transport.redis import PRIORITY_STEPS, Channel

from poolrace.transport_setting import DEAD_LETTER_KEY
from producer.cli._broker import broker_from_environment

ANSWER_S = 2.0


def id_of(message: dict[str, Any]) -> str:
    return str(message["headers"]["id"])


def main() -> None:
    url, queues = broker_from_environment() or "", sys.argv[1:]
    client: Any = redis.Redis.from_url(url)
    lists = [queue + (f"{Channel.sep}{step}" if step else "") for queue in queues for step in PRIORITY_STEPS]
    inspect: Any = Celery("test", broker=url, set_as_current=False).control.inspect(timeout=ANSWER_S)
    with ThreadPoolExecutor() as asking:
        questions = (inspect.active, inspect.reserved, inspect.scheduled)
        answers = list(asking.map(lambda ask: ask() or {}, questions))
    jobs = [job for answer in answers for some in answer.values() for job in some]
    dead = client.lrange(DEAD_LETTER_KEY, 0, -1)
    found = {
        "ready": [id_of(json.loads(raw)) for name in lists for raw in client.lrange(name, 0, -1)],
        "delivered": [id_of(json.loads(raw)[0]) for raw in client.hvals("unacked")],
        "on_nodes": [str(job.get("request", job)["id"]) for job in jobs],
        "dead_letters": [id_of(json.loads(json.loads(raw)["message"])) for raw in dead],
    }
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
