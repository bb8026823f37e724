"""Evaluation: a benchmark, a system and a budget; what the gate accepted, and what that says."""
