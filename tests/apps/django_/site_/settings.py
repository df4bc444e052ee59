"""Settings of the project."""

import os
from pathlib import Path

SECRET_KEY = "not a secret"
USE_TZ = True
INSTALLED_APPS = ["books"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        # Each node has a database of its own; its child processes share it.
        "NAME": Path(os.environ["DJANGO_FOLDER"], f"books-{os.getpid()}.sqlite3"),
        "OPTIONS": {"timeout": 20},
    }
}

CELERY_BROKER_URL = os.environ["DJANGO_BROKER"]
CELERY_TASK_TRACK_STARTED = True
CELERY_TIMEZONE = "Europe/Berlin"
