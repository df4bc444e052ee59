"""The promises that the project makes of itself, measured side by side. `make bench` runs them all."""
