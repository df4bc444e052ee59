"""Tells people what a run found: on the terminal, in Markdown."""
