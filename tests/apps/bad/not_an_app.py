"""A module whose app is none."""

app = 7
