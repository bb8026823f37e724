-- ## The rest of Pantograph's goal commands ------------------------------------------------------------

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
  setTrail sv j (trailOf "goal.start" (cat forms (chosen p ["levels", "header", "imports"])) [])
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
