"""From records to figures, verdicts and recommendations. Pure."""
