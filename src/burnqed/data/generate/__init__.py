"""New theorems for training: drafted by program from a seed, then proved or refuted in Lean."""
