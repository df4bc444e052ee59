"""A user's own Celery app: its description and jobs, for a run, and recordings of a live system."""
