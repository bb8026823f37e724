-- ## Saving and loading, by replay ---------------------------------------------------------------------

/-- Why the server itself neither reads nor writes files. -/
unsafe def noFiles (cmd : String) : Json :=
  failure "io" (cmd ++ ": the embedded Lean has no files; burnqed's client and `burnqed lean serve` keep them for it")

-- ### Environments

unsafe def changesOf (a : Array (Header × Json)) (i : Nat) (acc : Array Json) : Array Json :=
  if h : i < a.size then changesOf a (i + 1) (acc.push a[i].2) else acc

/-- Makes a change again through `answer`. -/
unsafe def redo (sv : Server) (answer : String → Json → IO Json) (changes : Array Json) (i : Nat) : IO (Option Json) := do
  if h : i < changes.size then
    match str? changes[i] "cmd", field? changes[i] "payload" with
    | some cmd, some payload =>
      let before := (← sv.changes.get).size
      let j ← answer cmd payload
      match field? j "error" with
      | some _ => return some j
      | none =>
        if (← sv.changes.get).size != before + 1 then return some (failure "arguments" ("the trail holds " ++ cmd ++ ", which changes no environment"))
        redo sv answer changes (i + 1)
    | _, _ => return some (failure "arguments" "the trail is not one that env.save made")
  else return none

/-- Back to the environment of the start, then all the changes of the trail; when one fails, all is as it was. -/
unsafe def envLoad (sv : Server) (answer : String → Json → IO Json) (trail : Array Json) : IO Json := do
  let base ← sv.base.get
  let changes ← sv.changes.get
  let start := match changes[0]? with
    | some (h, _) => h
    | none => base
  sv.base.set start
  sv.changes.set #[]
  sv.headers.set #[]
  match ← redo sv answer trail 0 with
  | none => return Json.mkObj []
  | some j =>
    sv.base.set base
    sv.changes.set changes
    sv.headers.set #[]
    return j

-- ### States

/-- A trail as a list, each entry after those it was made from; `none` when a state does not know where it is from. -/
unsafe def flatten (t : Json) (acc : Array Json) : Option (Array Json) :=
  match str? t "cmd", field? t "payload", field? t "from" with
  | some _, some _, some (.arr sources) => match each sources 0 acc #[] with
    | some (acc, places) => some (acc.push (t.setObjVal! "from" (.arr places)))
    | none => none
  | _, _, _ => none
where each (sources : Array Json) (i : Nat) (acc : Array Json) (places : Array Json) : Option (Array Json × Array Json) :=
  if h : i < sources.size then
    match flatten sources[i] acc with
    | some acc => each sources (i + 1) acc (places.push (num (acc.size - 1)))
    | none => none
  else some (acc, places)

unsafe def place (ids : Array Nat) (from? : Array Json) (i : Nat) : Option Nat :=
  match from?[i]? with
  | some (.num n) => ids[n.mantissa.toNat]?
  | _ => none

/-- The payload of an entry, with the numbers that the states before it have here. -/
unsafe def renumbered (cmd : String) (payload : Json) (ids : Array Nat) (sources : Array Json) : Json :=
  let first := if cmd == "goal.continue" then "target" else "stateId"
  let payload := match place ids sources 0 with
    | some i => payload.setObjVal! first (num i)
    | none => payload
  match place ids sources 1 with
  | some i => payload.setObjVal! "srcStateId" (num i)
  | none => payload

/-- The number of the state that a reply tells of; of several targets, the one with that index. -/
unsafe def madeState (reply : Json) (index : Option Nat) : Option Nat :=
  match nat? reply "nextStateId", nat? reply "stateId", field? reply "targets" with
  | some i, _, _ => some i
  | _, some i, _ => some i
  | _, _, some (.arr a) => match a[index.getD 0]? with
    | some t => nat? t "stateId"
    | none => none
  | _, _, _ => none

unsafe def retrace (answer : String → Json → IO Json) (trail : Array Json) (i : Nat) (ids : Array Nat) : IO (Except Json Nat) := do
  if h : i < trail.size then
    match str? trail[i] "cmd", field? trail[i] "payload", field? trail[i] "from" with
    | some cmd, some payload, some (.arr sources) =>
      let j ← answer cmd (renumbered cmd payload ids sources)
      match field? j "error", madeState j (nat? trail[i] "index") with
      | some _, _ => return .error j
      | none, some n => retrace answer trail (i + 1) (ids.push n)
      | none, none => return .error (failure "operation" ("the state cannot be made again here: step " ++ toString (i + 1) ++ " of its trail, " ++ cmd ++ ", gives no state: " ++ j.compress))
    | _, _, _ => return .error (failure "arguments" "the trail is not one that goal.save made")
  else match ids[ids.size - 1]? with
    | some n => return .ok n
    | none => return .error (failure "arguments" "the trail is empty")

unsafe def firstStates (a : Array (Option GoalState)) (n i : Nat) (acc : Array (Option GoalState)) : Array (Option GoalState) :=
  if h : i < a.size then (if i < n then firstStates a n (i + 1) (acc.push a[i]) else acc) else acc

/-- Makes a state again, and forgets the states on the way to it. -/
unsafe def goalLoad (sv : Server) (answer : String → Json → IO Json) (trail : Array Json) : IO Json := do
  let before := (← sv.states.get).size
  let r ← retrace answer trail 0 #[]
  let made ← match r with
    | .ok n => stateAt sv n
    | .error _ => pure none
  sv.states.modify fun a => firstStates a before 0 #[]
  match r, made with
  | .error j, _ => return j
  | .ok _, some s => return Json.mkObj [("id", num (← remember sv s))]
  | .ok _, none => return failure "operation" "the state was not made again"

unsafe def goalSave (sv : Server) (p : Json) : IO Json := do
  match nat? p "id" with
  | none => return failure "command" "Unable to parse json: Pantograph.Protocol.GoalSave.id: Natural number expected"
  | some i => match ← stateAt sv i with
    | none => return failure "index" ("Invalid state index " ++ toString i)
    | some s => match flatten s.trail #[] with
      | some a => return Json.mkObj [("trail", .arr a)]
      | none => return failure "operation" ("State " ++ toString i ++ " cannot be saved: it does not know how it was made")

-- ### The catalog, with what was added here

unsafe def ownSymbols (env : Environment) (a : Array ConstantInfo) (i : Nat) (acc : Array Json) : Array Json :=
  if h : i < a.size then
    let c := a[i]
    ownSymbols env a (i + 1) (if c.isUnsafe || c.name.isInternal then acc else acc.push (.str (kindLetter env c.name c ++ nameText true c.name)))
  else acc

unsafe def wholeCatalog (sv : Server) (p : Json) : IO Json := do
  let env := (← sv.base.get).env
  let j ← envCatalog sv (p.setObjVal! "invertFilter" (.bool (flag p "invertFilter")))
  -- A constant that is from no module stands outside every prefix.
  if (field? p "modulePrefix").isSome && !(flag p "invertFilter") then return j
  match field? j "symbols", (← sv.changes.get)[0]? with
  | some (.arr a), some (start, _) => return j.setObjVal! "symbols" (.arr (ownSymbols env (newConstants start.env env) 0 a))
  | _, _ => return j

/-- Answers a command of this part with the help of all the others (`answer`), or says that it is another's. -/
unsafe def saveCommands (sv : Server) (answer : String → Json → IO Json) (cmd : String) (p : Json) : IO (Option Json) := do
  match cmd, field? p "path", field? p "trail" with
  | "goal.save", none, _ => return some (← goalSave sv p)
  | "env.save", none, _ => return some (Json.mkObj [("trail", .arr (changesOf (← sv.changes.get) 0 #[]))])
  | "goal.load", none, some (.arr a) => return some (← goalLoad sv answer a)
  | "env.load", none, some (.arr a) => return some (← envLoad sv answer a)
  | "goal.save", some _, _ | "goal.load", some _, _ | "env.save", some _, _ | "env.load", some _, _ => return some (noFiles cmd)
  | "goal.load", none, _ | "env.load", none, _ => return some (failure "arguments" (cmd ++ " takes the trail that " ++ (if cmd == "goal.load" then "goal" else "env") ++ ".save gave"))
  | "env.catalog", _, _ => match field? p "filename" with
    | some _ => return some (noFiles cmd)
    | none => return some (← wholeCatalog sv p)
  | _, _, _ => return none
