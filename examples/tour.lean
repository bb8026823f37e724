/-
A short tour: six theorems in plain core Lean 4, from easy to less easy.

    burnqed prove examples/tour.lean

Only Init and Std are imported, so the types are written Nat, Int, Rat.
-/

-- linear arithmetic, one library tactic
theorem tour_bounds (a b : Nat) (h : 2 * a + 1 ≤ b) : a < b := by sorry

-- classical logic
theorem tour_contrapositive (p q : Prop) : (¬ q → ¬ p) ↔ (p → q) := by sorry

-- a witness has to be found
theorem tour_witness : ∃ n : Nat, 20 < n ∧ n * n % 10 = 9 := by sorry

-- induction over a list
theorem tour_sum_of_successors (xs : List Nat) :
    (xs.map (fun x => x + 1)).sum = xs.sum + xs.length := by sorry

-- a recurrence given by hypotheses
theorem tour_recurrence (f : Nat → Nat) (h0 : f 0 = 1)
    (hs : ∀ n, f (n + 1) = 3 * f n) : ∀ n, f n = 3 ^ n := by sorry

-- the statement has to be strengthened before induction helps
theorem tour_two_step (a : Nat → Int) (h0 : a 0 = 0) (h1 : a 1 = 1)
    (hs : ∀ n, a (n + 2) = 2 * a (n + 1) - a n) : ∀ n, a n = n := by sorry
