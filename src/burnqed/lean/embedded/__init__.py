"""The Lean that burnqed brings along: Lean 4.28 as WebAssembly, fetched, repaired, started and locked in."""
