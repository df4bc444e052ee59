"""
Installs the atomic transport where it is imported.

A node of any app has it by one flag: `celery -A shop.celery:app worker -I poolrace.transport.installed`.
"""

from __future__ import annotations

from poolrace.transport import install

install()
