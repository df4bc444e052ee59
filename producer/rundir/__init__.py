"""The run directory: its tables, its trials and events, and its one writer and one reader."""
