"""A Celery app of somebody else, that knows of poolrace only the line which attaches it."""

import json
import os
import signal
import time
from pathlib import Path

from celery import Celery, Task
from celery.worker.request import Request

from poolrace import stamping

BROKER_URL = "FOREIGN_BROKER_URL"
SETTINGS = "FOREIGN_SETTINGS"
PATIENCE_S = 100.0

app = Celery("foreign", broker=os.environ[BROKER_URL])
app.conf.update(json.loads(os.environ.get(SETTINGS, "{}")))
stamping.attach(app)


class BoomError(Exception):
    """What a task of this app fails with."""


class OwnRequest(Request):
    """A Request class of the app's own: it leaves a mark for the task."""

    def __init__(self, message, **options):
        super().__init__(message, **options)
        self._request_dict["own_mark"] = "from OwnRequest"


class OwnTask(Task):
    Request = f"{__name__}:OwnRequest"


@app.task(name="foreign.ok")
def ok():
    """Succeed."""


@app.task(name="foreign.touch")
def touch(path):
    """Leave a file."""
    Path(path).touch()


@app.task(name="foreign.burn")
def burn(cpu_s):
    """Use CPU time."""
    until_s = time.thread_time() + cpu_s
    while time.thread_time() < until_s:
        pass


@app.task(name="foreign.meet", bind=True)
def meet(self, folder, others):
    """Hold a slot until as many jobs as that have come to the folder."""
    Path(folder, self.request.id).touch()
    _wait(lambda: len(list(Path(folder).iterdir())) >= others)


@app.task(name="foreign.held", bind=True)
def held(self, folder):
    """Tell that it runs, then hold a slot until the folder has a file named `go`."""
    Path(folder, self.request.id).touch()
    _wait(Path(folder, "go").exists)


@app.task(name="foreign.boom")
def boom():
    """Fail."""
    raise BoomError("boom")


@app.task(name="foreign.retry_twice", bind=True, max_retries=2)
def retry_twice(self):
    """Ask for two retries, then succeed."""
    if self.request.retries < 2:
        raise self.retry(countdown=0)


@app.task(name="foreign.die")
def die(signal_name):
    """Kill the process that runs it."""
    os.kill(os.getpid(), signal.Signals[signal_name])
    time.sleep(PATIENCE_S)


@app.task(name="foreign.leave")
def leave():
    """Try to end the process that runs it."""
    raise SystemExit(3)


@app.task(name="foreign.too_long", time_limit=1)
def too_long():
    """Run into its hard time limit."""
    time.sleep(PATIENCE_S)


@app.task(name="foreign.own_request", base=OwnTask, bind=True)
def own_request(self):
    """Succeed only if the app's own Request class handled the message."""
    if self.request.get("own_mark") != "from OwnRequest":
        raise BoomError("the app's own Request class was not used")


def _wait(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("nobody came")
        time.sleep(0.01)
