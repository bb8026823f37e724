-- ## The rest of Pantograph's goal commands -------------------------------------------------------------

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

-- ### Fragments: `calc` and `conv`, a step at a time

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

-- ### Commands

/-- Which goals a step works on, the one that it prefers first. Those it does not see go dormant. -/
unsafe def site (sv : Server) (s : GoalState) (p : Json) : IO (Except Json (List MVarId)) := do
  let automatic ← match field? p "autoResume" with
    | some (.bool b) => pure b
    | _ => setting sv "automaticMode"
  match field? p "goalId" with
  | none => match automatic, s.goals with
    | true, gs => return .ok gs
    | false, g :: _ => return .ok [g]
    | false, [] => return .error (failure "index" "No goals to be solved")
  | some id =>
    let found := match id with
      | .num n => nth n.mantissa.toNat s.goals
      | .str name => pick name s.goals
      | _ => none
    match found with
    | none => return .error (failure "index" ("Invalid goal index " ++ id.compress))
    | some (g, others) => return .ok (if automatic then g :: others else [g])
where nth : Nat → List MVarId → Option (MVarId × List MVarId)
  | _, [] => none
  | 0, g :: r => some (g, r)
  | n + 1, g :: r => match nth n r with
    | some (found, others) => some (found, g :: others)
    | none => none

unsafe def localNames (mctx : MetavarContext) (ids : List MVarId) (acc : NameSet) : NameSet :=
  match ids with
  | [] => acc
  | g :: r => match mctx.findDecl? g with
    | some d => localNames mctx r (insertAll d.lctx.getFVarIds 0 acc)
    | none => localNames mctx r acc
where insertAll (a : Array FVarId) (i : Nat) (acc : NameSet) : NameSet :=
  if h : i < a.size then insertAll a (i + 1) (acc.insert (nameStr a[i].name).toName) else acc

/-- With `noRepeat`, the variables that the step before had are shown by their names only. -/
unsafe def shorten (known : NameSet) (vars : Array Json) (i : Nat) (acc : Array Json) : Array Json :=
  if h : i < vars.size then
    let v := vars[i]
    let v := match str? v "name" with
      | some n => if known.contains n.toName then Json.mkObj (chosen v ["name", "userName", "isInaccessible"]) else v
      | none => v
    shorten known vars (i + 1) (acc.push v)
  else acc

unsafe def fragmentName (gs : Fragments) (name : String) : Option String :=
  match gs with
  | [] => none
  | (g, f) :: r => if nameStr g.name == name then (match f with | .calc _ => some "calc" | _ => some "conv") else fragmentName r name

/-- What depends on the state and not on the goal alone: the fragments, and what need not be repeated. -/
unsafe def dressed (noRepeat : Bool) (s : GoalState) (js : Array Json) : Array Json :=
  match s.fragments, noRepeat with
  | [], false => js
  | _, _ => each (if noRepeat then localNames s.metas.mctx s.parents {} else {}) js 0 #[]
where each (known : NameSet) (js : Array Json) (i : Nat) (acc : Array Json) : Array Json :=
  if h : i < js.size then
    let j := js[i]
    let j := match str? j "name" with
      | some n => match fragmentName s.fragments n with
        | some f => j.setObjVal! "fragment" (.str f)
        | none => j
      | none => j
    let j := match noRepeat, field? j "vars" with
      | true, some (.arr vs) => j.setObjVal! "vars" (.arr (shorten known vs 0 #[]))
      | _, _ => j
    each known js (i + 1) (acc.push j)
  else acc

unsafe def dressedStep (noRepeat : Bool) (r : Step) : Step :=
  match r.next, lookup r.json "goals" with
  | some n, some (.arr js) => { r with json := replace r.json "goals" (.arr (dressed noRepeat n js)) }
  | _, _ => r

unsafe def isInterrupted (r : Step) : Bool :=
  match lookup r.json "reason" with
  | some (.str s) => s == "interrupt"
  | _ => false

unsafe def given (p : Json) : List String → List (String × Json)
  | ks => chosen p ks

unsafe def stepKeys : List String := ["tactic", "mode", "expr", "have", "let", "draft"]

/-- What makes the same step again from the same state. -/
unsafe def stepPayload (sv : Server) (p : Json) : IO Fields := do
  let automatic ← match field? p "autoResume" with
    | some (.bool b) => pure b
    | _ => setting sv "automaticMode"
  return ("autoResume", .bool automatic) :: chosen p ["tactic", "mode", "expr", "have", "let", "draft", "goalId", "binderName", "maxHeartbeats"]

unsafe def invalid (desc : String) : Except Json (BaseIO Step) := .error (failure "invalid" desc)

unsafe def modeStep (s : GoalState) (g : MVarId) (rest : List MVarId) (mode : String) (limit : Nat) : Except Json (BaseIO Step) :=
  let act := perform s (g :: rest) "" limit false
  match mode, fragmentOf g s.fragments with
  | "tactic", none => invalid "Goal does not have a fragment"
  | "tactic", some (.calc _) => .ok (act (return (g :: rest, dropFragment g s.fragments)))
  | "tactic", some (.piece of) => .ok (act (endConv of (g :: rest) s.fragments))
  | "tactic", some (.conv ..) => .ok (act (endConv g rest s.fragments))
  | "conv", none => .ok (act (enterConv g rest s.fragments))
  | "conv", some (.calc _) => invalid "Goal already has a fragment"
  | "conv", some _ => invalid "Already in conv state"
  | "calc", none => .ok (act (return (g :: rest, (g, .calc none) :: s.fragments)))
  | "calc", some _ => invalid "Goal already has a fragment"
  | m, _ => .error (failure "operation" ("Invalid mode " ++ m))

unsafe def onlyFragments (s : GoalState) (act : TermElabM (List MVarId)) : TermElabM (List MVarId × Fragments) := do
  return (← act, s.fragments)

/-- The step that a request for one asks for, on these goals. -/
unsafe def stepFor (s : GoalState) (seen : List MVarId) (p : Json) (limit : Nat) : Except Json (BaseIO Step) :=
  let wrong := "Exactly one of {tactic, mode, expr, have, let, draft} must be supplied"
  match chosen p stepKeys with
  | [("tactic", .str src)] => .ok (textStep s seen src limit false)
  | [(kind, .str src)] => match seen with
    | [] => .error (failure "index" "No goals to be solved")
    | g :: rest =>
      let name := match str? p "binderName" with
        | some n => n.toName
        | none => `this
      let term (act : Syntax → TermElabM (List MVarId)) : Except Json (BaseIO Step) := match fragmentOf g s.fragments with
        | some _ => invalid "The goal is in a fragment: leave it first, with mode \"tactic\""
        | none => .ok (readStep s (Parser.categoryParserFn `term) src fun stx => perform s seen src limit false (onlyFragments s (act stx)))
      match kind with
      | "mode" => modeStep s g rest src limit
      | "expr" => term (assignTerm g rest)
      | "have" => term (introduce false g rest name)
      | "let" => term (introduce true g rest name)
      | "draft" => term (draft g rest)
      | _ => .error (failure "arguments" wrong)
  | [(kind, _)] => .error (failure "command" ("Unable to parse json: Pantograph.Protocol.GoalTactic." ++ kind ++ ": String expected"))
  | _ => .error (failure "arguments" wrong)

unsafe def goalTacticComplete (sv : Server) (p : Json) : IO Json :=
  withState sv p fun s => do
    match ← site sv s p with
    | .error j => return j
    | .ok seen => match stepFor s seen p (← limitOf sv p) with
      | .error j => return j
      | .ok act =>
        let r := dressedStep (← setting sv "noRepeat") (← act)
        match r.next with
        | none => if isInterrupted r then return failure "io" "interrupt" else return Json.mkObj r.json
        | some n =>
          let i ← remember sv { n with trail := trailOf "goal.tactic" (← stepPayload sv p) [s.trail] }
          return Json.mkObj (("nextStateId", num i) :: r.json)

unsafe def goalTacticsComplete (sv : Server) (p : Json) (out : IO.FS.Stream) : IO Json :=
  withState sv p fun s => do
    match ← site sv s p with
    | .error j => return j
    | .ok seen => match field? p "tactics" with
      | some (.arr a) =>
        let limit ← limitOf sv p
        let noRepeat ← setting sv "noRepeat"
        let payload ← stepPayload sv p
        let apply (src : String) : BaseIO Step := do
          let r := dressedStep noRepeat (← textStep s seen src limit (!(flag p "errors")))
          match r.next with
          | none => return r
          | some n => return { r with next := some { n with trail := trailOf "goal.tactic" (("tactic", .str src) :: payload) [s.trail] } }
        return Json.mkObj [("outcomes", .arr (← batch sv p apply out (strings a 0) (← IO.monoNanosNow) #[]))]
      | _ => return failure "command" "Unable to parse json: tactics: Array of strings expected"

/-- The goals of a state as a reply shows them. -/
unsafe def shownGoals (sv : Server) (s : GoalState) : IO (Except Json (Array Json)) := do
  let r ← runAt s (goalsJson s.goals #[])
  match r.result with
  | .error e => return .error (← thrown e)
  | .ok js => return .ok (dressed (← setting sv "noRepeat") s js)

unsafe def stateAt (sv : Server) (i : Nat) : IO (Option GoalState) := do
  let a ← sv.states.get
  return (if h : i < a.size then a[i] else none)

unsafe def toGoals : List String → List MVarId
  | [] => []
  | s :: r => { name := s.toName } :: toGoals r

unsafe def unknownGoals (mctx : MetavarContext) : List MVarId → List MVarId
  | [] => []
  | g :: r => match mctx.findDecl? g with
    | some _ => unknownGoals mctx r
    | none => g :: unknownGoals mctx r

unsafe def goalNames : List MVarId → String
  | [] => ""
  | [g] => nameStr g.name
  | g :: r => nameStr g.name ++ ", " ++ goalNames r

unsafe def goalNameList : List MVarId → Array Json → Array Json
  | [], acc => acc
  | g :: r, acc => goalNameList r (acc.push (.str (nameStr g.name)))

unsafe def mergeFragments : Fragments → Fragments → Fragments
  | [], fs => fs
  | (g, f) :: r, fs => match fragmentOf g fs with
    | some _ => mergeFragments r fs
    | none => (g, f) :: mergeFragments r fs

unsafe def resume (sv : Server) (target : GoalState) (goals : List MVarId) (fragments : Fragments) : IO Json := do
  match unknownGoals target.metas.mctx goals with
  | g :: r => return failure "structure" ("Goals [" ++ goalNames (g :: r) ++ "] are not in scope")
  | [] =>
    let s := { target with
      goals := openOnes target.metas.mctx goals, fragments := mergeFragments fragments target.fragments
      trail := trailOf "goal.continue" [("goals", .arr (goalNameList goals #[]))] [target.trail] }
    match ← shownGoals sv s with
    | .error j => return j
    | .ok js => return Json.mkObj [("nextStateId", num (← remember sv s)), ("goals", .arr js)]

unsafe def goalContinue (sv : Server) (p : Json) : IO Json := do
  match nat? p "target" with
  | none => return failure "command" "Unable to parse json: Pantograph.Protocol.GoalContinue.target: Natural number expected"
  | some t => match ← stateAt sv t with
    | none => return failure "index" ("Invalid state index " ++ toString t)
    | some target => match nat? p "branch", field? p "goals" with
      | some b, none => match ← stateAt sv b with
        | none => return failure "index" ("Invalid state index " ++ toString b)
        | some branch =>
          match target.goals with
          | _ :: _ => return failure "structure" "Target state has unresolved goals"
          | [] =>
            if target.root != branch.root then
              return failure "structure" ("Roots of two continued goal states do not match: " ++ nameStr target.root.name ++ " != " ++ nameStr branch.root.name)
            resume sv target branch.goals branch.fragments
      | none, some (.arr a) => resume sv target (toGoals (strings a 0)) []
      | _, _ => return failure "arguments" "Exactly one of {branch, goals} must be supplied"

-- ### Subsumption: a goal that an earlier one solves

/-- A variable of the candidate, as it is seen from outside. -/
structure Seen where
  var : Expr
  type : Expr
  value : Option Expr

/-- A candidate, taken out of its state: only the variables that its type and its solution need, in their order. -/
structure Candidate where
  vars : Array Seen
  target : Expr
  solution : Expr
  whole : Bool -- whether it has an open part: then all variables are here

unsafe def mentions (x : FVarId) (s : Seen) : Bool :=
  s.type.containsFVar x || (match s.value with | some v => v.containsFVar x | none => false)

unsafe def mentioned (x : FVarId) (a : Array Seen) (i : Nat) : Bool :=
  if h : i < a.size then (if mentions x a[i] then true else mentioned x a (i + 1)) else false

unsafe def turned (a : Array Seen) (i : Nat) (acc : Array Seen) : Array Seen :=
  match i with
  | 0 => acc
  | i + 1 => match a[i]? with
    | some s => turned a i (acc.push s)
    | none => acc

/-- From the last variable to the first: what is needed by the terms, or by what is needed already. -/
unsafe def needed (lctx : LocalContext) (ids : Array FVarId) (i : Nat) (all : Bool) (target solution : Expr) (acc : Array Seen) : MetaM (Array Seen) := do
  match i with
  | 0 => return turned acc acc.size #[]
  | i + 1 => match lctx.find? ids[i]! with
    | none => needed lctx ids i all target solution acc
    | some d =>
      if d.isAuxDecl then needed lctx ids i all target solution acc else
      if all || target.containsFVar d.fvarId || solution.containsFVar d.fvarId || mentioned d.fvarId acc 0 then
        let v ← match d.value? with
          | some v => do pure (some (← instantiateMVars v))
          | none => pure none
        needed lctx ids i all target solution (acc.push { var := d.toExpr, type := ← instantiateMVars d.type, value := v })
      else needed lctx ids i all target solution acc

/-- The term with the constants that only its own state has replaced by what they stand for. -/
unsafe def inlined (env before : Environment) (e : Expr) : Expr :=
  e.replace fun
    | .const n ls => if before.contains n then none else match env.find? n with
      | some c => match c.value? (allowOpaque := true) with
        | some v => some (inlined env before (v.instantiateLevelParams c.levelParams ls))
        | none => none
      | none => none
    | _ => none

unsafe def takeCandidate (before : Environment) (foreign : Bool) (g : MVarId) : MetaM (Option Candidate) := do
  match (← getMCtx).findDecl? g with
  | none => throwError "Nonexistent historical metavariable: {nameStr g.name}"
  | some d => inLocal d.lctx d.localInstances do
    let target ← instantiateMVars d.type
    if !(← isProp target) then return none
    let solution ← instantiateMVars (.mvar g)
    if foreign && solution.hasExprMVar then return none
    let env ← getEnv
    let solution := if foreign then inlined env before solution else solution
    let ids := d.lctx.getFVarIds
    let vars ← needed d.lctx ids ids.size solution.hasExprMVar target solution #[]
    return some { vars := vars, target := target, solution := solution, whole := solution.hasExprMVar }

unsafe def visibleIds (lctx : LocalContext) (ids : Array FVarId) (i : Nat) (acc : Array LocalDecl) : Array LocalDecl :=
  if h : i < ids.size then
    match lctx.find? ids[i] with
    | some d => visibleIds lctx ids (i + 1) (if d.isAuxDecl then acc else acc.push d)
    | none => visibleIds lctx ids (i + 1) acc
  else acc

/-- Whether two closed-up terms are the same without unfolding more than abbreviations; nothing is assigned. -/
unsafe def sameTerm (a b : Expr) : MetaM Bool := do
  let mctx ← getMCtx
  modify fun s => { s with mctx := s.mctx.incDepth }
  let same ← attempt (reducibly (isDefEq a b))
  modify fun s => { s with mctx := mctx }
  return same.getD false

/-- Finds for each variable of the candidate one of the goal, in order. `fuel` bounds the comparisons. -/
unsafe def matchVars (c : Candidate) (goal : Expr) (ds : Array LocalDecl) (fuel : IO.Ref Nat) (i j : Nat) (xs ys : Array Expr) : MetaM (Option (Array Expr × Array Expr)) := do
  if h : i < c.vars.size then
    if hj : j < ds.size then
      let left ← fuel.get
      if left == 0 then return none
      fuel.set (left - 1)
      let v := c.vars[i]
      let d := ds[j]
      let fits ← do
        if v.type.hasExprMVar then pure false else
        if !(← sameTerm (v.type.replaceFVars xs ys) (← instantiateMVars d.type)) then pure false else
        match v.value, d.value? with
        | none, none => pure true
        | some a, some b => if a.hasExprMVar then pure false else sameTerm (a.replaceFVars xs ys) (← instantiateMVars b)
        | _, _ => pure false
      if fits then
        match ← matchVars c goal ds fuel (i + 1) (j + 1) (xs.push v.var) (ys.push d.toExpr) with
        | some found => return some found
        | none => matchVars c goal ds fuel i (j + 1) xs ys
      else matchVars c goal ds fuel i (j + 1) xs ys
    else return none
  else if ← sameTerm (c.target.replaceFVars xs ys) goal then return some (xs, ys) else return none

inductive Subsumption where
  | none
  | cycle
  | subsumed

/-- Tries to solve a goal by what solves the candidate. -/
unsafe def subsumeBy (g : MVarId) (foreign : Bool) (c : Candidate) : TermElabM Subsumption := atGoal g fun d => do
  if c.target.hasExprMVar then return .none
  let goal ← instantiateMVars d.type
  let ds := visibleIds d.lctx d.lctx.getFVarIds 0 #[]
  match ← matchVars c goal ds (← IO.mkRef 3000) 0 0 #[] #[] with
  | none => return .none
  | some (xs, ys) =>
    let circular ← if foreign then pure false else do pure (among g (← getMVars c.solution) 0)
    if circular then
      if c.vars.size == ds.size then return .cycle else return .none
    let e := c.solution.replaceFVars xs ys
    let done ← attempt do
      Meta.check e
      let ok ← g.checkedAssign e
      if !ok then throwError "not assigned"
    match done with
    | some _ => return .subsumed
    | none => return .none

unsafe def subsumeFirst (g : MVarId) (foreign : Bool) : List (MVarId × Option Candidate) → Option MVarId → TermElabM (Subsumption × Option MVarId)
  | [], cycle => return (match cycle with | some m => (.cycle, some m) | none => (.none, none))
  | (_, none) :: r, cycle => subsumeFirst g foreign r cycle
  | (m, some c) :: r, cycle => do
    match ← subsumeBy g foreign c with
    | .subsumed => return (.subsumed, some m)
    | .cycle => subsumeFirst g foreign r (some m)
    | .none => subsumeFirst g foreign r cycle

unsafe def takeCandidates (before : Environment) (foreign : Bool) : List MVarId → MetaM (List (MVarId × Option Candidate))
  | [] => return []
  | g :: r => do
    let c ← takeCandidate before foreign g
    return (g, c) :: (← takeCandidates before foreign r)

unsafe def goalSubsume (sv : Server) (p : Json) : IO Json :=
  withState sv p fun s => do
    let candidates := match field? p "candidates", field? p "srcs" with
      | some (.arr a), _ => some (toGoals (strings a 0))
      | none, some (.arr a) => some (toGoals (strings a 0))
      | _, _ => none
    match str? p "goal", candidates with
    | some goal, some candidates =>
      let g : MVarId := { name := goal.toName }
      match s.metas.mctx.findDecl? g with
      | none => return failure "index" ("Nonexistent metavariable: " ++ goal)
      | some _ =>
      let foreign := (field? p "srcStateId").isSome
      let source ← match nat? p "srcStateId" with
        | some i => stateAt sv i
        | none => pure (if foreign then none else some s)
      match source with
      | none => return failure "index" ("Invalid src state index " ++ ((field? p "srcStateId").getD .null).compress)
      | some source =>
      let taken ← runAt source (takeCandidates s.header.env foreign candidates)
      match taken.result with
      | .error e => if e.isInterrupt then return failure "io" "interrupt" else return failure "index" (← exceptionText e)
      | .ok cs =>
        let r ← runAt s (subsumeFirst g foreign cs none)
        match r.result with
        | .error e => thrown e
        | .ok (.none, _) => return Json.mkObj [("result", .str "none")]
        | .ok (_, none) => return Json.mkObj [("result", .str "none")]
        | .ok (.cycle, some m) => return Json.mkObj [("result", .str "cycle"), ("subsumptor", .str (nameStr m.name))]
        | .ok (.subsumed, some m) =>
          let payload := [("goal", Json.str goal), ("candidates", .arr (goalNameList candidates #[]))]
          let n := { s with
            core := { r.core with messages := {}, infoState := {} }, metas := r.metas, term := r.term
            goals := openOnes r.metas.mctx (without [g] s.goals), parents := [g]
            trail := trailOf "goal.subsume" payload (if foreign then [s.trail, source.trail] else [s.trail]) }
          return Json.mkObj [("result", .str "subsumed"), ("stateId", num (← remember sv n)), ("subsumptor", .str (nameStr m.name))]
    | _, _ => return failure "command" "Unable to parse json: goal.subsume takes goal, a name, and candidates, an array of names"

-- ### Printing a state

/-- Goals that stay goals when variables are taken out of the terms they stand in. -/
unsafe def madeOpaque (a : Array MVarId) (i : Nat) (mctx : MetavarContext) : MetavarContext :=
  if h : i < a.size then madeOpaque a (i + 1) (mctx.setMVarKind a[i] .syntheticOpaque) else mctx

/-- With delayed assignments carried out as far as they go, so that a proof that is not complete can be read. -/
unsafe def unfoldDelayed (e : Expr) : MetaM Expr := do
  let e ← instantiateMVars e
  if !e.hasExprMVar then return e
  match e with
  | .app .. => match e.getAppFn with
    | .mvar m =>
      let mctx ← getMCtx
      match mctx.getDelayedMVarAssignmentCore? m with
      | none => each e.getAppFn (argumentsOf e []) 0
      | some d =>
        if e.getAppNumArgs < d.fvars.size || isOpen mctx d.mvarIdPending then each e.getAppFn (argumentsOf e []) 0 else
        match mctx.findDecl? d.mvarIdPending with
        | none => return e
        | some decl =>
          let args := (argumentsOf e [])
          let inner ← inLocal decl.lctx decl.localInstances do
            let e ← unfoldDelayed (.mvar d.mvarIdPending)
            let ms ← getMVars e
            modify fun s => { s with mctx := madeOpaque ms 0 s.mctx }
            e.abstractM d.fvars
          each (inner.instantiateRev (front args d.fvars.size 0 #[])) args d.fvars.size
    | f => each (← unfoldDelayed f) (argumentsOf e []) 0
  | .lam n t b bi => do
    let t ← unfoldDelayed t
    under n t none bi fun x => do mkLambdaFVars #[x] (← unfoldDelayed (b.instantiate1 x))
  | .mdata d b => return .mdata d (← unfoldDelayed b)
  | _ => return e
where
  each (f : Expr) (args : Array Expr) (i : Nat) : MetaM Expr := do
    if h : i < args.size then each (.app f (← unfoldDelayed args[i])) args (i + 1) else return f
  front (a : Array Expr) (n i : Nat) (acc : Array Expr) : Array Expr :=
    if i < n then front a n (i + 1) (acc.push a[i]!) else acc

unsafe def shownAssignment (g : MVarId) (absent : Json) : MetaM Json := do
  let mctx ← getMCtx
  match mctx.findDecl? g, mctx.getExprAssignmentCore? g with
  | some d, some e => inLocal d.lctx d.localInstances do expression (← unfoldDelayed e)
  | _, _ => return absent

unsafe def shownAssignments (absent : Json) : List MVarId → Array Json → MetaM (Array Json)
  | [], acc => return acc
  | g :: r, acc => do shownAssignments absent r (acc.push (← shownAssignment g absent))

unsafe def goalPrintComplete (sv : Server) (p : Json) : IO Json :=
  withState sv p fun s => do
    let goals ← if flag p "goals" then shownGoals sv s else pure (.ok #[])
    match goals with
    | .error j => return j
    | .ok gs => reply (← runAt s do
      let e ← instantiateMVars (.mvar s.root)
      let root ← if flag p "rootExpr" && (← s.root.isAssigned) then do pure [("root", ← shownAssignment s.root .null)] else pure []
      let parents ← if flag p "parentExprs" then do pure [("parentExprs", .arr (← shownAssignments .null s.parents #[]))] else pure []
      let extra := match field? p "extraMVars" with
        | some (.arr a) => toGoals (strings a 0)
        | _ => []
      return Json.mkObj (cat root (cat parents [("goals", .arr gs), ("extraMVars", .arr (← shownAssignments (Json.mkObj []) extra #[])),
        ("rootHasSorry", .bool e.hasSorry), ("rootHasUnsafe", .bool (anyUnsafe (← getEnv) e.getUsedConstants 0)), ("rootHasMVar", .bool e.hasExprMVar)])))

-- ### Starting

unsafe def setTrail (sv : Server) (reply : Json) (trail : Json) : IO Unit := do
  match nat? reply "stateId" with
  | none => pure ()
  | some i => sv.states.modify fun a => if h : i < a.size then (match a[i] with
    | some s => a.set! i (some { s with trail := trail })
    | none => a) else a

unsafe def goalStartComplete (sv : Server) (p : Json) : IO Json := do
  let forms := chosen p ["expr", "copyFrom", "theorem"]
  let j ← match forms with
    | [("copyFrom", .str name)] =>
      let h ← sv.base.get
      match h.env.find? name.toName with
      | none => pure (failure "index" ("Symbol not found: " ++ name))
      | some c => do
        let r ← runIn { h with levels := names c.levelParams h.levels } "" do
          let (gs, root) ← startFrom c.type 0
          return (gs, root, #[])
        started sv h r []
    | [_] => goalStart sv p
    | _ => pure (failure "arguments" "Exactly one of {expr, copyFrom, theorem} must be supplied")
  setTrail sv j (trailOf "goal.start" (cat forms (chosen p ["levels", "header"])) [])
  return j

-- ### Options

/-- The deadline of what runs now, and whether somebody watches it. -/
structure Watch where
  running : Bool := false
  due : Option (Nat × IO.CancelToken) := none

/-- Looks at the clock until there is no deadline any more. It works beside the elaboration, on one of the other threads. -/
unsafe def watch (w : IO.Ref Watch) : BaseIO Unit := do
  IO.sleep 5
  let now ← IO.monoMsNow
  let due ← w.modifyGet fun s => match s.due with
    | none => (none, { s with running := false })
    | some d => (some d, s)
  match due with
  | none => pure ()
  | some (time, token) =>
    if time ≤ now then token.set
    watch w

unsafe def arm (w : IO.Ref Watch) (ms : Nat) : BaseIO (Option IO.CancelToken) := do
  let token ← IO.CancelToken.new
  let time := (← IO.monoMsNow) + ms
  let running ← w.modifyGet fun s => (s.running, { running := true, due := some (time, token) })
  if !running then
    let _ ← BaseIO.asTask (watch w)
  return some token

unsafe def on (o : Options) (k : Name) (b : Bool) : Options := if b then KVMap.setBool o k true else o

/-- Hands the options to everything that runs from now on. -/
unsafe def useOptions (sv : Server) : IO Unit := do
  let all ← sv.options.get
  let is (k : String) : Bool := isTrue (lookup all k)
  let shows (o : Options) : Options :=
    on (on (on (on (on o `burnqed.noPp (!(is "printExprPretty"))) `burnqed.ast (is "printExprAST")) `burnqed.mvars (is "printDependentMVars"))
      `pp.auxDecls (is "printAuxDecls")) `pp.implementationDetailHyps (is "printImplementationDetailHyps")
  let now : Request ← match lookup all "timeout" with
    | some (.num n) =>
      if n.mantissa.toNat == 0 then pure { shows := shows } else do
        let w ← IO.mkRef ({} : Watch)
        pure { shows := shows, arm := arm w n.mantissa.toNat, disarm := w.modify fun s => { s with due := none } }
    | _ => pure { shows := shows }
  sv.request.set now

/-- What is wrong with a wish for options, if anything is. -/
unsafe def wrongOption (known : Fields) : Fields → Option Json
  | [] => none
  | ("nonce", _) :: r => wrongOption known r
  | (k, v) :: r => match lookup known k, v with
    | none, _ => some (failure "arguments" ("There is no option " ++ k ++ "; options.print shows those there are"))
    | some (.bool _), .bool _ => wrongOption known r
    | some (.bool _), _ => some (failure "command" ("Unable to parse json: Pantograph.Protocol.OptionsSet." ++ k ++ ": Bool expected"))
    | some _, .num n => if n.exponent == 0 && n.mantissa ≥ 0 then wrongOption known r else some (number k)
    | some _, _ => some (number k)
where number (k : String) : Json := failure "command" ("Unable to parse json: Pantograph.Protocol.OptionsSet." ++ k ++ ": Natural number expected")

unsafe def fieldsOf (j : Json) : Fields :=
  match j with
  | .obj kvs => kvs.toList
  | _ => []

unsafe def optionsSet (sv : Server) (p : Json) : IO Json := do
  match wrongOption (← sv.options.get) (fieldsOf p) with
  | some j => return j
  | none =>
    sv.options.modify fun o => setOptions o o p
    useOptions sv
    return Json.mkObj []

/-- Answers a command of this part, or says that it is another's. -/
unsafe def goalCommands (sv : Server) (out : IO.FS.Stream) (cmd : String) (p : Json) : IO (Option Json) := do
  match cmd with
  | "goal.tactics" => return some (← goalTacticsComplete sv p out)
  | "goal.tactic" => return some (← goalTacticComplete sv p)
  | "goal.start" => return some (← goalStartComplete sv p)
  | "goal.print" => return some (← goalPrintComplete sv p)
  | "goal.continue" => return some (← goalContinue sv p)
  | "goal.subsume" => return some (← goalSubsume sv p)
  | "options.set" => return some (← optionsSet sv p)
  | _ => return none
