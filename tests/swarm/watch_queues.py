"""
Run in the producer's container: once a second, until standard input ends, tell the work and the length of queues.

The work is what `poolrace scaler` answers over HTTP, the length is Redis's LLEN: what autoscalers are mostly given.
"""

import json
import subprocess
import sys
import threading
import time
import urllib.request
from typing import Any

import redis

from producer.cli._broker import broker_from_environment

PORT = 9810
EVERY_S = 1.0


def work(queue: str) -> int | None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/scaler/{queue}", timeout=5) as answer:
            return int(json.load(answer)["work"])
    except OSError:  # it has not looked yet
        return None


def main() -> None:
    queues, over = sys.argv[1:], threading.Event()
    client: Any = redis.Redis.from_url(broker_from_environment() or "")
    words = [word for queue in queues for word in ("--queue", queue)]
    scaler = subprocess.Popen(
        ["poolrace", "scaler", *words, "--every", "1s", "--port", str(PORT)], stderr=subprocess.DEVNULL
    )
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    try:
        while not over.wait(EVERY_S):
            told = {queue: {"at": time.time(), "work": work(queue), "length": client.llen(queue)} for queue in queues}
            sys.stdout.write(json.dumps(told) + "\n")
            sys.stdout.flush()
    finally:
        scaler.terminate()
        scaler.wait()


if __name__ == "__main__":
    main()
