"""Run a user's own Celery app in a race, inside its process; `producer.adoption` is the other side."""
