"""The run directory: its tables, its nouns, and its one writer and one reader."""
