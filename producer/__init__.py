"""Everything that plans, sends, measures and tells."""
