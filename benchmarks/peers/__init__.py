"""
Celery's nodes on both transports beside other task queues for Python, near a broker and at a distance from it.

`make bench-peers` has the queues in an environment of their own.
"""
