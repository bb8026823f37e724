/-
A file as people leave it: imports, a namespace, variables, definitions, and sorries in several places.

    burnqed prove examples/sorries.lean

proves each sorry where it stands and writes the file with the proofs in it; nothing else is changed.
-/
import Init
import Std

open Nat

namespace Tour

universe u

/-- Twice a number. -/
def double (n : Nat) : Nat := n + n

section Numbers

variable (m n : Nat)

theorem double_eq : double n = 2 * n := by
  sorry

-- a sorry inside a proof, which uses the lemma above
theorem double_mono (h : m ≤ n) : double m ≤ double n := by
  have key : 2 * m ≤ 2 * n := by sorry
  rw [double_eq, double_eq]
  exact key

-- one in each branch of an induction
theorem sum_of_odds (f : Nat → Nat) (h0 : f 0 = 0) (hs : ∀ k, f (k + 1) = f k + 2 * k + 1) : f n = n * n := by
  induction n with
  | zero => sorry
  | succ k ih =>
    rw [hs, ih]
    sorry

end Numbers

section Types

variable {α : Type u} (p q : α → Prop)

-- a term in the place of a proof
theorem exists_or_of_left (h : ∃ x, p x) : ∃ x, p x ∨ q x :=
  let ⟨x, hx⟩ := h
  ⟨x, sorry⟩

/-- An inhabited subtype; its proof is missing. -/
def firstSmall : { n : Nat // n < 3 } := ⟨2, sorry⟩

end Types

-- two goals after one tactic
example (a b : Int) (h : a < b) : a ≤ b ∧ ¬ b ≤ a := by
  constructor
  · sorry
  · sorry

end Tour
