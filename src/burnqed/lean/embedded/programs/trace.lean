-- ## Tracing: a file command by command, each told before it begins and when it has ended -----------------

unsafe def errorTexts : List Message → Nat → Array Json → BaseIO (Array Json)
  | [], _, acc => pure acc
  | _, 0, acc => pure acc
  | m :: r, n + 1, acc => match m.severity with
    | .error => do errorTexts r n (acc.push (.str (← m.serialize).data))
    | _ => errorTexts r (n + 1) acc

unsafe def constantNames (a : Array ConstantInfo) (i : Nat) (acc : Array Json) : Array Json :=
  if h : i < a.size then constantNames a (i + 1) (acc.push (.str (nameStr a[i].name))) else acc

/-- Whether a constant that was made rests on a sorry. -/
unsafe def anySorry (a : Array ConstantInfo) (i : Nat) : Bool :=
  if h : i < a.size then
    let inValue := match a[i].value? (allowOpaque := true) with
      | some v => v.hasSorry
      | none => false
    a[i].type.hasSorry || inValue || anySorry a (i + 1)
  else false

unsafe def traceUnits (sv : Server) (p : Json) (out : IO.FS.Stream) (ictx : Parser.InputContext) (ps : Parser.ModuleParserState) (st : Command.State) (k : Nat) : IO Nat := do
  let say (fields : Fields) : IO Unit := do
    out.putStrLn (signed p (Json.mkObj [("partial", .arr #[Json.mkObj (("command", num k) :: fields)])])).compress
    out.flush
  let sc := scopeOf st
  let (_, ps', log) := Parser.parseCommand ictx { env := st.env, options := sc.opts, currNamespace := sc.currNamespace, openDecls := sc.openDecls } ps {}
  say [("boundary", .arr #[num ps.pos.byteIdx, num ps'.pos.byteIdx])]
  let before := { st with messages := {}, infoState := { enabled := true } }
  let ref ← IO.mkRef ({ commandState := before, parserState := ps, cmdPos := ps.pos } : Frontend.State)
  let done ← Frontend.processCommand { inputCtx := ictx } ref
  let s ← ref.get
  let u : FileUnit := {
    stx := if h : 0 < s.commands.size then s.commands[0] else .missing
    start := ps.pos.byteIdx, stop := s.parserState.pos.byteIdx, before := before
    after := { s.commandState with messages := MessageLog.append log s.commandState.messages } }
  let made := newConstants u.before.env u.after.env
  let errors ← errorTexts u.after.messages.toList 3 #[]
  let js ← if errors.size == 0 then invocations sv u ictx.inputString (flag p "states") else pure #[]
  say [("boundary", .arr #[num u.start, num u.stop]), ("errors", .arr errors), ("sorry", .bool (anySorry made 0)),
    ("names", .arr (nameArray (userNames u.after.env made 0 #[]) 0 #[])), ("made", .arr (constantNames made 0 #[])), ("invocations", .arr js)]
  if done then return k + 1
  traceUnits sv p out ictx s.parserState s.commandState (k + 1)

/-- `trace.file`: a text on exactly the modules that it imports, or that the request names; see docs/protocol.md. -/
unsafe def traceFile (sv : Server) (out : IO.FS.Stream) (p : Json) : IO Json := do
  match str? p "file" with
  | none => return failure "arguments" "file: String expected"
  | some text =>
    let ictx := inputContext text sourceName
    match field? p "imports" with
    | some _ => match ← groundOf sv p with
      | .error j => return j
      | .ok base => return Json.mkObj [("commands", num (← traceUnits sv p out ictx {} (commandState base) 0))]
    | none =>
      let (stx, ps, log) ← Parser.parseHeader ictx
      if log.hasErrors then return failure "frontend" (← firstError log.toList)
      match ← exactly sv (importedBy (headerToImports stx) 0) with
      | .error j => return j
      | .ok base => return Json.mkObj [("commands", num (← traceUnits sv p out ictx ps (commandState base) 0))]

unsafe def traceCommands (sv : Server) (out : IO.FS.Stream) (cmd : String) (p : Json) : IO (Option Json) := do
  match cmd with
  | "trace.file" => return some (← traceFile sv out p)
  | _ => return none
