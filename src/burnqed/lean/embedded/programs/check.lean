-- ## file.check: a file of which sorries were replaced ----------------------------------------------------


unsafe def blanksBefore (s : String) (p : String.Pos.Raw) : String.Pos.Raw :=
  if p.byteIdx == 0 then p else
  let q := p.prev s
  if q.get s == ' ' || q.get s == '\n' then blanksBefore s q else p

/-- What stands between the sorries of a piece of a file; blanks before a sorry belong to it. -/
unsafe def piecesOf (s : String) (from' : String.Pos.Raw) (offset : Nat) (ps : Array Place) (i : Nat) (acc : Array String) : Array String :=
  if h : i < ps.size then
    let b : String.Pos.Raw := ⟨ps[i].start.byteIdx - offset⟩
    piecesOf s ⟨ps[i].stop.byteIdx - offset⟩ offset ps (i + 1) (acc.push (String.Pos.Raw.extract s from' (blanksBefore s b)))
  else acc.push (String.Pos.Raw.extract s from' s.rawEndPos)

unsafe def endsAt (s word : String) (from' : String.Pos.Raw) : Bool :=
  let n := s.rawEndPos.byteIdx
  let k := word.rawEndPos.byteIdx
  if from'.byteIdx + k ≤ n then String.Pos.Raw.extract s ⟨n - k⟩ s.rawEndPos == word else false

/-- Whether `word` stands in `s` at `p`. -/
unsafe def standsAt (s : String) (p : String.Pos.Raw) (word : String) (q : String.Pos.Raw) : Bool :=
  if q.atEnd word then true else if p.atEnd s then false
  else if p.get s == q.get word then standsAt s (p.next s) word (q.next word) else false

unsafe def find? (s word : String) (p : String.Pos.Raw) : Option String.Pos.Raw :=
  if standsAt s p word 0 then some p else if p.atEnd s then none else find? s word (p.next s)

/-- Whether the pieces stand in a text in their order, the first at its beginning and the last at its end. -/
unsafe def fits (pieces : Array String) (s : String) (i : Nat) (p : String.Pos.Raw) : Bool :=
  if h : i < pieces.size then
    let w := pieces[i]
    let after (q : String.Pos.Raw) : String.Pos.Raw := ⟨q.byteIdx + w.rawEndPos.byteIdx⟩
    if i + 1 == pieces.size then (if i == 0 then s == w else endsAt s w p)
    else if i == 0 then standsAt s 0 w 0 && fits pieces s 1 (after 0)
    else match find? s w p with
      | some q => fits pieces s (i + 1) (after q)
      | none => false
  else true

unsafe def sameKinds (a b : Syntax) : Bool :=
  let k := a.getKind
  if k != b.getKind then false
  else if k == ``Parser.Command.in then sameKinds a[0] b[0] && sameKinds a[2] b[2]
  else if k == ``Parser.Command.declaration then a[1].getKind == b[1].getKind
  else true

unsafe def slice (s : String) (b e : Nat) : String := String.Pos.Raw.extract s ⟨b⟩ ⟨e⟩

/-- How many places of a command have a program run while it is elaborated, see `runsSyntax`. -/
unsafe def running (todo : Array Syntax) (n : Nat) : Nat :=
  if todo.size == 0 then n else
  match todo[todo.size - 1]! with
  | .node _ k args =>
    let here := k == ``Parser.Term.attributes || k == ``Parser.Command.docComment ||
      ((k == ``Parser.Tactic.valConfigItem || k == ``Parser.Tactic.config) && !(allPlain (pushAll args 0 #[])))
    running (pushAll args 0 todo.pop) (if here then n + 1 else n)
  | _ => running todo.pop n

/-- Elaborates `dst` command by command, each only when it is the command of `src` in that place with nothing changed but its sorries:
whatever a replacement holds, it cannot become a command of its own. -/
unsafe def against (src : FileRun) (ictx : Parser.InputContext) (ps : Parser.ModuleParserState) (st : Command.State) (acc : Array FileUnit) : IO (Except String (Array FileUnit × Command.State)) := do
  let sc := scopeOf st
  let (cmd, ps', parsed) := Parser.parseCommand ictx { env := st.env, options := sc.opts, currNamespace := sc.currNamespace, openDecls := sc.openDecls } ps {}
  if parsed.hasErrors then return .error (← firstError parsed.toList)
  let k := acc.size
  if h : k < src.units.size then
    let u := src.units[k]
    let text := slice ictx.inputString ps.pos.byteIdx ps'.pos.byteIdx
    let holes := placesIn k none u.stx #[]
    if !(sameKinds u.stx cmd) then return .error ("command " ++ toString k ++ " became another kind of command")
    if !(fits (piecesOf (slice src.text u.start u.stop) 0 u.start holes 0 #[]) text 0 0) then
      return .error ("command " ++ toString k ++ " was changed outside its sorries")
    if running #[cmd] 0 > running #[u.stx] 0 then return .error ("what command " ++ toString k ++ " was filled with has a program run while it is elaborated")
    let before := { st with messages := {}, infoState := { enabled := true } }
    let ref ← IO.mkRef ({ commandState := before, parserState := ps, cmdPos := ps.pos } : Frontend.State)
    let _ ← Frontend.processCommand { inputCtx := ictx } ref
    let s ← ref.get
    let st := s.commandState
    let acc := acc.push { stx := cmd, start := ps.pos.byteIdx, stop := s.parserState.pos.byteIdx, before := before, after := st }
    if st.messages.hasErrors then return .error (← firstError st.messages.toList)
    against src ictx s.parserState st acc
  else if Parser.isTerminalCommand cmd then return .ok (acc, st)
  else return .error "the file has more commands than before"

unsafe def isExampleInfo (_ : Info) (c : ContextInfo) : Bool :=
  match c.parentDecl? with
  | some (.str _ "_example") => true
  | _ => false

/-- The constant that an `example` made, with the environment that still had it. -/
unsafe def exampleOf (u : FileUnit) : Option (Environment × ConstantInfo) :=
  let a := gatherAll isExampleInfo none false u.after.infoState.trees #[]
  if h : 0 < a.size then
    let c := a[0].ctx
    match c.parentDecl? with
    | some n => match c.env.find? n with
      | some i => some (c.env, i)
      | none => none
    | none => none
  else none

unsafe def isExample (stx : Syntax) : Bool :=
  if stx.getKind == ``Parser.Command.in then isExample stx[2]
  else stx.getKind == ``Parser.Command.declaration && stx[1].getKind == ``Parser.Command.example

unsafe def findConstant (a : Array ConstantInfo) (n : Name) (i : Nat) : Option ConstantInfo :=
  if h : i < a.size then (if a[i].name == n then some a[i] else findConstant a n (i + 1)) else none

/-- The constants of one command of `src` against those of `dst`. -/
unsafe def compareSource (sm : Made) (open' : Bool) (a b : Array ConstantInfo) (i : Nat) : Option String :=
  if h : i < a.size then
    let c := a[i]
    let user := isUserName sm.env c.name
    if isReservedName sm.env c.name || (open' && !user) then compareSource sm open' a b (i + 1) else
    match findConstant b c.name 0 with
    | none => if user then some (nameStr (userName c.name) ++ " is not there any more") else compareSource sm open' a b (i + 1)
    | some d => match clash c d (sm.sorried c.name) false with
      | some e => some e
      | none => compareSource sm open' a b (i + 1)
  else none

unsafe def compareTarget (env : Environment) (a b : Array ConstantInfo) (i : Nat) : Option String :=
  if h : i < b.size then
    let d := b[i]
    match findConstant a d.name 0 with
    | some _ => compareTarget env a b (i + 1)
    | none => match d with
      | .axiomInfo _ => some ("the axiom " ++ nameStr (userName d.name) ++ " is new")
      | .thmInfo _ | .defnInfo _ | .opaqueInfo _ => if isUserName env d.name then some (nameStr (userName d.name) ++ " is new") else compareTarget env a b (i + 1)
      | _ => some (nameStr (userName d.name) ++ " is new")
  else none

/-- A telescope's binders and what it ends in, variables replaced by their names, so that two of them can be laid side by side. -/
unsafe def telescope (e : Expr) (subst : Array Expr) (acc : Array (Name × Expr)) : Array (Name × Expr) × Expr :=
  match e with
  | .forallE n t b _ =>
    let t := t.instantiateRev subst
    telescope b (subst.push (.app (.const (.str n "variable") []) t)) (acc.push (n, t))
  | _ => (acc, e.instantiateRev subst)

unsafe def within (a b : Array (Name × Expr)) (i j : Nat) : Bool :=
  if i < a.size then
    if j < b.size then
      let x := a[i]!
      let y := b[j]!
      if x.1 == y.1 && x.2 == y.2 then within a b (i + 1) (j + 1) else within a b i (j + 1)
    else false
  else true

/-- An example takes in the section variables that its proof uses, so a proof may add some; nothing else may differ. -/
unsafe def sameExample (a b : Expr) : Bool :=
  if a == b then true else
  let x := telescope a #[] #[]
  let y := telescope b #[] #[]
  x.2 == y.2 && (within x.1 y.1 0 0 || within y.1 x.1 0 0)

structure Entry where
  name : Name
  kind : String
  command : Nat
  unfinished : Bool
  axioms : Array Name

unsafe def entriesOf (m : Made) (k : Nat) (a : Array ConstantInfo) (i : Nat) (acc : Array Entry) : Array Entry :=
  if h : i < a.size then
    let c := a[i]
    let wanted := match c with
      | .ctorInfo _ => false
      | .recInfo _ => false
      | _ => isUserName m.env c.name && !c.isUnsafe
    entriesOf m k a (i + 1) (if wanted then acc.push { name := userName c.name, kind := kindName c, command := k, unfinished := m.sorried c.name, axioms := m.axioms c.name } else acc)
  else acc

/-- What the check of a file found so far. -/
structure Checked where
  env : Environment -- of the kernel, with everything that was replayed
  entries : Array Entry := #[]

unsafe def checkExample (sm dm : Made) (u v : FileUnit) (k : Nat) (c : Checked) : Except String Checked :=
  match exampleOf u, exampleOf v with
  | some (_, a), some (env, b) =>
    if !(sameExample a.type b.type) then .error ("the example in command " ++ toString k ++ " states something else") else
    let w := restName env dm.before b.name {}
    let own : Made := { env := env, before := dm.before, all := #[], own := w.own, reach := reaches env w.own w.found 0 #[] }
    let entry : Entry := { name := b.name, kind := "example", command := k, unfinished := own.sorried b.name, axioms := own.axioms b.name }
    let done := { c with entries := c.entries.push entry }
    if own.compiled b.name then
      let w' := restName sm.env sm.before a.name {}
      if compiled w' then .ok done else .error ("the example in command " ++ toString k ++ " rests on compiled code")
    else match replayFile { own with own := notIn c.env w.own 0 #[] } (fun _ => false) c.env 0 with
      | .error e => .error e
      | .ok _ => .ok done
  | none, none =>
    if (placesIn k none u.stx #[]).size == 0 then .ok c else .error ("the example in command " ++ toString k ++ " cannot be looked into")
  | _, _ => .error ("the example in command " ++ toString k ++ " cannot be compared")

unsafe def checkUnits (sm dm : Made) (a b : Array FileUnit) (k : Nat) (c : Checked) : Except String Checked :=
  if h : k < a.size then
    if h' : k < b.size then
    let u := a[k]
    let v := b[k]
    let x := newConstants u.before.env u.after.env
    let y := newConstants v.before.env v.after.env
    let open' := (placesIn k none u.stx #[]).size != 0
    match compareSource sm open' x y 0, compareTarget dm.env x y 0 with
    | some e, _ => .error e
    | _, some e => .error e
    | none, none =>
      let c := { c with entries := entriesOf dm k y 0 c.entries }
      if isExample u.stx then
        match checkExample sm dm u v k c with
        | .ok c => checkUnits sm dm a b (k + 1) c
        | .error e => .error e
      else checkUnits sm dm a b (k + 1) c
    else .error "the file has fewer commands than before"
  else .ok c

/-- Where the new file trusts compiled code and the old one did not. -/
unsafe def newlyCompiled (sm dm : Made) (i : Nat) : Option Name :=
  if h : i < dm.own.size then
    let n := dm.own[i].name
    if dm.compiled n && !(sm.compiled n) then some n else newlyCompiled sm dm (i + 1)
  else none

unsafe def findEntry (a : Array Entry) (n : String) (i : Nat) : Option Entry :=
  if h : i < a.size then (if nameStr a[i].name == n then some a[i] else findEntry a n (i + 1)) else none

unsafe def notComplete (a : Array Entry) : List String → Option String
  | [] => none
  | n :: r => match findEntry a n 0 with
    | none => some ("the file does not declare " ++ n)
    | some e => if e.unfinished then some (n ++ " still rests on a sorry") else notComplete a r

unsafe def entriesJson (a : Array Entry) (i : Nat) (acc : Array Json) : Array Json :=
  if h : i < a.size then
    let e := a[i]
    entriesJson a (i + 1) (acc.push (Json.mkObj [("name", .str (nameStr e.name)), ("kind", .str e.kind), ("command", num e.command),
      ("sorry", .bool e.unfinished), ("axioms", .arr (nameArray e.axioms 0 #[]))]))
  else acc

/-- How many places of a text name what `namesUnsafe` looks for. -/
unsafe def occurrences (b : ByteArray) (i : Nat) (before : UInt8) (n : Nat) : Nat :=
  if i < b.size then
    let c := b.get! i
    let bad := (c == 110 || c == 108 || c == 98 || c == 114 || c == 111) && forbiddenAt b i c before
    occurrences b (i + 1) c (if bad then n + 1 else n)
  else n

/-- Judges a file of which sorries were replaced, against the file as it was. -/
unsafe def judgeFile (a : FileRun) (us : Array FileUnit) (last : Command.State) (names' : List String) : Except String Checked :=
  let before := a.base.env
  let sm := madeIn before a.last.env
  let dm := madeIn before last.env
  match newlyCompiled sm dm 0 with
  | some n => .error (nameStr (userName n) ++ " rests on compiled code")
  | none =>
    -- What the old file trusted compiled code with is not run again: the kernel would run code that is not there.
    match replayFile dm (fun n => dm.compiled n) before 0 with
    | .error e => .error e
    | .ok env => match sameRecursors dm env 0 with
      | some n => .error ("the kernel makes another " ++ nameStr n)
      | none => match checkUnits sm dm a.units us 0 { env := env } with
        | .error e => .error e
        | .ok c => match notComplete c.entries names' with
          | some e => .error e
          | none => .ok c

/-- `file.check` (ours): the gate's question for a file. Meant for a process that has answered nothing before. -/
unsafe def fileCheck (sv : Server) (p : Json) : IO Json := do
  match str? p "src", str? p "dst" with
  | some src, some dst =>
    let no (reason : String) (ms : Array Json) : Json :=
      Json.mkObj [("accepted", .bool false), ("reason", .str reason), ("messages", .arr ms), ("declarations", .arr #[])]
    if occurrences dst.toUTF8 0 32 0 > occurrences src.toUTF8 0 32 0 then return no "the new text names something unsafe" #[]
    match ← runFile sv src true with
    | .error j => return j
    | .ok a =>
      let begin' := if h : 0 < a.units.size then a.units[0].start else src.rawEndPos.byteIdx
      if slice src 0 begin' != slice dst 0 begin' then return no "the import lines were changed" #[]
      let ictx := inputContext dst sourceName
      let (_, ps, _) ← Parser.parseHeader ictx
      if ps.pos.byteIdx != begin' then return no "the import lines were changed" #[]
      match ← against a ictx ps (commandState a.base) #[] with
      | .error e => return no e #[]
      | .ok (us, last) =>
        let ms ← allMessages us 0 #[]
        if us.size != a.units.size then return no "the file has fewer commands than before" ms
        let wanted := match field? p "complete" with
          | some (.arr l) => strings l 0
          | _ => []
        match judgeFile a us last wanted with
        | .error e => return no e ms
        | .ok c => return Json.mkObj [("accepted", .bool true), ("reason", .str ""), ("messages", .arr ms), ("declarations", .arr (entriesJson c.entries 0 #[]))]
  | _, _ => return failure "arguments" "file.check takes src and dst, the texts of a file before and after"
