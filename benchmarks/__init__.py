"""The project's promises about itself, measured side by side. `make bench` runs them all."""
