"""
Shows in two files whether a node is alive and ready, so that a health check needs no remote control.

`alive` is touched every few seconds by the timer of the node's event loop: it proves that the loop runs. `ready` exists
from when every slot can take a job until the node stops. Attach it beside the stamping:

    health.attach(app, Path("/tmp/poolrace"))

and let the container's health check run `python -m poolrace.health /tmp/poolrace`: exit code 0 if the node is ready and
was alive within the last 15 seconds. With `http://…` instead of a folder it asks a service that speaks HTTP.
"""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from celery import Celery

ALIVE = "alive"
READY = "ready"
TOUCH_EVERY_S = 5.0
STALE_S = 15.0
ANSWER_S = 5.0


def attach(app: Celery, folder: Path) -> None:
    """Keep the two files of an app's node in a folder."""
    from celery import bootsteps, signals

    class Liveness(bootsteps.StartStopStep):
        """Touches the file from the node's event loop, by the timer that the loop runs."""

        requires = ("celery.worker.components:Timer",)

        def start(self, parent: Any) -> None:
            """Begin to touch."""
            folder.mkdir(parents=True, exist_ok=True)
            (folder / ALIVE).touch()
            self.entry = parent.timer.call_repeatedly(TOUCH_EVERY_S, (folder / ALIVE).touch)

        def stop(self, parent: Any) -> None:  # noqa: ARG002 - Celery passes it
            """Let the file grow old."""
            self.entry.cancel()

    def on_ready(**_: Any) -> None:
        (folder / READY).touch()

    def on_stop(**_: Any) -> None:
        (folder / READY).unlink(missing_ok=True)

    app.steps["worker"].add(Liveness)
    signals.worker_ready.connect(on_ready, weak=False)
    signals.worker_shutting_down.connect(on_stop, weak=False)


def problem(folder: Path, now: float) -> str | None:
    """Return the problem of the node of a folder, or None if the node is alive and ready."""
    try:
        age_s = now - (folder / ALIVE).stat().st_mtime
    except FileNotFoundError:
        return "the node has not started"
    if age_s > STALE_S:
        return f"the event loop has not run for {age_s:.0f} s"
    return None if (folder / READY).exists() else "the node is not ready"


def problem_of_service(url: str) -> str | None:
    """Return the problem of a service, or None if it answers an HTTP request with 200."""
    parts = urlsplit(url)
    # Not http.client, whose import alone costs as much as all the rest.
    request = f"GET {parts.path or '/'} HTTP/1.0\r\nHost: {parts.netloc}\r\n\r\n"
    try:
        with socket.create_connection((parts.hostname, parts.port or 80), timeout=ANSWER_S) as connection:
            connection.sendall(request.encode())
            status = connection.makefile("rb").readline(100).decode("latin-1").rstrip()
    except OSError as error:
        return f"{url} does not answer: {error}"
    return None if status[8:13].strip() == "200" else f"{url} answers {status!r}"


def main() -> None:
    """Exit with 0 if all is well, else print the problem and exit with 1."""
    target = sys.argv[1]
    found = problem_of_service(target) if target.startswith("http://") else problem(Path(target), time.time())
    if found:
        sys.exit(found)


if __name__ == "__main__":
    main()
