"""For workers in tests: a task that notes what it does on its host's disk, and a short visibility timeout."""

import os
import time
from functools import partial
from typing import Any

from poolrace import drilling, effects
from worker.app import app

LEDGER = os.environ[effects.VARIABLE]

drilling.apply(app, os.environ)
drilling.note_failures(app, partial(effects.note, LEDGER))


@app.task(name="noted.wait", bind=True)
def wait(self: Any, seconds: float) -> None:
    effects.note(LEDGER, self.request.id, effects.BEGUN, self.request.hostname)
    time.sleep(seconds)
    effects.note(LEDGER, self.request.id, effects.DONE, self.request.hostname)
