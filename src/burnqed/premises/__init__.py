"""Premise selection: which theorems of the library may help with a goal."""
