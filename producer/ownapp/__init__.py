"""A user's own Celery app: asked what it is, run unmodified, and answered which pool its tasks want."""
