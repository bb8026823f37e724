"""A run: many theorems, one budget each, everything on record in a folder."""
