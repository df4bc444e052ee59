"""An app that wants a service as soon as it is imported; nothing listens there."""

import socket

from celery import Celery

socket.create_connection(("127.0.0.1", 1), timeout=5).close()

app = Celery("needs_service", broker="redis://127.0.0.1:6379/0")
