"""The display while a run is under way."""
