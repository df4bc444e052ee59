"""
Stamps jobs in a pool's children that were spawned, not forked.

Such a child is a new interpreter. Celery rebuilds the app there from its settings, without what was connected to its
signals, and then imports the modules that its settings name. `poolrace.stamping` adds this one to them.
"""

from __future__ import annotations

from celery.app import base

from poolrace.stamping import attach_to_child

if base.USING_EXECV:  # type: ignore[attr-defined] # not in its stubs
    attach_to_child()
