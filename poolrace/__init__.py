"""What runs inside any Celery process, ours or a user's. Imports nothing of ours but itself."""

__version__ = "0.1.0"
