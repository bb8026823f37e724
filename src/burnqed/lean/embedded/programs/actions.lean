-- ## Steps that are not tactics: terms, hypotheses, drafts ---------------------------------------------

unsafe def setting (sv : Server) (name : String) : IO Bool := return isTrue (lookup (← sv.options.get) name)

/-- How a state was made, for `goal.save`; `payload` holds what the states it was made from do not. -/
unsafe def trailOf (cmd : String) (payload : Fields) (sources : List Json) : Json :=
  Json.mkObj [("cmd", .str cmd), ("payload", Json.mkObj payload), ("from", .arr sources.toArray)]

unsafe def chosen (p : Json) : List String → Fields
  | [] => []
  | k :: r => match field? p k with
    | some v => (k, v) :: chosen p r
    | none => chosen p r

-- ### Actions on a goal

/-- Works in the context of a goal, which must still be open. -/
unsafe def atGoal (g : MVarId) (x : MetavarDecl → TermElabM α) : TermElabM α := fun tc ts c s => do
  let mctx := (← s.get).mctx
  match mctx.findDecl? g with
  | none => (throwError "unknown goal" : TermElabM α) tc ts c s
  | some d => x d tc ts { c with lctx := d.lctx, localInstances := d.localInstances } s

unsafe def isOpen (mctx : MetavarContext) (g : MVarId) : Bool :=
  match mctx.getExprAssignmentCore? g, mctx.getDelayedMVarAssignmentCore? g with
  | none, none => true
  | _, _ => false

unsafe def openOnes (mctx : MetavarContext) : List MVarId → List MVarId
  | [] => []
  | g :: r => if isOpen mctx g then g :: openOnes mctx r else openOnes mctx r

/-- The value of an action that may fail; whatever it had done is undone then. Nothing catches an interruption. -/
unsafe def attempt (x : MetaM α) : MetaM (Option α) := fun c s cc cs => do
  let metas ← s.get
  let core ← cs.get
  match ← (x c s cc cs).toBaseIO with
  | .ok a => return some a
  | .error e =>
    if e.isInterrupt || e.isRuntime then throw e
    s.set metas
    cs.set core
    return none

unsafe def reducibly (x : MetaM α) : MetaM α := fun c s =>
  x { c with keyedConfig := Config.toConfigWithKey { foApprox := true, ctxApprox := true, quasiPatternApprox := true, transparency := .reducible } } s

/-- An elaborated term for the first of the goals, with the goals that it leaves. -/
unsafe def termWithHoles (stx : Syntax) (goals : List MVarId) (d : MetavarDecl) : TermElabM (Expr × List MVarId) := do
  let ref ← IO.mkRef ({ goals := goals } : Tactic.State)
  Tactic.elabTermWithHoles stx (some (← instantiateMVars d.type)) .anonymous true none { elaborator := .anonymous, recover := false } ref

unsafe def give (g : MVarId) (e : Expr) : MetaM Unit := do
  let e ← instantiateMVars e
  if among g (← getMVars e) 0 then throwError "the term depends on the goal itself"
  modify fun s => { s with mctx := assignExp s.mctx g e }

unsafe def assignTerm (g : MVarId) (rest : List MVarId) (stx : Syntax) : TermElabM (List MVarId) := atGoal g fun d => do
  let (e, holes) ← termWithHoles stx (g :: rest) d
  give g e
  return join (openOnes (← getMCtx) holes) (openOnes (← getMCtx) rest)

unsafe def undetermined (mctx : MetavarContext) (since : Nat) (a : Array MVarId) (i : Nat) : Bool :=
  if h : i < a.size then
    match mctx.findDecl? a[i] with
    | some d => if d.index ≥ since then true else undetermined mctx since a (i + 1)
    | none => undetermined mctx since a (i + 1)
  else false

/-- A type for a new hypothesis. -/
unsafe def newType (stx : Syntax) : TermElabM Expr := do
  let since := (← getMCtx).mvarCounter
  let t ← Term.elabType stx
  Term.synthesizeSyntheticMVarsNoPostponing
  let t ← instantiateMVars t
  if undetermined (← getMCtx) since (← getMVars t) 0 then
    throwError "the type leaves something undetermined (a metavariable): add type annotations\n{t}"
  return t

/-- `have name : type` (or `let`): a goal for the value, and the goal with the new variable. -/
unsafe def introduce (isLet : Bool) (g : MVarId) (rest : List MVarId) (name : Name) (stx : Syntax) : TermElabM (List MVarId) := atGoal g fun _ => do
  let t ← newType stx
  let v ← mkFreshExprSyntheticOpaqueMVar t (if isLet then name else .anonymous)
  let m ← if isLet then g.define name t v else g.assert name t v
  let (_, m) ← m.introNP 1
  return v.mvarId! :: m :: openOnes (← getMCtx) rest

-- ### Drafts: every sorry of a term becomes a goal

unsafe def under (n : Name) (t : Expr) (v? : Option Expr) (bi : BinderInfo) (k : Expr → MetaM Expr) : MetaM Expr := do
  let id : FVarId := { name := ← mkFreshId }
  let cls ← isClass? t
  fun c s =>
    let x := Expr.fvar id
    let lctx := match v? with
      | some v => c.lctx.mkLetDecl id n t v
      | none => c.lctx.mkLocalDecl id n t bi
    let insts := match cls with
      | some cn => c.localInstances.push { className := cn, fvar := x }
      | none => c.localInstances
    k x { c with lctx := lctx, localInstances := insts } s

mutual
unsafe def draftSorries (found : IO.Ref (List MVarId)) (e : Expr) : MetaM Expr := do
  if !e.hasSorry then return e
  match e with
  | .mdata d b => return .mdata d (← draftSorries found b)
  | .proj s i b => return .proj s i (← draftSorries found b)
  | .lam n t b bi =>
    let t ← draftSorries found t
    under n t none bi fun x => do mkLambdaFVars #[x] (← draftSorries found (b.instantiate1 x))
  | .forallE n t b bi =>
    let t ← draftSorries found t
    under n t none bi fun x => do mkForallFVars #[x] (← draftSorries found (b.instantiate1 x))
  | .letE n t v b nondep =>
    let t ← draftSorries found t
    let v ← draftSorries found v
    under n t (if nondep then none else some v) .default fun x => do
      let b ← draftSorries found (b.instantiate1 x)
      if !nondep then return ← mkLetFVars #[x] b (usedLetOnly := false)
      match ← mkLambdaFVars #[x] b with
      | .lam n t b _ => return .letE n t v b true
      | b => return b
  | .app f a =>
    if e.isAppOf ``sorryAx && e.getAppNumArgs ≥ 2 then
      let args := (argumentsOf e [])
      let t := args[0]!
      -- Where it stands in the source comes as an argument: `sorryAx (Name → type) false position`.
      let placed := args.size > 2 && t.isForall && t.bindingDomain!.isConstOf ``Lean.Name
      let type ← instantiateMVars (if placed then t.bindingBody! else t)
      if type.hasSorry then throwError "Coupling is not allowed in draft tactic: {type}"
      let m ← mkFreshExprSyntheticOpaqueMVar type
      found.modify fun l => m.mvarId! :: l
      applied found m args (if placed then 3 else 2)
    else return .app (← draftSorries found f) (← draftSorries found a)
  | _ => return e
unsafe def applied (found : IO.Ref (List MVarId)) (f : Expr) (args : Array Expr) (i : Nat) : MetaM Expr := do
  if h : i < args.size then applied found (.app f (← draftSorries found args[i])) args (i + 1) else return f
end

unsafe def reversed : List MVarId → List MVarId → List MVarId
  | [], acc => acc
  | g :: r, acc => reversed r (g :: acc)

unsafe def draft (g : MVarId) (rest : List MVarId) (stx : Syntax) : TermElabM (List MVarId) := atGoal g fun d => do
  let (e, holes) ← termWithHoles stx (g :: rest) d
  let found ← IO.mkRef ([] : List MVarId)
  let e ← draftSorries found (← instantiateMVars e)
  give g e
  let mctx ← getMCtx
  return join (openOnes mctx holes) (join (reversed (← found.get) []) (openOnes mctx rest))
