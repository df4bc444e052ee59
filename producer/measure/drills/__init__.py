"""The drills: a fault a file."""
