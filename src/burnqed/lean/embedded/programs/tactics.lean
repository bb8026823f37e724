-- ## Tactics ------------------------------------------------------------------------------------------

unsafe def evalTactics (stx : Syntax) (goals : List MVarId) : TermElabM (List MVarId) := do
  let ref ← IO.mkRef ({ goals := goals } : Tactic.State)
  -- No error recovery: a tactic that logs an error and goes on would look as if it had succeeded.
  let ctx : Tactic.Context := { elaborator := .anonymous, recover := false }
  Tactic.evalTactic stx ctx ref
  Term.synthesizeSyntheticMVarsNoPostponing
  Tactic.getUnsolvedGoals ctx ref

unsafe def bytesAt (b : ByteArray) (i : Nat) (word : ByteArray) (k : Nat) : Bool :=
  if k < word.size then (if i + k < b.size && b.get! (i + k) == word.get! k then bytesAt b i word (k + 1) else false) else true

unsafe def byteAt (b : ByteArray) (i : Nat) (c : UInt8) : Bool := i < b.size && b.get! i == c

-- Names that escape Lean's types, wherever in a name they stand.
unsafe def wordUnsafe : ByteArray := "nsafe".toUTF8
unsafe def wordProof : ByteArray := "lcProof".toUTF8
unsafe def wordAny : ByteArray := "lcAny".toUTF8
unsafe def wordUnreachable : ByteArray := "lcUnreachable".toUTF8
-- What makes Lean run compiled code, at the beginning of a name. Nothing that rests on it is ever accepted.
unsafe def wordNative : ByteArray := "native".toUTF8
unsafe def wordDecide : ByteArray := "bv_decide".toUTF8
unsafe def wordBool : ByteArray := "reduceBool".toUTF8
unsafe def wordNat : ByteArray := "reduceNat".toUTF8
unsafe def wordReduce : ByteArray := "ofReduce".toUTF8

unsafe def isNameByte (c : UInt8) : Bool := (97 ≤ c && c ≤ 122) || (65 ≤ c && c ≤ 90) || (48 ≤ c && c ≤ 57) || c == 95 || c == 39 || c == 33 || c == 63

/-- Whether a forbidden word, whose first letter `c` is, stands at `i`; `before` is the byte before it. -/
unsafe def forbiddenAt (b : ByteArray) (i : Nat) (c before : UInt8) : Bool :=
  if c == 110 && bytesAt b i wordUnsafe 0 then true
  else if c == 108 then bytesAt b i wordProof 0 || bytesAt b i wordAny 0 || bytesAt b i wordUnreachable 0
  else if isNameByte before then false
  else bytesAt b i wordNative 0 || bytesAt b i wordDecide 0 || bytesAt b i wordBool 0 || bytesAt b i wordNat 0 || bytesAt b i wordReduce 0

/-- What looking at a text's letters tells: 0, it cannot run code; 1, its syntax has to be looked at; 2, it names what is forbidden.
Syntax that could run code has an attribute, a comment that may be a documentation, or an option: `(name := …)`. -/
unsafe def scan (b : ByteArray) (i : Nat) (before : UInt8) (opened look : Bool) : Nat :=
  if i < b.size then
    let c := b.get! i
    if (c == 110 || c == 108 || c == 98 || c == 114 || c == 111) && forbiddenAt b i c before then 2 else
    let look := look || (c == 64 && byteAt b (i + 1) 91) || (c == 47 && byteAt b (i + 1) 45) || (opened && c == 58 && byteAt b (i + 1) 61)
    -- Bytes of other alphabets count as names too: they may be.
    let opened := c == 40 || (opened && (isNameByte c || c ≤ 32 || c == 46 || c ≥ 128))
    scan b (i + 1) c opened look
  else if look then 1 else 0

/-- Whether a text names something that escapes Lean's types, or has compiled code run. Such terms can be run while a tactic is
elaborated, before anything is checked; and with `sorry` or a false equation a term of any type can be made a program, so
that no list of dangerous programs would do. A name can be written in no other way than by its letters, so looking at the text is enough. -/
unsafe def namesUnsafe (s : String) (_ : String.Pos.Raw) : Bool := scan s.toUTF8 0 32 false false == 2

/-- Kinds of syntax that the value of a tactic's option is made of, when it says something and computes nothing. -/
unsafe def isPlainKind (k : Name) : Bool :=
  k == `null || k == `num || k == `str || k == `choice || k == `Lean.Parser.Term.structInst || k == `Lean.Parser.Term.structInstFields
  || k == `Lean.Parser.Term.structInstField || k == `Lean.Parser.Term.structInstLVal || k == `Lean.Parser.Term.structInstFieldDef
  || k == `Lean.Parser.Term.optEllipsis || k == `Lean.Parser.Term.dotIdent || k == `Lean.Parser.Term.paren
  || k == `«term[_]» || k == `«term{}» || k == `hygieneInfo

unsafe def pushAll (a : Array Syntax) (i : Nat) (todo : Array Syntax) : Array Syntax :=
  if h : i < a.size then pushAll a (i + 1) (todo.push a[i]) else todo

/-- Whether a value consists of plain kinds. These walks keep a list of what is to be looked at: syntax can be deeper than the stack. -/
unsafe def allPlain (todo : Array Syntax) : Bool :=
  if todo.size == 0 then true else
  match todo[todo.size - 1]! with
  | .node _ k args =>
    if isPlainKind k || (k == `Lean.Parser.Term.app && args.size > 0 && args[0]!.getKind == `Lean.Parser.Term.dotIdent)
    then allPlain (pushAll args 0 todo.pop) else false
  | _ => allPlain todo.pop

/-- Whether an option of a tactic is given by a term that computes (Lean compiles and runs it to know the value), or a local function
has an attribute or a documentation (some of both are programs for Lean). -/
unsafe def runsSyntax (todo : Array Syntax) : Bool :=
  if todo.size == 0 then false else
  match todo[todo.size - 1]! with
  | .node _ k args =>
    if k == `Lean.Parser.Term.attributes || k == `Lean.Parser.Command.docComment then true
    else if (k == `Lean.Parser.Tactic.valConfigItem || k == `Lean.Parser.Tactic.config) && !(allPlain (pushAll args 0 #[])) then true
    else runsSyntax (pushAll args 0 todo.pop)
  | _ => runsSyntax todo.pop

/-- Whether a source could run code while it is elaborated. -/
unsafe def runsCode (src : String) (stx : Syntax) : Bool :=
  match scan src.toUTF8 0 32 false false with
  | 0 => false
  | 1 => runsSyntax #[stx]
  | _ => true

/-- What became of one tactic: a new state, or a reason in `json`. -/
structure Step where
  next : Option GoalState
  json : List (String × Json)

unsafe def stepKind (e : Exception) : String :=
  if e.isMaxHeartbeat then "heartbeats" else if e.isMaxRecDepth then "recursion" else if e.isInterrupt then "interrupt" else "error"

unsafe def isAmong (g : MVarId) : List MVarId → Bool
  | [] => false
  | m :: r => if m == g then true else isAmong g r

unsafe def without (gone : List MVarId) : List MVarId → List MVarId
  | [] => []
  | g :: r => if isAmong g gone then without gone r else g :: without gone r

/-- Runs an action on the goals `seen`, which gives the goals after it. With `brief` an error's text is not rendered, which for some
tactics takes longer than failing did. -/
unsafe def perform (s : GoalState) (seen : List MVarId) (src : String) (heartbeats : Nat) (brief : Bool) (act : TermElabM (List MVarId × Fragments)) : BaseIO Step := do
  let x : TermElabM (List MVarId × Fragments × Bool × Bool × Array Json) := do
    let (gs, fragments) ← act
    if (← getThe Core.State).messages.hasErrors then return (gs, [], false, false, #[])
    let sorry? ← solvedHasSorry seen
    let unsafe? ← solvedHasUnsafe (← getEnv) seen
    return (gs, fragments, sorry?, unsafe?, ← goalsJson gs #[])
  let r ← run s.header src heartbeats s.core s.metas s.term x
  let failed (reason : String) : BaseIO Step := do
    let ms ← if brief then pure #[] else messages r src
    return { next := none, json := [("messages", .arr ms), ("hasSorry", .bool false), ("hasUnsafe", .bool false), ("reason", .str reason)] }
  match r.result with
  | .error e => failed (stepKind e)
  | .ok (gs, fragments, sorry?, unsafe?, js) =>
    if r.core.messages.hasErrors then failed "error" else
    let ms ← messages r src
    return {
      next := some { s with
        core := { r.core with messages := {}, infoState := {} }, metas := r.metas, term := r.term, goals := gs
        parents := without gs seen, fragments := fragments }
      json := [("goals", .arr js), ("messages", .arr ms), ("hasSorry", .bool sorry?), ("hasUnsafe", .bool unsafe?)] }

/-- Parses the text of a step and goes on with its syntax, unless the text could run code. -/
unsafe def readStep (s : GoalState) (fn : Parser.ParserFn) (src : String) (k : Syntax → BaseIO Step) : BaseIO Step := do
  match parseAll { s.header with env := s.core.env } fn src with
  | .error e => return { next := none, json := [("parseError", .str e), ("hasSorry", .bool false), ("hasUnsafe", .bool false)] }
  | .ok stx =>
    if runsCode src stx then
      return { next := none, json := [("messages", .arr #[]), ("hasSorry", .bool false), ("hasUnsafe", .bool true), ("reason", .str "unsafe")] }
    k stx

/-- Applies a tactic to the goals `seen`. -/
unsafe def step (s : GoalState) (seen : List MVarId) (src : String) (heartbeats : Nat) (brief : Bool) : BaseIO Step :=
  readStep s Parser.Tactic.tacticSeq.fn src fun stx =>
    perform s seen src heartbeats brief do return (← evalTactics stx seen, s.fragments)
