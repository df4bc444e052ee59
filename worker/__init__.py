"""The demonstration's own jobs: a Celery app whose tasks each do a fixed amount of one kind of work."""
