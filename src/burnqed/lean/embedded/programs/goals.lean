-- ## Goals --------------------------------------------------------------------------------------------

unsafe def inLocal (lctx : LocalContext) (insts : LocalInstances) (x : MetaM α) : MetaM α :=
  fun c s => x { c with lctx := lctx, localInstances := insts } s

/-- The variables of a goal; also all of them as its key sees them, and whether a metavariable occurs in their types. -/
unsafe def variables (lctx : LocalContext) (ids : Array FVarId) (i : Nat) (acc : Array Json) (hs : Array Hyp) (open? : Bool) : MetaM (Array Json × Array Hyp × Bool) := do
  if h : i < ids.size then
    match lctx.find? ids[i] with
    | none => variables lctx ids (i + 1) acc hs open?
    | some d =>
      if d.isAuxDecl && !(← shows `pp.auxDecls) then variables lctx ids (i + 1) acc hs open? else
      let ty ← instantiateMVars d.type
      let value ← match d.value? with
        | some v => do pure (some (← instantiateMVars v))
        | none => pure none
      let hs := hs.push { var := d.toExpr, type := ty, value := value, hidden := d.userName.isInaccessibleUserName }
      let open? := open? || ty.hasExprMVar || (match value with | some v => v.hasExprMVar | none => false)
      if d.isImplementationDetail && !(← shows `pp.implementationDetailHyps) then variables lctx ids (i + 1) acc hs open? else
      let base := [("name", Json.str (nameStr d.fvarId.name)), ("userName", Json.str (nameStr d.userName)),
        ("isInaccessible", Json.bool d.userName.isInaccessibleUserName), ("type", ← expression ty)]
      let obj ← match value with
        | some v => do pure (cat base [("value", ← expression v)])
        | none => pure base
      variables lctx ids (i + 1) (acc.push (Json.mkObj obj)) hs open?
  else return (acc, hs, open?)

unsafe def bump : List (Name × Nat) → Name → List (Name × Nat) × Nat
  | [], n => ([(n, 1)], 0)
  | (m, k) :: r, n => if m == n then ((m, k + 1) :: r, k) else
    let (r, k') := bump r n
    ((m, k) :: r, k')

/-- Shadowed and macro-made names get a dagger, newest first, as Lean's own printer does it (its function cannot be called here). -/
unsafe def sanitize (ids : Array FVarId) (i : Nat) (seen : NameSet) (used : List (Name × Nat)) (lctx : LocalContext) : LocalContext :=
  match i with
  | 0 => lctx
  | i + 1 =>
    match lctx.find? ids[i]! with
    | none => sanitize ids i seen used lctx
    | some d =>
      if d.userName.hasMacroScopes || seen.contains d.userName then
        let stem := d.userName.eraseMacroScopes
        let (used, k) := bump used stem
        let shown := stem.appendAfter (if k == 0 then "✝" else "✝" ++ k.toSuperscriptString)
        sanitize ids i (seen.insert d.userName) used (lctx.setUserName d.fvarId shown)
      else sanitize ids i (seen.insert d.userName) used lctx

/-- A goal as Pantograph shows it, and `key`, see `goalKey`; it is absent when a metavariable ties the goal to others. -/
unsafe def goalJson (g : MVarId) : MetaM Json := do
  match (← getMCtx).findDecl? g with
  | none => throwError "unknown goal"
  | some d =>
  let ids := d.lctx.getFVarIds
  let lctx := sanitize ids ids.size {} [] d.lctx
  inLocal lctx d.localInstances do
    let (vars, hs, open?) ← variables lctx ids 0 #[] #[] false
    let type ← instantiateMVars d.type
    let target ← expression type
    let key := if open? || type.hasExprMVar then [] else [("key", Json.str (toString (goalKey hs type).toNat))]
    let user := match d.userName with
      | .anonymous => []
      | n => [("userName", Json.str (nameStr n))]
    return Json.mkObj (("name", Json.str (nameStr g.name)) :: ("fragment", .str "tactic") :: ("target", target) :: ("vars", .arr vars) :: cat user key)

unsafe def join : List MVarId → List MVarId → List MVarId
  | [], b => b
  | g :: a, b => g :: join a b

unsafe def eachGoal : List MVarId → Array Json → MetaM (Array Json)
  | [], acc => pure acc
  | g :: r, acc => do eachGoal r (acc.push (← goalJson g))

unsafe def numbered (js : Array Json) (groups : Array Nat) (i : Nat) (acc : Array Json) : Array Json :=
  if h : i < js.size then numbered js groups (i + 1) (acc.push (js[i].setObjVal! "group" (num groups[i]!))) else acc

/-- The goals; where there are several, each says by `group` which ones it hangs together with. -/
unsafe def goalsJson (gs : List MVarId) (acc : Array Json) : MetaM (Array Json) := do
  let js ← eachGoal gs acc
  if js.size < 2 then return js
  return numbered js (← goalGroups gs) 0 #[]

unsafe def solvedHasSorry : List MVarId → MetaM Bool
  | [] => pure false
  | g :: r => do
    if ← g.isAssigned then
      let e ← instantiateMVars (.mvar g)
      if e.hasSorry then return true
    solvedHasSorry r

unsafe def anyUnsafe (env : Environment) (a : Array Name) (i : Nat) : Bool :=
  if h : i < a.size then
    match env.find? a[i] with
    | some c => if c.isUnsafe then true else anyUnsafe env a (i + 1)
    | none => anyUnsafe env a (i + 1)
  else false

unsafe def solvedHasUnsafe (env : Environment) : List MVarId → MetaM Bool
  | [] => pure false
  | g :: r => do
    if ← g.isAssigned then
      let e ← instantiateMVars (.mvar g)
      if anyUnsafe env e.getUsedConstants 0 then return true
    solvedHasUnsafe env r
