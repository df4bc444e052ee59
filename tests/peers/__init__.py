"""Kombu's and Celery's own tests on both transports, compared test by test: `make test-peers`."""
