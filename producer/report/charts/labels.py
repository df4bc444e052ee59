"""Words in a chart: plotly takes what looks like a tag for one, so that names from a run are escaped."""

from __future__ import annotations

from html import escape


def escaped(words: str) -> str:
    """Escape words so that plotly shows them as they are."""
    return escape(words, quote=False)
