"""From what a person gives (a statement, a .lean file, JSON lines) to theorems."""
