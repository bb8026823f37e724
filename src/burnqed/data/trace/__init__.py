"""From proofs to tactics with the states around them, as Lean's own elaborator sees them."""
