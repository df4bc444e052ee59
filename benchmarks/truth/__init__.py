"""Checks of what Poolrace says against a truth that is known otherwise: by theory, by simulation, or by an observer."""
