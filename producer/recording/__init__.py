"""Recordings of a live system: its jobs and when they came, without taking one away."""
