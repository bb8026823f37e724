-- ## Tactics ------------------------------------------------------------------------------------------

unsafe def evalTactics (stx : Syntax) (goals : List MVarId) : TermElabM (List MVarId) := do
  let ref ← IO.mkRef ({ goals := goals } : Tactic.State)
  -- No error recovery: a tactic that logs an error and goes on would look as if it had succeeded.
  let ctx : Tactic.Context := { elaborator := .anonymous, recover := false }
  Tactic.evalTactic stx ctx ref
  Term.synthesizeSyntheticMVarsNoPostponing
  Tactic.getUnsolvedGoals ctx ref

/-- Whether `word` stands in `s` at `p`. -/
unsafe def standsAt (s : String) (p : String.Pos.Raw) (word : String) (q : String.Pos.Raw) : Bool :=
  if q.atEnd word then true else if p.atEnd s then false
  else if p.get s == q.get word then standsAt s (p.next s) word (q.next word) else false

/-- Whether a text names something that escapes Lean's types. Such terms can be run while a tactic is elaborated, before anything is
checked. A name can be written in no other way than by its letters, so looking at the text is enough. -/
unsafe def namesUnsafe (s : String) (p : String.Pos.Raw) : Bool :=
  if p.atEnd s then false
  else if p.get s == 'n' && standsAt s p "nsafe" 0 then true
  else if p.get s == 'l' && (standsAt s p "lcProof" 0 || standsAt s p "lcAny" 0 || standsAt s p "lcUnreachable" 0) then true
  else namesUnsafe s (p.next s)

/-- What became of one tactic: a new state, or a reason in `json`. -/
structure Step where
  next : Option GoalState
  json : List (String × Json)

unsafe def stepKind (e : Exception) : String :=
  if e.isMaxHeartbeat then "heartbeats" else if e.isMaxRecDepth then "recursion" else "error"

/-- Applies a tactic. With `brief` an error's text is not rendered, which for some tactics takes longer than failing did. -/
unsafe def step (s : GoalState) (goals : List MVarId) (rest : List MVarId) (src : String) (heartbeats : Nat) (brief : Bool) : BaseIO Step := do
  let h := { s.header with env := s.core.env }
  match parseAll h Parser.Tactic.tacticSeq.fn src with
  | .error e => return { next := none, json := [("parseError", .str e), ("hasSorry", .bool false), ("hasUnsafe", .bool false)] }
  | .ok stx =>
    if namesUnsafe src 0 then
      return { next := none, json := [("messages", .arr #[]), ("hasSorry", .bool false), ("hasUnsafe", .bool true), ("reason", .str "unsafe")] }
    let x : TermElabM (List MVarId × Bool × Bool × Array Json) := do
      let gs ← evalTactics stx goals
      let gs := join gs rest
      if (← getThe Core.State).messages.hasErrors then return (gs, false, false, #[])
      let sorry? ← solvedHasSorry goals
      let unsafe? ← solvedHasUnsafe (← getEnv) goals
      return (gs, sorry?, unsafe?, ← goalsJson gs #[])
    let r ← run s.header src heartbeats s.core s.metas s.term x
    let failed (reason : String) : BaseIO Step := do
      let ms ← if brief then pure #[] else messages r src
      return { next := none, json := [("messages", .arr ms), ("hasSorry", .bool false), ("hasUnsafe", .bool false), ("reason", .str reason)] }
    match r.result with
    | .error e => failed (stepKind e)
    | .ok (gs, sorry?, unsafe?, js) =>
      if r.core.messages.hasErrors then failed "error" else
      let ms ← messages r src
      return {
        next := some { s with core := { r.core with messages := {}, infoState := {} }, metas := r.metas, term := r.term, goals := gs }
        json := [("goals", .arr js), ("messages", .arr ms), ("hasSorry", .bool sorry?), ("hasUnsafe", .bool unsafe?)] }
