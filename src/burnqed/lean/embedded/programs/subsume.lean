-- ## Subsumption: a goal that an earlier one solves ----------------------------------------------------

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
