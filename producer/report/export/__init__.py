"""A run in the formats of other tools: tables, percentile distributions, traces and metrics."""
