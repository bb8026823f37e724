import Lean.Elab.Frontend
import Lean.Elab.Tactic.BuiltinTactic
/-
The server: Pantograph's JSON lines over the embedded Lean (docs/protocol.md). `burnqed.lean.embedded.programs` puts the
parts in this folder together, in the order given there, into one of two programs:

    prover      what a proof search needs; its source is elaborated at every start, so it stays small
    complete    all of Pantograph's protocol, and files with sorries

Started with modules as arguments, it imports them, prints `ready.`, then answers one line with one line. All parts are
written in the narrow dialect that the embedded build can interpret: own recursion on concrete types instead of `for`,
`List.map`, `isEmpty` and whatever else the compiler would specialise; monads run by applying them to their contexts and
references. What Python can do, Python does.
-/
open Lean Elab Meta

/-- What the running request adds to every elaboration: options of printing, and a token that stops it when it takes too long. -/
structure Request where
  shows : Options → Options := fun o => o
  arm : BaseIO (Option IO.CancelToken) := pure none
  disarm : BaseIO Unit := pure ()

/-- What a header (`open`, `namespace`, `universe`, `set_option`, definitions) makes of the imported environment. -/
structure Header where
  text : String
  env : Environment
  opts : Options
  ns : Name
  opens : List OpenDecl
  levels : List Name
  scope : Option Command.Scope := none -- all of the scope that a file left, its variables among it
  request : Option (IO.Ref Request) := none -- the server's, in what it keeps

/-- What a goal is in the middle of. -/
inductive Fragment where
  | calc (before : Option Expr) -- the right side of the step before
  | conv (rhs proof : MVarId) -- out of sight until its conversion ends, with this right side and proof
  | piece (of : MVarId) -- a part of the conversion of that goal

abbrev Fragments := List (MVarId × Fragment)

/-- A proof state. States share structure and never change, so any of them can be continued at any time. -/
structure GoalState where
  header : Header
  core : Core.State
  metas : Meta.State
  term : Term.State
  goals : List MVarId
  root : MVarId
  parents : List MVarId := [] -- the goals that the last step assigned, or put into a fragment
  fragments : Fragments := []
  trail : Json := .null -- how it was made: `{"cmd", "payload", "from": [trails], "index"?}`

structure Server where
  base : IO.Ref Header -- what was imported, and what was added to it since
  headers : IO.Ref (Array Header)
  other : IO.Ref (Option Header) -- an environment of other imports, see imports.lean
  dead : IO.Ref (List Header) -- those before it, until their memory is given back
  states : IO.Ref (Array (Option GoalState))
  options : IO.Ref (List (String × Json))
  request : IO.Ref Request
  changes : IO.Ref (Array (Header × Json)) -- what changed the base since the start, each after the base before it

/-- What an action leaves behind: its messages always, a value or an exception. -/
structure Ran (α : Type) where
  result : Except Exception α
  core : Core.State
  metas : Meta.State
  term : Term.State

-- ## JSON ---------------------------------------------------------------------------------------------

abbrev Fields := List (String × Json)

unsafe def cat : Fields → Fields → Fields
  | [], b => b
  | x :: a, b => x :: cat a b

unsafe def num (n : Nat) : Json := .num (JsonNumber.fromNat n)

unsafe def failure (kind desc : String) : Json := Json.mkObj [("error", .str kind), ("desc", .str desc)]

unsafe def field? (j : Json) (k : String) : Option Json :=
  match j.getObjVal? k with
  | .ok .null => none
  | .ok v => some v
  | .error _ => none

unsafe def str? (j : Json) (k : String) : Option String :=
  match field? j k with
  | some (.str s) => some s
  | _ => none

/-- A reply carries its request's nonce, so that nothing which a tactic prints can pass for it. -/
unsafe def signed (request reply : Json) : Json :=
  match field? request "nonce" with
  | some n => reply.setObjVal! "nonce" n
  | none => reply

unsafe def nat? (j : Json) (k : String) : Option Nat :=
  match field? j k with
  | some (.num n) => if n.exponent == 0 && n.mantissa ≥ 0 then some n.mantissa.toNat else none
  | _ => none

unsafe def flag (j : Json) (k : String) : Bool :=
  match field? j k with
  | some (.bool b) => b
  | _ => false

unsafe def lookup : List (String × Json) → String → Option Json
  | [], _ => none
  | (a, v) :: r, k => if a == k then some v else lookup r k

unsafe def replace : List (String × Json) → String → Json → List (String × Json)
  | [], _, _ => []
  | (a, v) :: r, k, w => if a == k then (a, w) :: r else (a, v) :: replace r k w

unsafe def isTrue : Option Json → Bool
  | some (.bool b) => b
  | _ => false

unsafe def strings (a : Array Json) (i : Nat) : List String :=
  if h : i < a.size then
    match a[i] with
    | .str s => s :: strings a (i + 1)
    | _ => strings a (i + 1)
  else []

unsafe def plainFrom (s : String) (p : String.Pos.Raw) : Bool :=
  if p.atEnd s then true else if isIdRest (p.get s) then plainFrom s (p.next s) else false

unsafe def quoted (s : String) : String :=
  if s != "" && isIdFirst (String.Pos.Raw.get s 0) && plainFrom s 0 then s else "«" ++ s ++ "»"

/-- A name as text; with `quote` its odd parts stand in «». -/
unsafe def nameText (quote : Bool) : Name → String
  | .anonymous => "[anonymous]"
  | .str p s => prefixed (nameText quote p) p (if quote then quoted s else s)
  | .num p n => prefixed (nameText quote p) p (toString n)
where prefixed (before : String) (p : Name) (s : String) : String := match p with
  | .anonymous => s
  | _ => before ++ "." ++ s

unsafe def nameStr (n : Name) : String := nameText false n

unsafe def nameArray (a : Array Name) (i : Nat) (acc : Array Json) : Array Json :=
  if h : i < a.size then nameArray a (i + 1) (acc.push (.str (nameStr a[i]))) else acc

unsafe def nameList : List Name → Array Json → Array Json
  | [], acc => acc
  | n :: r, acc => nameList r (acc.push (.str (nameStr n)))

unsafe def names : List Name → List Name → List Name
  | [], b => b
  | n :: a, b => n :: names a b

unsafe def toNames : List String → List Name
  | [] => []
  | s :: r => s.toName :: toNames r

-- ## Running and parsing ------------------------------------------------------------------------------

unsafe def inputContext (src file : String) : Parser.InputContext :=
  { inputString := src, fileName := file, fileMap := FileMap.ofString src, endPos := src.rawEndPos, endPos_valid := by simp }

unsafe def sourceName : String := "<burnqed>"

/-- Unification approximates as it does in a file; without that, `do` blocks already mean something else. -/
unsafe def metaContext : Meta.Context :=
  { keyedConfig := Config.toConfigWithKey { foApprox := true, ctxApprox := true, quasiPatternApprox := true } }

/-- Runs an action on a copy of the state; heartbeats count from here, not from the process's start. -/
unsafe def run (h : Header) (src : String) (heartbeats : Nat) (core : Core.State) (ms : Meta.State) (ts : Term.State) (x : TermElabM α) : BaseIO (Ran α) := do
  let now ← match h.request with
    | some r => r.get
    | none => pure {}
  let ctx : Core.Context := {
    fileName := sourceName, fileMap := FileMap.ofString src, options := now.shows h.opts, cancelTk? := ← now.arm, currNamespace := h.ns, openDecls := h.opens
    maxHeartbeats := heartbeats * 1000, initHeartbeats := ← IO.getNumHeartbeats, maxRecDepth := 512 }
  let cref ← IO.mkRef { core with messages := {}, infoState := {} }
  let mref ← IO.mkRef ms
  let tref ← IO.mkRef ts
  let e : EIO Exception α := x { errToSorry := false } tref metaContext mref ctx cref
  let r ← e.toBaseIO
  now.disarm
  return { result := r, core := ← cref.get, metas := ← mref.get, term := ← tref.get }

unsafe def runIn (h : Header) (src : String) (x : TermElabM α) : BaseIO (Ran α) :=
  run h src 0 { env := h.env } {} { levelNames := h.levels } x

unsafe def runAt (s : GoalState) (x : TermElabM α) : BaseIO (Ran α) :=
  run s.header "" 0 s.core s.metas s.term x

unsafe def parseAll (h : Header) (fn : Parser.ParserFn) (src : String) : Except String Syntax :=
  let ictx := inputContext src "<Pantograph>"
  let p := Parser.andthenFn Parser.whitespace fn
  let s := p.run ictx { env := h.env, options := h.opts, currNamespace := h.ns, openDecls := h.opens } (Parser.getTokenTable h.env) (Parser.mkParserState src)
  if s.allErrors.size != 0 then .error (s.toErrorMsg ictx)
  else if s.pos.atEnd src then .ok s.stxStack.back
  else .error ((s.mkError "end of input").toErrorMsg ictx)

unsafe def serialized : List Message → Array Json → BaseIO (Array Json)
  | [], acc => pure acc
  | m :: r, acc => do
    let s ← m.serialize
    serialized r (acc.push (toJson s))

unsafe def firstError : List Message → BaseIO String
  | [] => pure ""
  | m :: r => match m.severity with
    | .error => do return (← m.serialize).data
    | _ => firstError r

unsafe def noLine : Position := { line := 0, column := 0 }

unsafe def exceptionText (e : Exception) : BaseIO String := do
  e.toMessageData.toString

/-- The messages of a run; an exception becomes the error message that it would have been in a file. -/
unsafe def messages (r : Ran α) (src : String) : BaseIO (Array Json) := do
  let logged ← serialized r.core.messages.toList #[]
  match r.result with
  | .ok _ => return logged
  | .error e =>
    let map := FileMap.ofString src
    let ref := e.getRef
    let pos := match ref.getPos? with
      | some p => map.toPosition p
      | none => { line := 1, column := 0 }
    let stop := match ref.getTailPos? with
      | some p => some (map.toPosition p)
      | none => none
    let m : Message := { fileName := sourceName, pos := pos, endPos := stop, severity := .error, data := e.toMessageData }
    return logged.push (toJson (← m.serialize))

unsafe def defaultOptions : List (String × Json) :=
  [("printJsonPretty", .bool false), ("printExprPretty", .bool true), ("printExprAST", .bool false), ("printDependentMVars", .bool false),
   ("noRepeat", .bool false), ("printAuxDecls", .bool false), ("printImplementationDetailHyps", .bool false), ("automaticMode", .bool true),
   ("timeout", num 0), ("maxHeartbeats", num 200000)]

/-- The state in which the text after a header begins. -/
unsafe def commandState (h : Header) : Command.State :=
  let st := Command.mkState h.env {} h.opts
  let scope : Command.Scope := match h.scope with
    | some s => s
    | none => { header := "", opts := h.opts, currNamespace := h.ns, openDecls := h.opens, levelNames := h.levels }
  -- Code cannot be generated for every definition here; as in a noncomputable section, one without code is no error.
  { st with scopes := [{ scope with header := "", isNoncomputable := true }] }
