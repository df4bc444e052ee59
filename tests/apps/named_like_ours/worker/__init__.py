"""The package of the app's tasks."""
