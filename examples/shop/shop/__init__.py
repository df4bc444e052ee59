"""A small web shop and the work that it does behind the scenes."""
