"""Whether what a report says is true: each promise against a truth that is known, simulated or by construction."""
