"""A small Django project; its Celery app is loaded with it."""

from site_.celery import app as celery_app

__all__ = ("celery_app",)
