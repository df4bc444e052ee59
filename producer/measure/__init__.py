"""Loads: a profile of arrivals and a mix of jobs, held on each lane, and what must be kept meanwhile."""
