-- ## Statements ---------------------------------------------------------------------------------------

unsafe def nodeArgs (s : Syntax) : Array Syntax := s.getArgs

/-- The name and the parts of `theorem NAME BINDERS : TYPE := …` or `example BINDERS : TYPE := …`. -/
unsafe def theoremParts (stx : Syntax) : Except String (Name × Array Syntax × Syntax) :=
  let d := stx[1]
  let parts (name : Name) (sig : Syntax) (type : Syntax) : Except String (Name × Array Syntax × Syntax) :=
    .ok (name, nodeArgs sig[0], type)
  if d.getKind == ``Parser.Command.theorem then parts d[1][0].getId d[2] d[2][1][1]
  else if d.getKind == ``Parser.Command.example then
    if (nodeArgs d[1][1]).size == 0 then .error "the example states no type" else parts `_example d[1] d[1][1][0][1]
  else .error "not a theorem: give `theorem NAME … : … := by sorry` or a bare proposition"

unsafe def universeNames (stx : Syntax) : List Name :=
  let us := stx[1][1][1]
  if (nodeArgs us).size == 0 then [] else go (nodeArgs us[1]) 0
where go (a : Array Syntax) (i : Nat) : List Name :=
  if h : i < a.size then (if a[i].isIdent then a[i].getId :: go a (i + 1) else go a (i + 1)) else []

/-- How many variables a binder of a signature introduces: `(x y : Nat)` two, `[Add α]` and a bare `x` one. -/
unsafe def binderCount (a : Array Syntax) (i : Nat) : Nat :=
  if h : i < a.size then
    let b := a[i]
    let n := if b.isIdent || b.getKind == ``Parser.Term.instBinder || b.getKind == ``Parser.Term.hole then 1 else (nodeArgs b[1]).size
    n + binderCount a (i + 1)
  else 0

/-- `∀ binders, type`, as syntax. -/
unsafe def closedSyntax (binders : Array Syntax) (type : Syntax) : Syntax :=
  if binders.size == 0 then type else
    mkNode ``Parser.Term.forall #[mkAtom "∀", mkNullNode binders, mkNullNode, mkAtom ",", type]

unsafe def elabStatement (stx : Syntax) : TermElabM Expr := do
  let e ← Term.elabType stx
  Term.synthesizeSyntheticMVarsNoPostponing
  let e ← instantiateMVars e
  let e := ((← getMCtx).levelMVarToParam (fun _ => false) (fun _ => false) e `u 1).expr
  if e.hasExprMVar then throwError "the statement leaves something undetermined (a metavariable): add type annotations\n{e}"
  if e.hasSorry then throwError "the statement itself contains `sorry`"
  letToHave e -- as Lean does with a theorem's type

/-- A statement's type with its universe parameters renamed by position, so that two elaborations of it can be compared. -/
unsafe def normalLevels (e : Expr) : Expr :=
  let ps := (collectLevelParams {} e).params.toList
  e.instantiateLevelParams ps (fresh ps 0)
where fresh : List Name → Nat → List Level
  | [], _ => []
  | _ :: r, i => .param (.num `p i) :: fresh r (i + 1)

unsafe def startFrom (e : Expr) (intros : Nat) : TermElabM (List MVarId × MVarId) := do
  let g ← mkFreshExprSyntheticOpaqueMVar e
  if intros == 0 then return ([g.mvarId!], g.mvarId!)
  let (_, m) ← g.mvarId!.introNP intros
  return ([m], g.mvarId!)

unsafe def elabTerm (stx : Syntax) (type? : Option Syntax) : TermElabM Expr := do
  let expected ← match type? with
    | some t => do pure (some (← Term.elabType t))
    | none => pure none
  let e ← Term.elabTermEnsuringType stx expected
  Term.synthesizeSyntheticMVarsNoPostponing
  instantiateMVars e
