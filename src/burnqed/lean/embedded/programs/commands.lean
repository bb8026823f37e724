-- ## Commands -----------------------------------------------------------------------------------------

unsafe def thrown (e : Exception) : BaseIO Json := do
  if e.isInterrupt then return failure "io" "interrupt"
  return failure "expr" (← exceptionText e)

unsafe def reply (r : Ran Json) : BaseIO Json := do
  match r.result with
  | .ok j => return j
  | .error e => thrown e

unsafe def findHeader (text : String) (base : Header) (a : Array Header) (i : Nat) : Option Header :=
  if h : i < a.size then (if a[i].text == text && sameImports a[i] base then some a[i] else findHeader text base a (i + 1)) else none

/-- The environment and scope after a header's commands on `base`. Headers are elaborated once and kept. -/
unsafe def openHeaderOn (sv : Server) (base : Header) (text : String) : IO (Except Json Header) := do
  match findHeader text base (← sv.headers.get) 0 with
  | some h => return .ok h
  | none =>
    let s ← IO.processCommands (inputContext text "<header>") {} (commandState base)
    let st := s.commandState
    if st.messages.hasErrors then return .error (failure "frontend" (← firstError st.messages.toList))
    match st.scopes with
    | [] => return .error (failure "frontend" "the header closes its own scope")
    | sc :: _ =>
      let h : Header := { base with text := text, env := st.env, opts := sc.opts, ns := sc.currNamespace, opens := sc.openDecls, levels := sc.levelNames }
      sv.headers.modify fun a => a.push h
      return .ok h

unsafe def openHeader (sv : Server) (text : String) : IO (Except Json Header) := do
  openHeaderOn sv (← sv.base.get) text

/-- What a request stands on, and what its header makes of that. -/
unsafe def headerOfRequest (sv : Server) (p : Json) : IO (Except Json (Header × Header)) := do
  match ← groundOf sv p with
  | .error j => return .error j
  | .ok base => match str? p "header" with
    | none => return .ok (base, base)
    | some t => match ← openHeaderOn sv base t with
      | .error j => return .error j
      | .ok h => return .ok (base, h)

/-- Whether a source is one theorem and nothing else, but for a limit that is set for it. -/
unsafe def isOneTheorem (stx : Syntax) : Bool :=
  let k := stx.getKind
  if k == ``Parser.Command.in then stx[0].getKind == ``Parser.Command.set_option && stx[0][1].getId == `maxHeartbeats && isOneTheorem stx[2]
  else k == ``Parser.Command.declaration && stx[1].getKind == ``Parser.Command.theorem

unsafe def refused (reason : String) : Json := (no reason).setObjVal! "messages" (.arr #[])

/-- `theorem.check`: the gate's question, meant for a process that has answered nothing before. -/
unsafe def theoremCheck (sv : Server) (p : Json) : IO Json := do
  match str? p "header", str? p "theorem", str? p "source" with
  | some header, some statement, some source =>
    match ← headerOfRequest sv p with
    | .error j => return j
    | .ok (base, h) =>
      match parseAll h (Parser.categoryParserFn `command) statement with
      | .error e => return failure "parse" e
      | .ok stx => match theoremParts stx with
        | .error e => return failure "arguments" e
        | .ok (name, binders, type) =>
          let r ← runIn { h with levels := names (universeNames stx) h.levels } statement (elabStatement (closedSyntax binders type))
          match r.result with
          | .error e => return failure "expr" (← exceptionText e)
          | .ok e =>
            if r.core.messages.hasErrors then return failure "expr" (← firstError r.core.messages.toList)
            match parseAll h (Parser.categoryParserFn `command) source with
            | .error e => return refused ("the source is not one theorem: " ++ e)
            | .ok src =>
            if !(isOneTheorem src) then return refused "the source is not one theorem"
            if runsCode source src then return refused "the source names something unsafe"
            let s ← IO.processCommands (inputContext (header ++ "\n" ++ source) sourceName) {} (commandState base)
            let st := s.commandState
            let ms ← serialized st.messages.toList #[]
            let judged ← if st.messages.hasErrors
              then do pure (no (← firstError st.messages.toList))
              else pure (judge h st (h.ns ++ name) e)
            return judged.setObjVal! "messages" (.arr ms)
  | _, _, _ => return failure "arguments" "theorem.check takes header, theorem and source"

unsafe def remember (sv : Server) (s : GoalState) : IO Nat := do
  let a ← sv.states.get
  sv.states.set (a.push (some { s with header := { s.header with request := some sv.request } }))
  return a.size

unsafe def withState (sv : Server) (p : Json) (k : GoalState → IO Json) : IO Json := do
  match nat? p "stateId" with
  | none => return failure "command" "Unable to parse json: stateId: Natural number expected"
  | some i =>
    let a ← sv.states.get
    match (if h : i < a.size then a[i] else none) with
    | some s => k s
    | none => return failure "index" ("Invalid state index " ++ toString i)

/-- The state, its root and its goals, after `goal.start`. -/
unsafe def started (sv : Server) (h : Header) (r : Ran (List MVarId × MVarId × Array Json)) (extra : List (String × Json)) : IO Json := do
  match r.result with
  | .error e => thrown e
  | .ok (gs, root, js) =>
    if r.core.messages.hasErrors then return failure "expr" (← firstError r.core.messages.toList)
    let core := { r.core with messages := {}, infoState := {} }
    let i ← remember sv { header := h, core := core, metas := r.metas, term := r.term, goals := gs, root := root }
    let shown : Fields := match extra with
      | [] => []
      | extra => ("goals", Json.arr js) :: extra
    return Json.mkObj (("stateId", num i) :: ("root", .str (nameStr root.name)) :: shown)

unsafe def goalStart (sv : Server) (p : Json) : IO Json := do
  match ← headerOfRequest sv p with
  | .error j => return j
  | .ok (_, h) =>
    let levels := match field? p "levels" with
      | some (.arr a) => toNames (strings a 0)
      | _ => []
    match str? p "expr", str? p "theorem" with
    | some src, none =>
      match parseAll h (Parser.categoryParserFn `term) src with
      | .error e => return failure "parse" e
      | .ok stx =>
        let r ← runIn { h with levels := names levels h.levels } src do
          let e ← elabStatement stx
          let (gs, root) ← startFrom e 0
          return (gs, root, #[])
        started sv h r []
    | none, some src =>
      match parseAll h (Parser.categoryParserFn `command) src with
      | .error e => return failure "parse" e
      | .ok stx =>
        match theoremParts stx with
        | .error e => return failure "arguments" e
        | .ok (name, binders, type) =>
          let r ← runIn { h with levels := names (universeNames stx) h.levels } src do
            let e ← elabStatement (closedSyntax binders type)
            let (gs, root) ← startFrom e (binderCount binders 0)
            return (gs, root, ← goalsJson gs #[])
          started sv h r [("name", .str (nameStr name))]
    | _, _ => return failure "arguments" "Exactly one of {expr, theorem} must be supplied"

/-- The goal of that name, and the others in their order. -/
unsafe def pick (id : String) : List MVarId → Option (MVarId × List MVarId)
  | [] => none
  | g :: r => if nameStr g.name == id then some (g, r) else
    match pick id r with
    | some (found, others) => some (found, g :: others)
    | none => none

unsafe def limitOf (sv : Server) (p : Json) : IO Nat := do
  match nat? p "maxHeartbeats" with
  | some n => return n
  | none => match lookup (← sv.options.get) "maxHeartbeats" with
    | some (.num n) => return n.mantissa.toNat
    | _ => return 200000

unsafe def goalTactic (sv : Server) (p : Json) : IO Json :=
  withState sv p fun s => do
    match str? p "tactic" with
    | none => return failure "arguments" "Exactly one of {tactic} must be supplied; the embedded server runs tactic text"
    | some src =>
      let seen := match str? p "goalId" with
        | some id => match pick id s.goals with
          | some (g, r) => g :: r
          | none => []
        | none => s.goals
      match field? p "goalId", seen with
      | some _, [] => return failure "index" "Invalid goal index"
      | _, _ =>
        let r ← step s seen src (← limitOf sv p) false
        match r.next with
        | none => return Json.mkObj r.json
        | some n => return Json.mkObj (("nextStateId", num (← remember sv n)) :: r.json)

/-- Applies many tactics to one state. When a batch takes long, what is done so far goes out as `{"partial": […]}` before the next
tactic starts, so that a tactic which never returns loses nothing but itself. -/
unsafe def batch (sv : Server) (p : Json) (apply : String → BaseIO Step) (out : IO.FS.Stream) : List String → Nat → Array Json → IO (Array Json)
  | [], _, acc => pure acc
  | src :: more, since, acc => do
    let t0 ← IO.monoNanosNow
    let r ← apply src
    let next ← match r.next with
      | none => pure []
      | some n => do pure [("nextStateId", num (← remember sv n))]
    let t1 ← IO.monoNanosNow
    let acc := acc.push (Json.mkObj (cat next (("micros", num ((t1 - t0) / 1000)) :: r.json)))
    if t1 - since > 200000000 then
      out.putStrLn (signed p (Json.mkObj [("partial", .arr acc)])).compress
      out.flush
      batch sv p apply out more t1 #[]
    else batch sv p apply out more since acc

unsafe def goalTactics (sv : Server) (p : Json) (out : IO.FS.Stream) : IO Json :=
  withState sv p fun s => do
    match field? p "tactics" with
    | some (.arr a) =>
      let limit ← limitOf sv p
      let rs ← batch sv p (fun src => step s s.goals src limit (!(flag p "errors"))) out (strings a 0) (← IO.monoNanosNow) #[]
      return Json.mkObj [("outcomes", .arr rs)]
    | _ => return failure "command" "Unable to parse json: tactics: Array of strings expected"

/-- The goals of these names among `gs`, in the order of the names; else the first name that is none of them. -/
unsafe def chosenGoals (gs : List MVarId) : List String → Except String (List MVarId)
  | [] => .ok []
  | id :: r => match pick id gs, chosenGoals gs r with
    | none, _ => .error id
    | some _, .error e => .error e
    | some (g, _), .ok chosen => .ok (g :: chosen)

/-- `goal.continue` with `goals`: the state with only these of its goals. The proof lacks the others as before, so what comes of it
gets no verdict but no. -/
unsafe def goalContinueSome (sv : Server) (p : Json) : IO Json :=
  withState sv (p.setObjVal! "stateId" ((field? p "target").getD .null)) fun s => do
    match field? p "goals" with
    | some (.arr a) => match chosenGoals s.goals (strings a 0) with
      | .error name => return failure "structure" ("Goals [" ++ name ++ "] are not in scope")
      | .ok gs =>
        let r ← runAt s (goalsJson gs #[])
        match r.result with
        | .error e => thrown e
        | .ok js => return Json.mkObj [("nextStateId", num (← remember sv { s with goals := gs, parents := [] })), ("goals", .arr js)]
    | _ => return failure "arguments" "goal.continue takes target and goals"

unsafe def goalPrint (sv : Server) (p : Json) : IO Json :=
  withState sv p fun s => do
    reply (← runAt s do
      let e ← instantiateMVars (.mvar s.root)
      let gs ← if flag p "goals" then goalsJson s.goals #[] else pure #[]
      let root ← if flag p "rootExpr" && (← s.root.isAssigned) then do pure [("root", ← expression e)] else pure []
      return Json.mkObj (cat root [("goals", .arr gs), ("extraMVars", .arr #[]), ("rootHasSorry", .bool e.hasSorry),
        ("rootHasUnsafe", .bool (anyUnsafe (← getEnv) e.getUsedConstants 0)), ("rootHasMVar", .bool e.hasExprMVar)]))

unsafe def forget (a : Array (Option GoalState)) (ids : Array Json) (i : Nat) : Array (Option GoalState) :=
  if h : i < ids.size then
    match ids[i] with
    | .num n => let k := n.mantissa.toNat; if k < a.size then forget (a.set! k none) ids (i + 1) else forget a ids (i + 1)
    | _ => forget a ids (i + 1)
  else a

unsafe def countStates (a : Array (Option GoalState)) (i n : Nat) : Nat :=
  if h : i < a.size then (match a[i] with | some _ => countStates a (i + 1) (n + 1) | none => countStates a (i + 1) n) else n

unsafe def setOptions : List (String × Json) → List (String × Json) → Json → List (String × Json)
  | [], acc, _ => acc
  | (k, _) :: r, acc, p => match field? p k with
    | some v => setOptions r (replace acc k v) p
    | none => setOptions r acc p

unsafe def exprEcho (sv : Server) (p : Json) : IO Json := do
  let base ← sv.base.get
  let h := match field? p "levels" with
    | some (.arr a) => { base with levels := toNames (strings a 0) }
    | _ => base
  match str? p "expr" with
  | none => return failure "command" "Unable to parse json: Pantograph.Protocol.ExprEcho.expr: String expected"
  | some src =>
    let type : Except String (Option Syntax) := match str? p "type" with
      | none => .ok none
      | some t => match parseAll h (Parser.categoryParserFn `term) t with
        | .ok stx => .ok (some stx)
        | .error e => .error e
    match parseAll h (Parser.categoryParserFn `term) src, type with
    | .ok stx, .ok type? =>
      reply (← runIn h src do
        let e ← elabTerm stx type?
        let t ← instantiateMVars (← inferType e)
        return Json.mkObj [("expr", ← expression e), ("type", ← expression t)])
    | .error e, _ => return failure "parse" e
    | _, .error e => return failure "parse" e

unsafe def envInspect (sv : Server) (p : Json) : IO Json := do
  match str? p "name" with
  | none => return failure "command" "Unable to parse json: Pantograph.Protocol.EnvInspect.name: String expected"
  | some s =>
    let base ← sv.base.get
    let env := base.env
    match env.find? s.toName with
    | none => return failure "index" ("Symbol not found " ++ s)
    | some c => reply (← runIn base "" (inspect env s.toName c p))

unsafe def envCatalog (sv : Server) (p : Json) : IO Json := do
  let env := (← sv.base.get).env
  let wanted : Name → Bool := match str? p "modulePrefix" with
    | none => fun _ => true
    | some s => let pre := s.toName; if flag p "invertFilter" then fun n => !(pre.isPrefixOf n) else fun n => pre.isPrefixOf n
  return Json.mkObj [("symbols", .arr (catalog env wanted 0 #[]))]

unsafe def dispatch (sv : Server) (out : IO.FS.Stream) (cmd : String) (p : Json) : IO Json := do
  match cmd with
  | "goal.tactics" => goalTactics sv p out
  | "goal.tactic" => goalTactic sv p
  | "goal.start" => goalStart sv p
  | "goal.continue" => goalContinueSome sv p
  | "goal.delete" =>
    match field? p "stateIds" with
    | some (.arr ids) => sv.states.modify fun a => forget a ids 0
    | _ => pure ()
    return Json.mkObj []
  | "goal.print" => goalPrint sv p
  | "goal.verdict" => withState sv p fun s => do reply (← runAt s (verdict s))
  | "theorem.check" => theoremCheck sv p
  | "reset" =>
    let n := countStates (← sv.states.get) 0 0
    sv.states.set #[]
    return Json.mkObj [("nGoals", num n)]
  | "stat" => return Json.mkObj [("nGoals", num (countStates (← sv.states.get) 0 0))]
  | "options.set" =>
    sv.options.modify fun o => setOptions o o p
    return Json.mkObj []
  | "options.print" => return Json.mkObj (← sv.options.get)
  | "expr.echo" => exprEcho sv p
  | "env.inspect" => envInspect sv p
  | "env.catalog" => envCatalog sv p
  | _ => return failure "command" ("Unknown command " ++ cmd)
