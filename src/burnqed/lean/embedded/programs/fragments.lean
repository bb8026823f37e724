-- ## Fragments: `calc` and `conv`, a step at a time ----------------------------------------------------

unsafe def fragmentOf (g : MVarId) : Fragments → Option Fragment
  | [] => none
  | (m, f) :: r => if m == g then some f else fragmentOf g r

unsafe def dropFragment (g : MVarId) : Fragments → Fragments
  | [] => []
  | (m, f) :: r => if m == g then dropFragment g r else (m, f) :: dropFragment g r

/-- The fragments without a conversion and its parts. -/
unsafe def dropConv (of : MVarId) : Fragments → Fragments
  | [] => []
  | (m, .piece o) :: r => if o == of then dropConv of r else (m, .piece o) :: dropConv of r
  | (m, f) :: r => if m == of then dropConv of r else (m, f) :: dropConv of r

unsafe def convPieces (of : MVarId) : Fragments → List MVarId
  | [] => []
  | (m, .piece o) :: r => if o == of then m :: convPieces of r else convPieces of r
  | _ :: r => convPieces of r

unsafe def relation (e : Expr) : Option (Expr × Expr × Expr) :=
  if e.getAppNumArgs < 2 then none else some (e.appFn!.appFn!, e.appFn!.appArg!, e.appArg!)

unsafe def noRelation (t : Expr) : TermElabM (Expr × Expr × Expr) := throwError "invalid 'calc' step, relation expected{indentExpr t}"

unsafe def calcMismatch (has wanted : Expr) : TermElabM Unit := do
  throwError "'calc' tactic failed, has type{indentExpr has}\nbut it is expected to have type{indentExpr wanted}"

/-- One step of a calculation: a goal for it, and what is left of the calculation. -/
unsafe def calcStep (g : MVarId) (rest : List MVarId) (fs : Fragments) (before : Option Expr) (stx : Syntax) : TermElabM (List MVarId × Fragments) := atGoal g fun d => do
  let target ← instantiateMVars d.type
  let pred : Term := ⟨stx⟩
  let pred ← match before with
    | some b => do Term.annotateFirstHoleWithType pred (← inferType b)
    | none => pure pred
  let type ← Term.elabType pred
  let (_, lhs, _) ← match relation type with
    | some r => pure r
    | none => noRelation type
  match before with
  | some b =>
    if !(← isDefEqGuarded lhs b) then
      throwError "invalid 'calc' step, left-hand side is{indentExpr lhs}\nprevious right-hand side is{indentExpr b}"
  | none => pure ()
  Term.synthesizeSyntheticMVarsNoPostponing
  let type ← instantiateMVars type
  let step ← mkFreshExprSyntheticOpaqueMVar type (.str d.userName "calc")
  if ← isDefEq type target then
    give g step
    return (step.mvarId! :: rest, dropFragment g fs)
  let (_, _, rhs) ← match relation type with
    | some r => pure r
    | none => noRelation type
  match relation target with
  | none => calcMismatch type target; return ([], [])
  | some (r, _, goalRhs) =>
    let last := mkApp2 r rhs goalRhs
    let left ← mkFreshExprSyntheticOpaqueMVar last d.userName
    let (proof, type) ← Term.mkCalcTrans step type left last
    if !(← isDefEq type target) then calcMismatch type target
    give g proof
    return (step.mvarId! :: left.mvarId! :: rest, (left.mvarId!, .calc (some rhs)) :: dropFragment g fs)

unsafe def enterConv (g : MVarId) (rest : List MVarId) (fs : Fragments) : TermElabM (List MVarId × Fragments) := atGoal g fun d => do
  let (rhs, new) ← Tactic.Conv.mkConvGoalFor (← instantiateMVars d.type) .anonymous
  return (new.mvarId! :: rest, (g, .conv rhs.mvarId! new.mvarId!) :: (new.mvarId!, .piece g) :: fs)

unsafe def byRefl (g : MVarId) : MetaM Unit := do
  g.refl
  return ()

unsafe def byInstance (g : MVarId) : MetaM Unit := do
  g.inferInstance
  return ()

/-- Closes what is left of a conversion by reflexivity, as far as it can be. -/
unsafe def closeAll : List MVarId → MetaM Unit
  | [] => pure ()
  | g :: r => do
    if isOpen (← getMCtx) g then
      match ← attempt (byRefl g) with
      | some _ => pure ()
      | none => let _ ← attempt (byInstance g)
    closeAll r

/-- Ends the conversion of a goal: the goal is replaced by what it was converted to. -/
unsafe def endConv (g : MVarId) (seen : List MVarId) (fs : Fragments) : TermElabM (List MVarId × Fragments) := do
  match fragmentOf g fs with
  | some (.conv rhs proof) => atGoal g fun _ => do
    closeAll (convPieces g fs)
    match openOnes (← getMCtx) (convPieces g fs) with
    | [] => pure ()
    | left => throwError "convert tactic failed, there are unsolved goals\n{goalsToMessageData left}"
    let new ← g.replaceTargetEq (← instantiateMVars (.mvar rhs)) (← instantiateMVars (.mvar proof))
    let _ ← attempt (reducibly (byRefl new))
    return (openOnes (← getMCtx) (new :: seen), dropConv g fs)
  | _ => throwError "the goal is not being converted"

unsafe def convGoals (mctx : MetavarContext) (old : List MVarId) : List MVarId → List MVarId
  | [] => []
  | g :: r =>
    let r := convGoals mctx old r
    if isAmong g old then r else match mctx.findDecl? g with
      | some d => match isLHSGoal? d.type with
        | some _ => g :: r
        | none => r
      | none => r

unsafe def asPieces (of : MVarId) : List MVarId → Fragments → Fragments
  | [], fs => fs
  | g :: r, fs => (g, .piece of) :: asPieces of r fs

/-- A sequence `a; b` of conversions; every other part is a separator. -/
unsafe def evalConvs (parts : Array Syntax) (i : Nat) (goals : List MVarId) : TermElabM (List MVarId) := do
  if h : i < parts.size then evalConvs parts (i + 2) (← evalTactics parts[i] goals) else return goals

/-- A conversion tactic on a part of a conversion. When no part is left, the conversion ends. -/
unsafe def convStep (of : MVarId) (seen : List MVarId) (fs : Fragments) (stx : Syntax) : TermElabM (List MVarId × Fragments) := do
  let after ← evalConvs stx.getArgs 0 seen
  let mctx ← getMCtx
  let fs := asPieces of (convGoals mctx seen after) fs
  match openOnes mctx (convPieces of fs) with
  | [] => endConv of after fs
  | _ => return (after, fs)

unsafe def convSequence : Parser.ParserFn := (Parser.Tactic.sepByIndentSemicolon (Parser.categoryParser `conv 0)).fn

/-- A text for the first of the goals: a tactic, or what its fragment asks for. -/
unsafe def textStep (s : GoalState) (seen : List MVarId) (src : String) (limit : Nat) (brief : Bool) : BaseIO Step :=
  match seen with
  | [] => step s seen src limit brief
  | g :: rest => match fragmentOf g s.fragments with
    | none => step s seen src limit brief
    | some (.calc before) => readStep s (Parser.categoryParserFn `term) src fun stx =>
      perform s seen src limit brief (calcStep g rest s.fragments before stx)
    | some (.piece of) => readStep s convSequence src fun stx => perform s seen src limit brief (convStep of seen s.fragments stx)
    | some (.conv ..) => perform s seen src limit brief (throwError "Direct operation on conversion tactic parent goal is not allowed")
