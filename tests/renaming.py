"""A summary with another name for something, wherever it stands."""

from dataclasses import fields, is_dataclass, replace


def renamed(value, before, after):
    """The same data with one text in place of another, in dataclasses, tuples and the values of mappings."""
    if is_dataclass(value):
        parts = {each.name: getattr(value, each.name) for each in fields(value)}
        return replace(value, **renamed(parts, before, after))
    if isinstance(value, dict):
        return {key: renamed(each, before, after) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(renamed(each, before, after) for each in value)
    return after if value == before else value
