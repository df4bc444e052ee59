"""The experiments: a lesson a file."""
