"""Lean's own library as proving tasks: each theorem in the environment that its module had, where it is not yet there."""
