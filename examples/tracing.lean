/-
About five hundred lines of ordinary proofs in plain core Lean 4, in as many styles as people write them: the file that
`benchmarks/tracing.py` takes apart into tactic invocations, and puts each of them to the test.
-/

namespace Tracing

universe u v

section Logic

variable (p q r s : Prop)

theorem and_swap (h : p ∧ q) : q ∧ p := by
  obtain ⟨hp, hq⟩ := h
  constructor
  · exact hq
  · exact hp

theorem or_swap (h : p ∨ q) : q ∨ p := by
  cases h with
  | inl hp => exact Or.inr hp
  | inr hq => exact Or.inl hq

theorem and_or_distrib : p ∧ (q ∨ r) ↔ (p ∧ q) ∨ (p ∧ r) := by
  constructor
  · intro h
    rcases h with ⟨hp, hq | hr⟩
    · left
      exact ⟨hp, hq⟩
    · right
      exact ⟨hp, hr⟩
  · intro h
    rcases h with ⟨hp, hq⟩ | ⟨hp, hr⟩
    · exact ⟨hp, Or.inl hq⟩
    · exact ⟨hp, Or.inr hr⟩

theorem or_and_distrib : p ∨ (q ∧ r) ↔ (p ∨ q) ∧ (p ∨ r) := by
  apply Iff.intro
  case mp =>
    intro h
    cases h with
    | inl hp => exact ⟨Or.inl hp, Or.inl hp⟩
    | inr hqr => exact ⟨Or.inr hqr.1, Or.inr hqr.2⟩
  case mpr =>
    intro ⟨h₁, h₂⟩
    cases h₁ with
    | inl hp => exact Or.inl hp
    | inr hq =>
      cases h₂ with
      | inl hp => exact Or.inl hp
      | inr hr => exact Or.inr ⟨hq, hr⟩

theorem contrapose (h : p → q) : ¬ q → ¬ p := by
  intro hq hp
  apply hq
  exact h hp

theorem double_negation : ¬¬p ↔ p := by
  constructor
  · intro h
    by_cases hp : p
    · exact hp
    · exact absurd hp h
  · intro hp hn
    exact hn hp

theorem de_morgan_or : ¬(p ∨ q) ↔ ¬p ∧ ¬q := by
  constructor
  · intro h
    refine ⟨?_, ?_⟩
    · intro hp
      exact h (Or.inl hp)
    · intro hq
      exact h (Or.inr hq)
  · rintro ⟨hp, hq⟩ (h | h)
    · exact hp h
    · exact hq h

theorem de_morgan_and : ¬(p ∧ q) ↔ ¬p ∨ ¬q := by
  by_cases hp : p <;> by_cases hq : q <;> simp [hp, hq]

theorem imp_chain (h₁ : p → q) (h₂ : q → r) (h₃ : r → s) : p → s := by
  intro hp
  have hq : q := h₁ hp
  have hr : r := by
    apply h₂
    exact hq
  exact h₃ hr

theorem four_cases (h : (p ∨ q) ∧ (r ∨ s)) : (p ∧ r) ∨ (p ∧ s) ∨ (q ∧ r) ∨ (q ∧ s) := by
  obtain ⟨hp | hq, hr | hs⟩ := h
  · left; exact ⟨hp, hr⟩
  · right; left; exact ⟨hp, hs⟩
  · right; right; left; exact ⟨hq, hr⟩
  · right; right; right; exact ⟨hq, hs⟩

theorem iff_trans' (h₁ : p ↔ q) (h₂ : q ↔ r) : p ↔ r := by
  rw [h₁]
  exact h₂

theorem iff_by_simp (h₁ : p ↔ q) (hp : p) : q ∧ True := by
  simp only [and_true]
  exact h₁.mp hp

theorem explosion (h : p) (hn : ¬p) : q := by
  exfalso
  exact hn h

theorem exists_swap {α : Type u} {β : Type v} (P : α → β → Prop) (h : ∃ x, ∀ y, P x y) : ∀ y, ∃ x, P x y := by
  intro y
  obtain ⟨x, hx⟩ := h
  exists x
  exact hx y

theorem not_exists' {α : Type u} (P : α → Prop) : (¬∃ x, P x) ↔ ∀ x, ¬P x := by
  constructor
  · intro h x hx
    apply h
    exact ⟨x, hx⟩
  · intro h ⟨x, hx⟩
    exact h x hx

theorem exists_or' {α : Type u} (P Q : α → Prop) : (∃ x, P x ∨ Q x) ↔ (∃ x, P x) ∨ (∃ x, Q x) := by
  constructor
  · rintro ⟨x, hP | hQ⟩
    · exact Or.inl ⟨x, hP⟩
    · exact Or.inr ⟨x, hQ⟩
  · rintro (⟨x, hP⟩ | ⟨x, hQ⟩)
    · exact ⟨x, Or.inl hP⟩
    · exact ⟨x, Or.inr hQ⟩

theorem all_and {α : Type u} (P Q : α → Prop) : (∀ x, P x ∧ Q x) ↔ (∀ x, P x) ∧ (∀ x, Q x) := by
  refine ⟨fun h => ⟨fun x => (h x).1, fun x => (h x).2⟩, ?_⟩
  rintro ⟨hP, hQ⟩ x
  exact ⟨hP x, hQ x⟩

theorem by_grind (h₁ : p → q) (h₂ : ¬ q) : ¬ p := by
  grind

theorem suppose (h : p → q) (hp : p) : q ∧ p := by
  suffices hq : q by
    exact ⟨hq, hp⟩
  show q
  exact h hp

end Logic

section Naturals

theorem add_left_swap (a b c : Nat) : a + (b + c) = b + (a + c) := by
  rw [← Nat.add_assoc, Nat.add_comm a b, Nat.add_assoc]

theorem zero_add' (n : Nat) : 0 + n = n := by
  induction n with
  | zero => rfl
  | succ n ih =>
    rw [← Nat.add_assoc]
    rw [ih]

theorem add_comm' (m n : Nat) : m + n = n + m := by
  induction n with
  | zero => simp
  | succ n ih =>
    have h : m + (n + 1) = (m + n) + 1 := by rfl
    rw [h, ih]
    omega

theorem mul_two' (n : Nat) : n * 2 = n + n := by
  omega

theorem square_of_sum (a b : Nat) : (a + b) * (a + b) = a * a + 2 * (a * b) + b * b := by
  rw [Nat.add_mul, Nat.mul_add, Nat.mul_add]
  rw [Nat.mul_comm b a]
  omega

theorem le_of_mul (a b : Nat) (h : 2 * a ≤ 2 * b) : a ≤ b := by
  by_cases hab : a ≤ b
  · exact hab
  · exfalso
    have : b < a := by omega
    omega

theorem pos_of_ne (n : Nat) (h : n ≠ 0) : 0 < n := by
  cases n with
  | zero => contradiction
  | succ n => exact Nat.succ_pos n

theorem even_or_odd (n : Nat) : (∃ k, n = 2 * k) ∨ (∃ k, n = 2 * k + 1) := by
  induction n with
  | zero =>
    left
    exact ⟨0, rfl⟩
  | succ n ih =>
    rcases ih with ⟨k, hk⟩ | ⟨k, hk⟩
    · right
      exact ⟨k, by omega⟩
    · left
      refine ⟨k + 1, ?_⟩
      omega

def sumTo : Nat → Nat
  | 0 => 0
  | n + 1 => sumTo n + (n + 1)

theorem gauss (n : Nat) : 2 * sumTo n = n * (n + 1) := by
  induction n with
  | zero => rfl
  | succ n ih =>
    unfold sumTo
    rw [Nat.mul_add, ih]
    rw [← Nat.add_mul]
    exact Nat.mul_comm _ _

theorem sumTo_mono (m n : Nat) (h : m ≤ n) : sumTo m ≤ sumTo n := by
  induction h with
  | refl => exact Nat.le_refl _
  | step h ih =>
    apply Nat.le_trans ih
    simp [sumTo]

def double : Nat → Nat
  | 0 => 0
  | n + 1 => double n + 2

theorem double_eq (n : Nat) : double n = 2 * n := by
  induction n with
  | zero => rfl
  | succ n ih => simp only [double, ih]; omega

theorem double_add (m n : Nat) : double (m + n) = double m + double n := by
  simp only [double_eq]
  omega

theorem double_inj {m n : Nat} (h : double m = double n) : m = n := by
  rw [double_eq, double_eq] at h
  omega

theorem pow_pos' (n : Nat) : 0 < 2 ^ n := by
  induction n with
  | zero => decide
  | succ n ih =>
    rw [Nat.pow_succ]
    omega

theorem lt_two_pow' (n : Nat) : n < 2 ^ n := by
  induction n with
  | zero => simp
  | succ n ih =>
    calc n + 1 ≤ 2 ^ n := ih
      _ < 2 ^ n + 2 ^ n := by
        have := pow_pos' n
        omega
      _ = 2 ^ (n + 1) := by
        rw [Nat.pow_succ]
        omega

theorem strong_two_step (P : Nat → Prop) (h0 : P 0) (h1 : P 1) (hs : ∀ n, P n → P (n + 2)) : ∀ n, P n := by
  intro n
  have both : P n ∧ P (n + 1) := by
    induction n with
    | zero => exact ⟨h0, h1⟩
    | succ n ih =>
      obtain ⟨a, b⟩ := ih
      refine ⟨b, ?_⟩
      exact hs n a
  exact both.1

theorem dvd_step (a b c : Nat) (h₁ : a ∣ b) (h₂ : a ∣ c) : a ∣ b + c := by
  obtain ⟨x, rfl⟩ := h₁
  obtain ⟨y, rfl⟩ := h₂
  exists x + y
  rw [Nat.mul_add]

theorem mod_three (n : Nat) : n % 3 = 0 ∨ n % 3 = 1 ∨ n % 3 = 2 := by
  have h : n % 3 < 3 := Nat.mod_lt _ (by decide)
  match hn : n % 3, h with
  | 0, _ => simp
  | 1, _ => simp
  | 2, _ => simp

theorem product_pair (n : Nat) : n * (n + 1) % 2 = 0 := by
  rcases even_or_odd n with ⟨k, rfl⟩ | ⟨k, rfl⟩
  · rw [Nat.mul_assoc]
    exact Nat.mul_mod_right 2 _
  · have h : 2 * k + 1 + 1 = 2 * (k + 1) := by omega
    rw [h, ← Nat.mul_assoc, Nat.mul_comm _ 2, Nat.mul_assoc]
    exact Nat.mul_mod_right 2 _

theorem bounded_search : ∃ n : Nat, n < 20 ∧ n * n = 289 := by
  refine ⟨17, ?_, ?_⟩
  all_goals decide

theorem max_cases (a b : Nat) : max a b = a ∨ max a b = b := by
  by_cases h : a ≤ b
  · right
    exact Nat.max_eq_right h
  · left
    exact Nat.max_eq_left (by omega)

theorem if_cases (a b : Nat) : (if a ≤ b then a else b) ≤ a := by
  split
  · exact Nat.le_refl a
  · next h => omega

theorem match_cases (n : Nat) : (match n with | 0 => 1 | k + 1 => k + 1) > 0 := by
  split
  · decide
  · exact Nat.succ_pos _

theorem conv_left (a b c : Nat) : (a + b) * c = (b + a) * c := by
  conv =>
    lhs
    rw [Nat.add_comm]

theorem conv_inside (a b c : Nat) (h : b = c) : a + (b + 0) = a + c := by
  conv => lhs; arg 2; rw [Nat.add_zero]
  rw [h]

theorem generalize_term (a b : Nat) (h : a * b = 6) : a * b + a * b = 12 := by
  generalize a * b = x at h ⊢
  subst h
  rfl

theorem injection_succ (a b : Nat) (h : a + 1 = b + 1) : a = b := by
  injection h

theorem specialize_it (f : Nat → Nat) (h : ∀ n, f n = n + 1) : f 3 = 4 := by
  specialize h 3
  exact h

theorem congr_it (f : Nat → Nat) (a b : Nat) (h : a = b) : f a + 1 = f b + 1 := by
  congr

theorem named_goals (a b : Nat) (h : a ≤ b) : ∃ c, b = a + c := by
  refine ⟨?witness, ?proof⟩
  case witness => exact b - a
  case proof => omega

theorem try_and_repeat (a b c : Nat) (h : a = b) (h' : b = c) : a = c ∧ c = a ∧ True := by
  refine ⟨?_, ?_, ?_⟩
  all_goals try trivial
  · first
    | exact h
    | exact h.trans h'
  · repeat rw [h]
    exact h'.symm

theorem ordering (a b c : Nat) (h₁ : a < b) (h₂ : b < c) : a + 2 ≤ c := by
  have h₃ : a + 1 ≤ b := h₁
  have h₄ : b + 1 ≤ c := h₂
  calc
    a + 2 = (a + 1) + 1 := rfl
    _ ≤ b + 1 := Nat.succ_le_succ h₃
    _ ≤ c := h₄

end Naturals

section Integers

theorem int_square_sub (a b : Int) : (a - b) * (a + b) = a * a - b * b := by
  rw [Int.sub_mul, Int.mul_add, Int.mul_add, Int.mul_comm b a]
  omega

theorem int_neg_neg (a : Int) : - -a = a := by
  simp

theorem int_abs_cases (a : Int) : (a.natAbs : Int) = a ∨ (a.natAbs : Int) = -a := by
  by_cases h : 0 ≤ a
  · left
    omega
  · right
    omega

theorem int_between (a b : Int) (h₁ : a < b) (h₂ : b < a + 2) : b = a + 1 := by
  omega

theorem int_parity (a : Int) (h : a % 2 = 1) : (a + 1) % 2 = 0 := by
  have : a % 2 = 1 := h
  omega

end Integers

section Lists

variable {α : Type u} {β : Type v}

theorem append_nil' (xs : List α) : xs ++ [] = xs := by
  induction xs with
  | nil => rfl
  | cons x xs ih =>
    simp

theorem append_assoc' (xs ys zs : List α) : (xs ++ ys) ++ zs = xs ++ (ys ++ zs) := by
  induction xs with
  | nil => rfl
  | cons x xs ih =>
    show x :: ((xs ++ ys) ++ zs) = x :: (xs ++ (ys ++ zs))
    rw [ih]

def rev : List α → List α
  | [] => []
  | x :: xs => rev xs ++ [x]

theorem rev_append (xs ys : List α) : rev (xs ++ ys) = rev ys ++ rev xs := by
  induction xs with
  | nil => simp [rev]
  | cons x xs ih =>
    simp only [List.cons_append, rev]
    rw [ih]
    simp [List.append_assoc]

theorem rev_rev (xs : List α) : rev (rev xs) = xs := by
  induction xs with
  | nil => rfl
  | cons x xs ih =>
    rw [rev, rev_append, ih]
    rfl

theorem length_rev (xs : List α) : (rev xs).length = xs.length := by
  induction xs with
  | nil => rfl
  | cons x xs ih => simp [rev, ih]

theorem map_map' {γ : Type u} (f : α → β) (g : β → γ) (xs : List α) : (xs.map f).map g = xs.map (fun x => g (f x)) := by
  induction xs with
  | nil => rfl
  | cons x xs ih =>
    simp only [List.map_cons]
    rw [ih]

theorem mem_append' (x : α) (xs ys : List α) : x ∈ xs ++ ys → x ∈ xs ∨ x ∈ ys := by
  intro h
  induction xs with
  | nil =>
    right
    simpa using h
  | cons y xs ih =>
    simp only [List.cons_append, List.mem_cons] at h
    rcases h with rfl | h
    · left
      simp
    · cases ih h with
      | inl h => exact Or.inl (List.mem_cons_of_mem _ h)
      | inr h => exact Or.inr h

theorem length_filter (P : α → Bool) (xs : List α) : (xs.filter P).length ≤ xs.length := by
  induction xs with
  | nil => simp
  | cons x xs ih =>
    rw [List.filter_cons]
    split
    · simp only [List.length_cons]
      omega
    · simp only [List.length_cons]
      omega

theorem nil_or_cons (xs : List α) : xs = [] ∨ ∃ y ys, xs = y :: ys := by
  cases xs
  · left; rfl
  · rename_i y ys
    right
    exact ⟨y, ys, rfl⟩

theorem two_elements (xs : List Nat) (h : xs.length = 2) : ∃ a b, xs = [a, b] := by
  match xs, h with
  | [a, b], _ => exact ⟨a, b, rfl⟩

end Lists

section Structures

inductive Tree (α : Type u) where
  | leaf
  | node (left : Tree α) (value : α) (right : Tree α)

namespace Tree

variable {α : Type u}

def size : Tree α → Nat
  | leaf => 0
  | node l _ r => l.size + 1 + r.size

def mirror : Tree α → Tree α
  | leaf => leaf
  | node l x r => node r.mirror x l.mirror

theorem mirror_mirror (t : Tree α) : t.mirror.mirror = t := by
  induction t with
  | leaf => rfl
  | node l x r ihl ihr =>
    simp only [mirror]
    rw [ihl, ihr]

theorem size_mirror (t : Tree α) : t.mirror.size = t.size := by
  induction t with
  | leaf => rfl
  | node l x r ihl ihr =>
    simp only [mirror, size, ihl, ihr]
    omega

end Tree

structure Point where
  x : Int
  y : Int

def Point.swap (p : Point) : Point := { x := p.y, y := p.x }

theorem Point.swap_swap (p : Point) : p.swap.swap = p := by
  cases p
  rfl

theorem pair_ext {α : Type u} {β : Type v} (a b : α × β) (h₁ : a.1 = b.1) (h₂ : a.2 = b.2) : a = b := by
  obtain ⟨a₁, a₂⟩ := a
  obtain ⟨b₁, b₂⟩ := b
  simp only at h₁ h₂
  subst h₁ h₂
  rfl

theorem funext_twice (f g : Nat → Nat → Nat) (h : ∀ a b, f a b = g a b) : f = g := by
  funext a b
  exact h a b

theorem ext_set (P Q : Nat → Prop) (h : ∀ n, P n ↔ Q n) : P = Q := by
  ext n
  exact h n

theorem finite_check : ∀ i : Fin 6, i.val * i.val < 26 := by
  decide

theorem search_library (a b : Nat) (h : a ≤ b) : a < b + 1 := by
  exact Nat.lt_succ_of_le h

end Structures

end Tracing
