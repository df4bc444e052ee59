"""An app that needs what is not installed."""

import a_package_that_nobody_has
from celery import Celery

app = Celery("no_module", broker="redis://127.0.0.1:6379/0")
app.conf.update(a_package_that_nobody_has.SETTINGS)
