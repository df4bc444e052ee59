"""The sweep: one thing varied on each pool, all else kept."""
