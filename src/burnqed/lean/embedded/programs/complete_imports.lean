import Lean.Elab.Calc
import Lean.Elab.Tactic.Conv.Basic
import Lean.Meta.Tactic.Refl
