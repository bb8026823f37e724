"""Proofs of library theorems from the library itself: short scripts that name theorems which a task's imports already have."""
