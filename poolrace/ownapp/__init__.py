"""The part of racing a user's own Celery app that runs inside the app's process; the producer has the other part."""
