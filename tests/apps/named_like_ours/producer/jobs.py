"""What tasks need."""


def cut(length, pieces):
    """Return the lengths of the pieces."""
    return [length / pieces] * pieces
