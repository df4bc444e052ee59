"""The plan of a run: lanes, jobs, arrivals, phases, thresholds and settings. Pure."""
