"""A small web shop and its work in the background."""
