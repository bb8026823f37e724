-- ## The sorries of a file -------------------------------------------------------------------------------

/-- A sorry in a file's text: what is to be replaced (the token, or the `by sorry` that it is all of), and the token itself. -/
structure Place where
  start : String.Pos.Raw
  stop : String.Pos.Raw
  token : String.Pos.Raw
  tactic : Bool
  command : Nat

/-- A sorry with the state that stands for it, or why there is none. -/
structure Hole where
  place : Place
  declaration : Name
  state : Except String GoalState
  goals : Array Json
  prop : Bool := true

/-- The one tactic of a `by`. -/
unsafe def onlyTactic (stx : Syntax) : Syntax :=
  let items := stx[1][0][0]
  if items.getNumArgs == 1 then items[0] else .missing

mutual
/-- The sorries that a person wrote, in order. `whole` is the `by` whose only tactic comes next. -/
unsafe def placesIn (command : Nat) (whole : Option Syntax) (stx : Syntax) (acc : Array Place) : Array Place :=
  let k := stx.getKind
  if k == ``Parser.Term.sorry || k == ``Parser.Tactic.tacticSorry then
    match writtenAt stx with
    | none => acc
    | some (b, e) =>
      let range := match whole with
        | some w => (writtenAt w).getD (b, e)
        | none => (b, e)
      acc.push { start := range.1, stop := range.2, token := b, tactic := k != ``Parser.Term.sorry, command := command }
  else if stx.isQuot then acc
  else if k == ``Parser.Term.byTactic && (onlyTactic stx).getKind == ``Parser.Tactic.tacticSorry then placesIn command (some stx) (onlyTactic stx) acc
  else placesInAll command stx.getArgs 0 acc
unsafe def placesInAll (command : Nat) (a : Array Syntax) (i : Nat) (acc : Array Place) : Array Place :=
  if h : i < a.size then placesInAll command a (i + 1) (placesIn command none a[i] acc) else acc
end

unsafe def isSorryInfo (i : Info) (_ : ContextInfo) : Bool :=
  match i with
  | .ofTacticInfo ti => ti.stx.getKind == ``Parser.Tactic.tacticSorry && (writtenAt ti.stx).isSome
  | .ofTermInfo ti => ti.stx.getKind == ``Parser.Term.sorry && (writtenAt ti.stx).isSome
  | _ => false

unsafe def foundAt (a : Array Found) (p : String.Pos.Raw) (i : Nat) (acc : Array Found) : Array Found :=
  if h : i < a.size then
    foundAt a p (i + 1) (match a[i].info.stx.getPos? with
      | some q => if p == q then acc.push a[i] else acc
      | none => acc)
  else acc

/-- What can be proved from: the hypotheses without the declaration that is being made. -/
unsafe def hypotheses (lctx : LocalContext) (ids : Array FVarId) (i : Nat) (acc : Array Expr) : Array Expr :=
  if h : i < ids.size then
    match lctx.find? ids[i] with
    | some d => hypotheses lctx ids (i + 1) (if d.isAuxDecl then acc else acc.push d.toExpr)
    | none => hypotheses lctx ids (i + 1) acc
  else acc

/-- A goal as a closed statement, with the number of its hypotheses. -/
unsafe def closed (lctx : LocalContext) (insts : LocalInstances) (type : Expr) : MetaM (Except String (Expr × Nat)) := do
  let xs := hypotheses lctx lctx.getFVarIds 0 #[]
  inLocal lctx insts do
    let type ← instantiateMVars type
    let e ← instantiateMVars (← mkForallFVars xs type (usedLetOnly := false))
    if e.hasExprMVar then return .error "its goal holds a metavariable that is not known at this place"
    if e.hasSorry then return .error "its goal speaks of another sorry: fill that one first"
    if e.hasFVar then return .error "its goal speaks of the declaration that is being made"
    let e := ((← getMCtx).levelMVarToParam (fun _ => false) (fun _ => false) e `u 1).expr
    return .ok (e, xs.size)

unsafe def closedAt (f : Found) : MetaM (Except String (Expr × Nat)) := do
  match f.info with
  | .ofTacticInfo ti => match ti.goalsBefore with
    | [] => return .error "there is no goal left here"
    | g :: _ => match (← getMCtx).findDecl? g with
      | some d => closed d.lctx d.localInstances d.type
      | none => return .error "its goal is not known"
  | .ofTermInfo ti =>
    -- Instances do not matter for a type and its closure; they are found again when the hypotheses are introduced.
    let type ← inLocal ti.lctx #[] (do instantiateMVars (← inferType ti.expr))
    closed ti.lctx #[] type
  | _ => return .error "Lean did not elaborate it"

unsafe def mctxOf (f : Found) : MetavarContext :=
  match f.info with
  | .ofTacticInfo ti => ti.mctxBefore
  | _ => f.ctx.mctx

/-- The one closed statement that all these nodes stand for; a term may be elaborated more than once, and a tactic run on many goals. -/
unsafe def agreed (a : Array Found) (i : Nat) (before : Option (Expr × Nat)) : BaseIO (Except String (Expr × Nat)) := do
  if h : i < a.size then
    let f := a[i]
    let r ← run (headerAt f.ctx []) "" 0 (coreAt f.ctx 0) { mctx := mctxOf f } {} (closedAt f)
    match r.result with
    | .error e => return .error (← exceptionText e)
    | .ok (.error e) => return .error e
    | .ok (.ok x) => match before with
      | none => agreed a (i + 1) (some x)
      | some y => if x.1 == y.1 && x.2 == y.2 then agreed a (i + 1) before else return .error "it stands for several goals at once"
  else match before with
    | some x => return .ok x
    | none => return .error "Lean did not elaborate it"

unsafe def missingConstant (env : Environment) (a : Array Name) (i : Nat) : Option Name :=
  if h : i < a.size then (if env.contains a[i] then missingConstant env a (i + 1) else some a[i]) else none

unsafe def userName (n : Name) : Name := (privateToUserName? n).getD n

unsafe def holeAt (u : FileUnit) (found : Array Found) (p : Place) : BaseIO Hole := do
  let here := foundAt found p.token 0 #[]
  let no (n : Name) (reason : String) : Hole := { place := p, declaration := n, state := .error reason, goals := #[] }
  if h : 0 < here.size then
    let c := here[0].ctx
    let name := userName (c.parentDecl?.getD .anonymous)
    match ← agreed here 0 none with
    | .error e => return no name e
    | .ok (e, n) =>
      let env ← envInside u c
      match missingConstant env e.getUsedConstants 0 with
      | some m => return no name ("its goal speaks of " ++ nameStr (userName m) ++ ", which the same declaration makes")
      | none =>
        let h := { headerAt c (levelsOf u c) with env := env }
        let r ← run h "" 0 { env := env, nextMacroScope := u.after.nextMacroScope + 1 } {} { levelNames := h.levels } do
          let (gs, root) ← startFrom e n
          return (gs, root, ← goalsJson gs #[], ← isProp e)
        match r.result with
        | .error e => return no name (← exceptionText e)
        | .ok (gs, root, js, prop) =>
          let s : GoalState := { header := h, core := { r.core with messages := {}, infoState := {} }, metas := r.metas, term := r.term, goals := gs, root := root }
          return { place := p, declaration := name, state := .ok s, goals := js, prop := prop }
  else return no .anonymous "Lean did not elaborate it"

unsafe def holesAt (u : FileUnit) (found : Array Found) (ps : Array Place) (i : Nat) (acc : Array Hole) : BaseIO (Array Hole) := do
  if h : i < ps.size then holesAt u found ps (i + 1) (acc.push (← holeAt u found ps[i])) else return acc

unsafe def holesOf (us : Array FileUnit) (i : Nat) (acc : Array Hole) : BaseIO (Array Hole) := do
  if h : i < us.size then
    let u := us[i]
    let ps := placesIn i none u.stx #[]
    let acc ← if ps.size == 0 then pure acc else holesAt u (gatherAll isSorryInfo none false u.after.infoState.trees #[]) ps 0 acc
    holesOf us (i + 1) acc
  else return acc

/-- A file whose sorries were found. -/
structure OpenFile where
  text : String
  base : USize -- which environment the server started with
  run : FileRun
  holes : Array Hole

abbrev Files := IO.Ref (List OpenFile)

unsafe def findFile (text : String) (base : USize) : List OpenFile → Option OpenFile
  | [] => none
  | f :: r => if f.base == base && f.text == text then some f else findFile text base r

unsafe def firstFew : Nat → List OpenFile → List OpenFile
  | 0, _ => []
  | _, [] => []
  | n + 1, f :: r => f :: firstFew n r

/-- A file is elaborated once, however many of its sorries are started. -/
unsafe def openFile (sv : Server) (files : Files) (text : String) : IO (Except Json OpenFile) := do
  let base := ptrAddrUnsafe (← startOf sv).env
  match findFile text base (← files.get) with
  | some f => return .ok f
  | none => match ← runFile sv text true with
    | .error j => return .error j
    | .ok r =>
      let f : OpenFile := { text := text, base := base, run := r, holes := ← holesOf r.units 0 #[] }
      files.modify fun old => f :: firstFew 3 old
      return .ok f

unsafe def range (b e : String.Pos.Raw) : Json := .arr #[num b.byteIdx, num e.byteIdx]

unsafe def holesJson (text : String) (a : Array Hole) (i : Nat) (acc : Array Json) : Array Json :=
  if h : i < a.size then
    let x := a[i]
    let (ready, reason) := match x.state with
      | .ok _ => (true, "")
      | .error e => (false, e)
    holesJson text a (i + 1) (acc.push (Json.mkObj [("index", num i), ("range", range x.place.start x.place.stop), ("kind", .str (if x.place.tactic then "tactic" else "term")),
      ("declaration", .str (nameStr x.declaration)), ("goals", .arr x.goals), ("column", num (columnOf text x.place.token)), ("prop", .bool x.prop), ("ready", .bool ready), ("reason", .str reason)]))
  else acc

unsafe def allMessages (us : Array FileUnit) (i : Nat) (acc : Array Json) : BaseIO (Array Json) := do
  if h : i < us.size then allMessages us (i + 1) (← serialized us[i].after.messages.toList acc) else return acc

/-- `file.holes` (ours): the sorries of a file, in the order in which they stand there. -/
unsafe def fileHoles (sv : Server) (files : Files) (p : Json) : IO Json := do
  match str? p "file" with
  | none => return failure "arguments" "file.holes takes the text of a file as `file`"
  | some text => match ← openFile sv files text with
    | .error j => return j
    | .ok f => return Json.mkObj [("holes", .arr (holesJson text f.holes 0 #[])), ("messages", .arr (← allMessages f.run.units 0 #[])), ("units", num f.run.units.size)]

/-- `goal.start` with `file` and `hole` (ours): the state that stands for a sorry, with everything around it in scope but the declaration
that it is part of. -/
unsafe def startHole (sv : Server) (files : Files) (p : Json) : IO Json := do
  match str? p "file", nat? p "hole" with
  | some text, some k => match ← openFile sv files text with
    | .error j => return j
    | .ok f =>
      if h : k < f.holes.size then
        let x := f.holes[k]
        match x.state with
        | .error e => return failure "frontend" ("sorry " ++ toString k ++ " cannot be started: " ++ e)
        | .ok s =>
          let id ← remember sv { s with trail := trailOf "goal.start" (chosen p ["file", "hole"]) [] }
          return Json.mkObj [("stateId", num id), ("root", .str (nameStr s.root.name)), ("name", .str (nameStr x.declaration)), ("goals", .arr x.goals)]
      else return failure "index" ("the file has " ++ toString f.holes.size ++ " sorries; there is no number " ++ toString k)
  | _, _ => return failure "arguments" "goal.start with `hole` takes the text of a file as `file` and the number of the sorry as `hole`"
