-- ## Files: their commands, tactics and sorries ---------------------------------------------------------

/-- A command of a file: its text's bytes, what was there before it, and what it left, with only its own messages and trees. -/
structure FileUnit where
  stx : Syntax
  start : Nat
  stop : Nat
  before : Command.State
  after : Command.State

/-- A file that was elaborated, command by command. -/
structure FileRun where
  text : String
  header : Bool -- whether import lines were read
  base : Header -- what it stands on
  units : Array FileUnit
  last : Command.State

unsafe def messagesOf (st : Command.State) : BaseIO (Array Json) := serialized st.messages.toList #[]

unsafe def scopeOf (st : Command.State) : Command.Scope :=
  match st.scopes with
  | [] => { header := "" }
  | s :: _ => s

unsafe def headerOf (st : Command.State) : Header :=
  let s := scopeOf st
  { text := "", env := st.env, opts := s.opts, ns := s.currNamespace, opens := s.openDecls, levels := s.levelNames, scope := some s }

/-- What the parser says of the next command; `Frontend.processCommand` loses it. -/
unsafe def parseMessages (ictx : Parser.InputContext) (ps : Parser.ModuleParserState) (st : Command.State) : MessageLog :=
  let sc := scopeOf st
  (Parser.parseCommand ictx { env := st.env, options := sc.opts, currNamespace := sc.currNamespace, openDecls := sc.openDecls } ps {}).2.2

/-- Elaborates the commands from `ps` to the end of the file. -/
unsafe def units (ictx : Parser.InputContext) (ps : Parser.ModuleParserState) (st : Command.State) (acc : Array FileUnit) : IO (Array FileUnit × Command.State) := do
  let before := { st with messages := {}, infoState := { enabled := true } }
  let ref ← IO.mkRef ({ commandState := before, parserState := ps, cmdPos := ps.pos } : Frontend.State)
  let done ← Frontend.processCommand { inputCtx := ictx } ref
  let s ← ref.get
  let u : FileUnit := {
    stx := if h : 0 < s.commands.size then s.commands[0] else .missing
    start := ps.pos.byteIdx, stop := s.parserState.pos.byteIdx, before := before
    after := { s.commandState with messages := MessageLog.append (parseMessages ictx ps st) s.commandState.messages } }
  if done then
    let acc := if u.start == u.stop && !u.after.messages.hasErrors then acc else acc.push u
    return (acc, s.commandState)
  units ictx s.parserState s.commandState (acc.push u)

unsafe def knows (a : Array Name) (n : Name) (i : Nat) : Bool :=
  if h : i < a.size then (if a[i] == n then true else knows a n (i + 1)) else false

unsafe def missingImport (env : Environment) (a : Array Import) (i : Nat) : Option Name :=
  if h : i < a.size then (if knows env.header.moduleNames a[i].module 0 then missingImport env a (i + 1) else some a[i].module) else none

unsafe def rootOf : Name → Name
  | .str .anonymous s => .str .anonymous s
  | .str p _ => rootOf p
  | .num p _ => rootOf p
  | .anonymous => .anonymous

unsafe def foreignImport (a : Array Import) (i : Nat) : Option Name :=
  if h : i < a.size then
    let r := rootOf a[i].module
    if r == `Init || r == `Std then foreignImport a (i + 1) else some a[i].module
  else none

/-- What the server started with: a file that has import lines stands on nothing that came later. -/
unsafe def startOf (sv : Server) : IO Header := do
  let changes ← sv.changes.get
  if h : 0 < changes.size then return changes[0].1 else sv.base.get

/-- What a file's import lines give: the environment of the start when all of it is there, else one made for it. -/
unsafe def importFor (sv : Server) (a : Array Import) : IO (Except Json Header) := do
  let base ← startOf sv
  match missingImport base.env a 0 with
  -- Without `Init` it says `prelude`, and means exactly what it imports.
  | none => if importsInit a 0 then return .ok base else importHere base a
  | some _ => match foreignImport a 0 with
    | some n => return .error (failure "frontend" ("unknown module " ++ nameStr n ++ ": the embedded Lean has Init and Std only; use a native toolchain for files that import more"))
    | none => importHere base a
where
  importsInit (a : Array Import) (i : Nat) : Bool := if h : i < a.size then a[i].module == `Init || importsInit a (i + 1) else false
  importHere (base : Header) (a : Array Import) : IO (Except Json Header) := do
    let r ← (importModules (loadExts := true) a {} 1).toBaseIO
    match r with
    | .error e => return .error (failure "frontend" ("the imports cannot be read: " ++ toString e))
    | .ok env => return .ok { text := "", env := env, opts := base.opts, ns := .anonymous, opens := [], levels := [] }

/-- Elaborates a file; with `header`, its import lines are read first. -/
unsafe def runFile (sv : Server) (text : String) (header : Bool) : IO (Except Json FileRun) := do
  let ictx := inputContext text sourceName
  if !header then
    let base ← sv.base.get
    let (us, last) ← units ictx {} (commandState base) #[]
    return .ok { text := text, header := header, base := base, units := us, last := last }
  let (stx, ps, log) ← Parser.parseHeader ictx
  if log.hasErrors then return .error (failure "frontend" (← firstError log.toList))
  match ← importFor sv (headerToImports stx) with
  | .error j => return .error j
  | .ok base =>
    let (us, last) ← units ictx ps (commandState base) #[]
    return .ok { text := text, header := header, base := base, units := us, last := last }

-- ### Constants that a command made

mutual
unsafe def mapNode (n : PersistentHashMap.Node Name ConstantInfo) (acc : Array ConstantInfo) : Array ConstantInfo :=
  match n with
  | .entries es => mapEntries es 0 acc
  | .collision _ vs _ => mapValues vs 0 acc
unsafe def mapEntries (es : Array (PersistentHashMap.Entry Name ConstantInfo (PersistentHashMap.Node Name ConstantInfo))) (i : Nat) (acc : Array ConstantInfo) : Array ConstantInfo :=
  if h : i < es.size then
    match es[i] with
    | .entry _ c => mapEntries es (i + 1) (acc.push c)
    | .ref n => mapEntries es (i + 1) (mapNode n acc)
    | .null => mapEntries es (i + 1) acc
  else acc
unsafe def mapValues (vs : Array ConstantInfo) (i : Nat) (acc : Array ConstantInfo) : Array ConstantInfo :=
  if h : i < vs.size then mapValues vs (i + 1) (acc.push vs[i]) else acc
end

unsafe def notIn (env : Environment) (a : Array ConstantInfo) (i : Nat) (acc : Array ConstantInfo) : Array ConstantInfo :=
  if h : i < a.size then notIn env a (i + 1) (if env.contains a[i].name then acc else acc.push a[i]) else acc

/-- The constants of `after` that `before` does not have, in no order. -/
unsafe def newConstants (before after : Environment) : Array ConstantInfo :=
  notIn before (mapNode after.constants.map₂.root #[]) 0 #[]

unsafe def isExampleName (n : Name) : Bool :=
  match n with
  | .str _ s => s == "_example"
  | _ => false

/-- Whether a person would say that the file declares it. -/
unsafe def isUserName (env : Environment) (n : Name) : Bool :=
  isExampleName n || !(((privateToUserName? n).getD n).isInternalDetail || isReservedName env n || comesWithType env n)

unsafe def userNames (env : Environment) (a : Array ConstantInfo) (i : Nat) (acc : Array Name) : Array Name :=
  if h : i < a.size then userNames env a (i + 1) (if isUserName env a[i].name then acc.push a[i].name else acc) else acc
