"""The demonstration's own jobs: a Celery app with a task for each kind of work."""
