"""Benchmark problems, written for Mathlib, as statements that Lean's core alone can take."""
