-- ## frontend.distil: a file's sorries as goals ----------------------------------------------------------

/-- A declaration of a file whose value rests on a sorry of its own. -/
structure Target where
  env : Environment -- that has it
  const : ConstantInfo
  made : Array ConstantInfo -- by its command, auxiliary lemmas among them
  tag : Name := .anonymous -- of the goals

/-- Whether a constant of a command reaches a sorry through what that command made. -/
unsafe def ownSorry (made : Array ConstantInfo) (c : ConstantInfo) : Bool :=
  through c.type.getUsedConstants 0 || (match c.value? (allowOpaque := true) with
    | some v => through v.getUsedConstants 0
    | none => false)
where through (a : Array Name) (i : Nat) : Bool :=
  if h : i < a.size then
    if a[i] == ``sorryAx then true
    else match findConstant made a[i] 0 with
      | some d => (d.name != c.name && !d.isUnsafe && ownSorry made d) || through a (i + 1)
      | none => through a (i + 1)
  else false

unsafe def ownTargets (env : Environment) (a : Array ConstantInfo) (i : Nat) (acc : Array ConstantInfo) : Array ConstantInfo :=
  if h : i < a.size then
    let c := a[i]
    let wanted := isUserName env c.name && (match c with
      | .thmInfo _ | .defnInfo _ | .opaqueInfo _ => ownSorry a c
      | _ => false)
    ownTargets env a (i + 1) (if wanted then acc.push c else acc)
  else acc

/-- The declaration that makes a command a target, if there is one. Sorries of earlier commands are not its own. -/
unsafe def targetOf (u : FileUnit) : Option Target :=
  let own (env : Environment) : Option Target :=
    let made := newConstants u.before.env env
    let a := ownTargets env made 0 #[]
    if h : 0 < a.size then some { env := env, const := a[0], made := made } else none
  if isExample u.stx then match exampleOf u with
    | some (env, _) => own env
    | none => none
  else own u.after.env

unsafe def argsOf (e : Expr) : Array Expr :=
  match e with
  | .app f a => (argsOf f).push a
  | _ => #[]

/-- The function applied to its first `k` arguments. -/
unsafe def partOf (e : Expr) (k : Nat) : Expr :=
  match e with
  | .app f _ => if (argsOf e).size ≤ k then e else partOf f k
  | _ => e

unsafe def hereInstances : MetaM LocalInstances := fun c _ => pure c.localInstances

unsafe def assignTo (g : MVarId) (e : Expr) : MetaM Unit := do
  if !(← g.checkedAssign e) then throwError "the sorries do not fit their declaration"

@[noinline] unsafe def withFVar (n : Name) (d : Expr) (v : Option Expr) (bi : BinderInfo) (k : Expr → MetaM Expr) : MetaM Expr := do
  let id ← mkFreshFVarId
  let lctx ← getLCtx
  let lctx := match v with
    | some v => lctx.mkLetDecl id n d v
    | none => lctx.mkLocalDecl id n d bi
  let insts ← hereInstances
  let insts ← match ← isClass? d with
    | some c => pure (insts.push { className := c, fvar := .fvar id })
    | none => pure insts
  inLocal lctx insts (k (.fvar id))
/-- A sorry that remembers its place is a function of that place's name. -/
unsafe def labelled (type : Expr) : Bool :=
  match type with
  | .forallE _ (.const n _) _ _ => n == ``Lean.Name
  | _ => false
unsafe def newGoal (t : Target) (out : IO.Ref (List MVarId)) (e : Expr) : MetaM Expr := do
  let g ← mkFreshExprSyntheticOpaqueMVar (← instantiateMVars (← inferType e)) t.tag
  out.modify fun l => g.mvarId! :: l
  return g
/-- The value of an auxiliary lemma of this declaration that holds a sorry. -/
unsafe def opened (t : Target) (n : Name) (us : List Level) : Option Expr :=
  match findConstant t.made n 0 with
  | some (.thmInfo v) =>
    if !(isUserName t.env n) && ownSorry t.made (.thmInfo v)
    then some (v.value.instantiateLevelParams v.levelParams us) else none
  | _ => none

mutual
/-- Replaces what stands for a sorry by a new goal each; `out` collects them, the last one first. Auxiliary lemmas that hold a sorry are
put back where they are used. -/
unsafe def openSorries (t : Target) (out : IO.Ref (List MVarId)) (e : Expr) : MetaM Expr := do
  match e with
  | .lam n d b bi =>
    let d ← openSorries t out d
    withFVar n d none bi fun x => do
      let b ← openSorries t out (b.instantiate1 x)
      mkLambdaFVars #[x] b
  | .forallE n d b bi =>
    let d ← openSorries t out d
    withFVar n d none bi fun x => do
      let b ← openSorries t out (b.instantiate1 x)
      mkForallFVars #[x] b
  | .letE n d v b _ =>
    let d ← openSorries t out d
    let v ← openSorries t out v
    withFVar n d (some v) .default fun x => do
      let b ← openSorries t out (b.instantiate1 x)
      mkLetFVars #[x] b (usedLetOnly := false)
  | .mdata m b => return .mdata m (← openSorries t out b)
  | .proj s i b => return .proj s i (← openSorries t out b)
  | .app .. => match e.getAppFn with
    | .const n us =>
      if n == ``sorryAx then
        let k := if labelled ((argsOf e)[0]!) then 3 else 2
        openArgs t out (← newGoal t out (partOf e k)) (argsOf e) k
      else match opened t n us with
        | some v => openSorries t out (v.beta (argsOf e))
        | none => openArgs t out (.const n us) (argsOf e) 0
    | f => do openArgs t out (← openSorries t out f) (argsOf e) 0
  | .const n us => match opened t n us with
    | some v => openSorries t out v
    | none => return e
  | _ => return e
unsafe def openArgs (t : Target) (out : IO.Ref (List MVarId)) (f : Expr) (a : Array Expr) (i : Nat) : MetaM Expr := do
  if h : i < a.size then openArgs t out (.app f (← openSorries t out a[i])) a (i + 1) else return f
end

unsafe def lastName (n : Name) : Name :=
  match userName n with
  | .str _ s => .mkSimple s
  | _ => `x

unsafe def usesAny (a : Array Name) (wanted : NameSet) (i : Nat) : Bool :=
  if h : i < a.size then (if wanted.contains a[i] then true else usesAny a wanted (i + 1)) else false

unsafe def dependsOn (made : Array ConstantInfo) (wanted : NameSet) (i : Nat) : Bool :=
  if h : i < made.size then
    let c := made[i]
    let inValue := match c.value? (allowOpaque := true) with
      | some v => usesAny v.getUsedConstants wanted 0
      | none => false
    if usesAny c.type.getUsedConstants wanted 0 || inValue then true else dependsOn made wanted (i + 1)
  else false

unsafe def allMade (u : FileUnit) : Array ConstantInfo :=
  let made := newConstants u.before.env u.after.env
  match (if isExample u.stx then exampleOf u else none) with
  | some (_, c) => made.push c
  | none => made

unsafe def addNames (a : Array ConstantInfo) (i : Nat) (s : NameSet) : NameSet :=
  if h : i < a.size then addNames a (i + 1) (s.insert a[i].name) else s

/-- The later commands that rest on a target, and the last command among them. -/
unsafe def companions (us : Array FileUnit) (i : Nat) (taken : NameSet) (acc : Array Nat) : Array Nat :=
  if h : i < us.size then
    let made := allMade us[i]
    if dependsOn made taken 0 then companions us (i + 1) (addNames made 0 taken) (acc.push i) else companions us (i + 1) taken acc
  else acc

unsafe def hasNat (a : Array Nat) (n i : Nat) : Bool :=
  if h : i < a.size then (if a[i] == n then true else hasNat a n (i + 1)) else false

/-- Runs a command that was parsed already on another state. -/
unsafe def pushCommand (r : FileRun) (stx : Syntax) (st : Command.State) : IO Command.State := do
  let ref ← IO.mkRef { st with messages := {} }
  let ctx : Command.Context := { fileName := sourceName, fileMap := FileMap.ofString r.text, snap? := none, cancelTk? := none }
  let e : EIO Exception Unit := Command.elabCommandTopLevel stx ctx ref
  let _ ← e.toBaseIO
  ref.get

unsafe def pushBetween (r : FileRun) (i stop : Nat) (without : Array Nat) (st : Command.State) : IO Command.State := do
  if h : i < r.units.size then
    if i < stop then
      if hasNat without i 0 then pushBetween r (i + 1) stop without st else pushBetween r (i + 1) stop without (← pushCommand r r.units[i].stx st)
    else return st
  else return st

/-- What is said by a companion of the target, with the target itself abstracted as `x`. -/
unsafe def abstracted (head : Name) (x e : Expr) : Expr :=
  e.replace fun s => match s with
    | .const n _ => if n == head then some x else none
    | _ => none

unsafe def userTheorem (u : FileUnit) (a : Array ConstantInfo) (i : Nat) : Option ConstantInfo :=
  if h : i < a.size then
    let wanted := isUserName u.after.env a[i].name && (match a[i] with
      | .thmInfo _ => true
      | .defnInfo _ => true
      | .opaqueInfo _ => true
      | _ => false)
    if wanted then some a[i] else userTheorem u a (i + 1)
  else none

unsafe def companionTerms (us : Array FileUnit) (js : Array Nat) (i : Nat) (acc : Array ConstantInfo) : Array ConstantInfo :=
  if h : i < js.size then
    if h' : js[i] < us.size then
      match userTheorem us[js[i]] (allMade us[js[i]]) 0 with
      | some c => companionTerms us js (i + 1) (acc.push c)
      | none => companionTerms us js (i + 1) acc
    else acc
  else acc

unsafe def conjunction (head : Name) (x : Expr) (cs : Array ConstantInfo) (i : Nat) : MetaM Expr := do
  if h : i < cs.size then
    let a := abstracted head x cs[i].type
    if !(← isProp a) then throwError "{nameStr cs[i].name} rests on the sorry in {nameStr head} and is no proposition"
    if i + 1 == cs.size then return a
    return mkApp2 (.const ``And []) a (← conjunction head x cs (i + 1))
  else return .const ``True []

unsafe def conjunctionProof (head : Name) (x : Expr) (cs : Array ConstantInfo) (i : Nat) : MetaM Expr := do
  if h : i < cs.size then
    let v := abstracted head x ((cs[i].value? (allowOpaque := true)).getD (.const ``True.intro []))
    if i + 1 == cs.size then return v
    let rest ← conjunctionProof head x cs (i + 1)
    let a := abstracted head x cs[i].type
    return mkApp4 (.const ``And.intro []) a (← conjunction head x cs (i + 1)) v rest
  else return .const ``True.intro []

unsafe def backwards : List MVarId → List MVarId → List MVarId
  | [], acc => acc
  | g :: r, acc => backwards r (g :: acc)

unsafe def anyValue (cs : Array ConstantInfo) (i : Nat) : Bool :=
  if h : i < cs.size then
    match cs[i].value? (allowOpaque := true) with
    | some v => if isBareSorry v then anyValue cs (i + 1) else true
    | none => anyValue cs (i + 1)
  else false
where isBareSorry : Expr → Bool
  | .lam _ _ b _ => isBareSorry b
  | e => e.isAppOf ``sorryAx

unsafe def openAll (t : Target) (e : Expr) : MetaM (Expr × List MVarId) := do
  let out ← IO.mkRef ([] : List MVarId)
  let v ← openSorries t out e
  return (v, ← out.get)

/-- The goals of a target: its statement, or with `values` what its sorries leave open; with companions, both as one subtype. -/
unsafe def distilled (t : Target) (cs : Array ConstantInfo) (binder : Name) (values : Bool) : TermElabM (List MVarId × MVarId) := do
  let head := t.const.name
  let value := (t.const.value? (allowOpaque := true)).getD (.const ``True.intro [])
  let type := t.const.type
  if cs.size == 0 then
    let root ← mkFreshExprSyntheticOpaqueMVar type
    if !values then return ([root.mvarId!], root.mvarId!)
    let (v, gs) ← openAll t value
    check v
    assignTo root.mvarId! v
    return (gs, root.mvarId!)
  let pred ← withFVar binder type none .default fun x => do mkLambdaFVars #[x] (← conjunction head x cs 0)
  let u ← getLevel type
  let root ← mkFreshExprSyntheticOpaqueMVar (mkApp2 (.const ``Subtype [u]) type pred)
  if !values || !(anyValue (cs.push t.const) 0) then return ([root.mvarId!], root.mvarId!)
  let (v, first) ← match ← openAll t value with
    | (_, [_]) => openAll { t with tag := binder } value -- one goal bears the name
    | r => pure r
  let rest ← IO.mkRef ([] : List MVarId)
  let proof ← openSorries t rest (← conjunctionProof head v cs 0)
  let e := mkApp4 (.const ``Subtype.mk [u]) type pred v proof
  check e
  assignTo root.mvarId! e
  return (join first (backwards (← rest.get) []), root.mvarId!)

unsafe def appended (a b : Array Nat) (i : Nat) : Array Nat :=
  if h : i < a.size then appended a (b.push a[i]) (i + 1) else b

unsafe def lastOf (a : Array Nat) (i : Nat) (last : Nat) : Nat :=
  if h : i < a.size then lastOf a (i + 1) a[i] else last

unsafe def upTo (k stop : Nat) (acc : Array Nat) : Array Nat := if k < stop then upTo (k + 1) stop (acc.push k) else acc

/-- The state for a target in the environment that `st` holds, with its goals. -/
unsafe def distilOne (r : FileRun) (p : Json) (t : Target) (u : FileUnit) (js : Array Nat) (st : Command.State) : BaseIO (Except Json (GoalState × Array Json)) := do
  let cs := companionTerms r.units js 0 #[]
  let scope := headerOf st
  let h := { scope with levels := names t.const.levelParams scope.levels, request := r.base.request }
  let binder := match str? p "binderName" with
    | some s => s.toName
    | none => lastName t.const.name
  let values := match field? p "ignoreValues" with
    | some (.bool b) => !b
    | _ => false
  let ran ← run h "" 0 { env := h.env, nextMacroScope := u.after.nextMacroScope + 1 } {} { levelNames := h.levels } do
    let (gs, root) ← distilled t cs binder values
    return (gs, root, ← goalsJson gs #[])
  match ran.result with
  | .error e => return .error (failure "frontend" (← exceptionText e))
  | .ok (gs, root, goals) =>
    return .ok ({ header := h, core := { ran.core with messages := {}, infoState := {} }, metas := ran.metas, term := ran.term, goals := gs, root := root }, goals)

unsafe def distilFrom (sv : Server) (r : FileRun) (p : Json) (i : Nat) (seen : Array Nat) (st : Command.State) (acc : Array Json) : IO (Except Json (Array Json)) := do
  if h : i < r.units.size then
    let u := r.units[i]
    if hasNat seen i 0 then distilFrom sv r p (i + 1) seen st acc else
    match targetOf u with
    | none =>
      let st ← pushCommand r u.stx st
      distilFrom sv r p (i + 1) seen st acc
    | some t =>
      let js := companions r.units (i + 1) (addNames (allMade u) 0 {}) #[]
      let seen := appended js (seen.push i) 0
      let stop := lastOf js 0 i
      let st ← pushBetween r (i + 1) stop seen st
      match ← distilOne r p t u js st with
      | .error j => return .error j
      | .ok (s, goals) =>
        let trail := (trailOf "frontend.distil" (chosen p ["file", "binderName", "ignoreValues"]) []).setObjVal! "index" (num acc.size)
        let id ← remember sv { s with trail := trail }
        distilFrom sv r p (i + 1) (upTo (i + 1) stop seen) st (acc.push (Json.mkObj [("stateId", num id), ("goals", .arr goals)]))
  else return .ok acc

unsafe def firstErrorOf (us : Array FileUnit) (i : Nat) : BaseIO String := do
  if h : i < us.size then (if us[i].after.messages.hasErrors then firstError us[i].after.messages.toList else firstErrorOf us (i + 1)) else return ""

unsafe def frontendDistil (sv : Server) (p : Json) : IO Json := do
  match str? p "file" with
  | none => return failure "command" "Unable to parse json: Pantograph.Protocol.FrontendDistil.file: String expected"
  | some text => match ← runFile sv text false with
    | .error j => return j
    | .ok r =>
      if anyErrors r.units 0 then return failure "io" (← firstErrorOf r.units 0)
      match ← distilFrom sv r p 0 #[] (commandState r.base) #[] with
      | .error j => return j
      | .ok ts => return Json.mkObj [("targets", .arr ts)]

/-- Answers a command about files, or says that it is another part's. -/
unsafe def fileCommands (sv : Server) (files : Files) (cmd : String) (p : Json) : IO (Option Json) := do
  match cmd with
  | "frontend.process" => return some (← frontendProcess sv p)
  | "frontend.distil" => return some (← frontendDistil sv p)
  | "frontend.track" => return some (← frontendTrack sv p)
  | "frontend.refactor" => return some (failure "frontend" "frontend.refactor is not available in the embedded server; frontend.distil makes the same statements as goals")
  | "file.check" => return some (← fileCheck sv p)
  | "file.holes" => return some (← fileHoles sv files p)
  | "goal.start" => match field? p "hole" with
    | some _ => return some (← startHole sv files p)
    | none => return none
  | "goal.text" => return some (← goalText sv p)
  | _ => return none
