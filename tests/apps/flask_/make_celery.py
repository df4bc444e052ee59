"""Where a Celery worker finds the app."""

from example import create_app, tasks

__all__ = ("celery_app", "flask_app", "tasks")

flask_app = create_app()
celery_app = flask_app.extensions["celery"]
