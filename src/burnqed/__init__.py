"""burn-qed: a Lean 4 theorem prover guided by a policy and an energy-based value."""

__version__ = "0.1.0"
