"""Code that runs inside any Celery process, also a user's. Imports nothing of the project but itself."""

__version__ = "0.1.0"
