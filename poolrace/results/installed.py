"""
Installs the storing of results in steps where it is imported.

A node of any app has it by one flag: `celery -A shop.celery:app worker -I poolrace.results.installed`.
"""

from __future__ import annotations

from poolrace.results import install

install()
