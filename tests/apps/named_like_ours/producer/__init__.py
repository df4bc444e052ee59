"""The package of what makes things."""
