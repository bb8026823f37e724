import Lean.Elab.Frontend
import Lean.Elab.Tactic.BuiltinTactic
/-
The proving server: Pantograph's JSON lines over the embedded Lean (docs/protocol.md).

    serve.lean MODULE...      imports the modules, prints `ready.`, then answers one line with one line

It is elaborated at every start, so it stays small: what Python can do, Python does. It is written in the
narrow dialect that the embedded build can interpret: own recursion on concrete types instead of `for`,
`List.map`, `isEmpty` and whatever else the compiler would specialise; monads run by applying them to
their contexts and references.
-/
open Lean Elab Meta

/-- What a header (`open`, `namespace`, `universe`, `set_option`, definitions) makes of the imported environment. -/
structure Header where
  text : String
  env : Environment
  opts : Options
  ns : Name
  opens : List OpenDecl
  levels : List Name

/-- A proof state. States share structure and never change, so any of them can be continued at any time. -/
structure GoalState where
  header : Header
  core : Core.State
  metas : Meta.State
  term : Term.State
  goals : List MVarId
  root : MVarId

structure Server where
  base : Header
  headers : IO.Ref (Array Header)
  states : IO.Ref (Array (Option GoalState))
  options : IO.Ref (List (String × Json))

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
  let ctx : Core.Context := {
    fileName := sourceName, fileMap := FileMap.ofString src, options := h.opts, currNamespace := h.ns, openDecls := h.opens
    maxHeartbeats := heartbeats * 1000, initHeartbeats := ← IO.getNumHeartbeats, maxRecDepth := 512 }
  let cref ← IO.mkRef { core with messages := {}, infoState := {} }
  let mref ← IO.mkRef ms
  let tref ← IO.mkRef ts
  let e : EIO Exception α := x { errToSorry := false } tref metaContext mref ctx cref
  let r ← e.toBaseIO
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

-- ## Goals --------------------------------------------------------------------------------------------

unsafe def inLocal (lctx : LocalContext) (insts : LocalInstances) (x : MetaM α) : MetaM α :=
  fun c s => x { c with lctx := lctx, localInstances := insts } s

unsafe def expression (e : Expr) : MetaM Json := do
  return Json.mkObj [("pp", .str (← ppExpr e).pretty)]

/-- The variables of a goal; also the visible ones as expressions, and whether a metavariable occurs in their types. -/
unsafe def variables (lctx : LocalContext) (ids : Array FVarId) (i : Nat) (acc : Array Json) (xs : Array Expr) (open? : Bool) : MetaM (Array Json × Array Expr × Bool) := do
  if h : i < ids.size then
    match lctx.find? ids[i] with
    | none => variables lctx ids (i + 1) acc xs open?
    | some d =>
      if d.isAuxDecl then variables lctx ids (i + 1) acc xs open? else
      if d.isImplementationDetail then variables lctx ids (i + 1) acc (xs.push d.toExpr) open? else
      let ty ← instantiateMVars d.type
      let base := [("name", Json.str (nameStr d.fvarId.name)), ("userName", Json.str (nameStr d.userName)),
        ("isInaccessible", Json.bool d.userName.isInaccessibleUserName), ("type", ← expression ty)]
      let (obj, o) ← match d.value? with
        | some v => do
          let v ← instantiateMVars v
          pure (cat base [("value", ← expression v)], v.hasExprMVar)
        | none => pure (base, false)
      variables lctx ids (i + 1) (acc.push (Json.mkObj obj)) (xs.push d.toExpr) (open? || o || ty.hasExprMVar)
  else return (acc, xs, open?)

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

/-- A goal as Pantograph shows it, and `key`: a hash of the closed statement `∀ hypotheses, target` up to names, absent
when a metavariable ties the goal to others. -/
unsafe def goalJson (g : MVarId) : MetaM Json := do
  match (← getMCtx).findDecl? g with
  | none => throwError "unknown goal"
  | some d =>
  let ids := d.lctx.getFVarIds
  let lctx := sanitize ids ids.size {} [] d.lctx
  inLocal lctx d.localInstances do
    let (vars, xs, open?) ← variables lctx ids 0 #[] #[] false
    let type ← instantiateMVars d.type
    let target ← expression type
    let key ← if open? || type.hasExprMVar then pure [] else do
      let closed ← mkForallFVars xs type
      pure [("key", Json.str (toString closed.hash.toNat))]
    let user := match d.userName with
      | .anonymous => []
      | n => [("userName", Json.str (nameStr n))]
    return Json.mkObj (("name", Json.str (nameStr g.name)) :: ("fragment", .str "tactic") :: ("target", target) :: ("vars", .arr vars) :: cat user key)

unsafe def join : List MVarId → List MVarId → List MVarId
  | [], b => b
  | g :: a, b => g :: join a b

unsafe def goalsJson : List MVarId → Array Json → MetaM (Array Json)
  | [], acc => pure acc
  | g :: r, acc => do goalsJson r (acc.push (← goalJson g))

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

-- ## Statements ---------------------------------------------------------------------------------------

unsafe def nodeArgs (s : Syntax) : Array Syntax := s.getArgs

/-- The name and the parts of `theorem NAME BINDERS : TYPE := …` or `example BINDERS : TYPE := …`. -/
unsafe def theoremParts (stx : Syntax) : Except String (Name × Array Syntax × Syntax) :=
  let d := stx[1]
  let parts (name : Name) (sig : Syntax) (type : Syntax) : Except String (Name × Array Syntax × Syntax) :=
    .ok (name, nodeArgs sig[0], type)
  if d.getKind == ``Parser.Command.theorem then parts d[1][0].getId d[2] d[2][1][1]
  else if d.getKind == ``Parser.Command.example then
    if (nodeArgs d[1][1]).size == 0 then .error "the example states no type" else parts `_example d[1] d[1][1][0][1]
  else .error "not a theorem: give `theorem NAME … : … := by sorry` or a bare proposition"

unsafe def universeNames (stx : Syntax) : List Name :=
  let us := stx[1][1][1]
  if (nodeArgs us).size == 0 then [] else go (nodeArgs us[1]) 0
where go (a : Array Syntax) (i : Nat) : List Name :=
  if h : i < a.size then (if a[i].isIdent then a[i].getId :: go a (i + 1) else go a (i + 1)) else []

/-- How many variables a binder of a signature introduces: `(x y : Nat)` two, `[Add α]` and a bare `x` one. -/
unsafe def binderCount (a : Array Syntax) (i : Nat) : Nat :=
  if h : i < a.size then
    let b := a[i]
    let n := if b.isIdent || b.getKind == ``Parser.Term.instBinder || b.getKind == ``Parser.Term.hole then 1 else (nodeArgs b[1]).size
    n + binderCount a (i + 1)
  else 0

/-- `∀ binders, type`, as syntax. -/
unsafe def closedSyntax (binders : Array Syntax) (type : Syntax) : Syntax :=
  if binders.size == 0 then type else
    mkNode ``Parser.Term.forall #[mkAtom "∀", mkNullNode binders, mkNullNode, mkAtom ",", type]

unsafe def elabStatement (stx : Syntax) : TermElabM Expr := do
  let e ← Term.elabType stx
  Term.synthesizeSyntheticMVarsNoPostponing
  let e ← instantiateMVars e
  let e := ((← getMCtx).levelMVarToParam (fun _ => false) (fun _ => false) e `u 1).expr
  if e.hasExprMVar then throwError "the statement leaves something undetermined (a metavariable): add type annotations\n{e}"
  if e.hasSorry then throwError "the statement itself contains `sorry`"
  letToHave e -- as Lean does with a theorem's type

unsafe def startFrom (e : Expr) (intros : Nat) : TermElabM (List MVarId × MVarId) := do
  let g ← mkFreshExprSyntheticOpaqueMVar e
  if intros == 0 then return ([g.mvarId!], g.mvarId!)
  let (_, m) ← g.mvarId!.introNP intros
  return ([m], g.mvarId!)

unsafe def elabTerm (stx : Syntax) (type? : Option Syntax) : TermElabM Expr := do
  let expected ← match type? with
    | some t => do pure (some (← Term.elabType t))
    | none => pure none
  let e ← Term.elabTermEnsuringType stx expected
  Term.synthesizeSyntheticMVarsNoPostponing
  instantiateMVars e

-- ## Tactics ------------------------------------------------------------------------------------------

unsafe def evalTactics (stx : Syntax) (goals : List MVarId) : TermElabM (List MVarId) := do
  let ref ← IO.mkRef ({ goals := goals } : Tactic.State)
  -- No error recovery: a tactic that logs an error and goes on would look as if it had succeeded.
  let ctx : Tactic.Context := { elaborator := .anonymous, recover := false }
  Tactic.evalTactic stx ctx ref
  Term.synthesizeSyntheticMVarsNoPostponing
  Tactic.getUnsolvedGoals ctx ref

/-- Whether `word` stands in `s` at `p`. -/
unsafe def standsAt (s : String) (p : String.Pos.Raw) (word : String) (q : String.Pos.Raw) : Bool :=
  if q.atEnd word then true else if p.atEnd s then false
  else if p.get s == q.get word then standsAt s (p.next s) word (q.next word) else false

/-- Whether a text names something that escapes Lean's types. Such terms can be run while a tactic is elaborated, before anything is
checked. A name can be written in no other way than by its letters, so looking at the text is enough. -/
unsafe def namesUnsafe (s : String) (p : String.Pos.Raw) : Bool :=
  if p.atEnd s then false
  else if p.get s == 'n' && standsAt s p "nsafe" 0 then true
  else if p.get s == 'l' && (standsAt s p "lcProof" 0 || standsAt s p "lcAny" 0 || standsAt s p "lcUnreachable" 0) then true
  else namesUnsafe s (p.next s)

/-- What became of one tactic: a new state, or a reason in `json`. -/
structure Step where
  next : Option GoalState
  json : List (String × Json)

unsafe def stepKind (e : Exception) : String :=
  if e.isMaxHeartbeat then "heartbeats" else if e.isMaxRecDepth then "recursion" else "error"

/-- Applies a tactic. With `brief` an error's text is not rendered, which for some tactics takes longer than failing did. -/
unsafe def step (s : GoalState) (goals : List MVarId) (rest : List MVarId) (src : String) (heartbeats : Nat) (brief : Bool) : BaseIO Step := do
  let h := { s.header with env := s.core.env }
  match parseAll h Parser.Tactic.tacticSeq.fn src with
  | .error e => return { next := none, json := [("parseError", .str e), ("hasSorry", .bool false), ("hasUnsafe", .bool false)] }
  | .ok stx =>
    if namesUnsafe src 0 then
      return { next := none, json := [("messages", .arr #[]), ("hasSorry", .bool false), ("hasUnsafe", .bool true), ("reason", .str "unsafe")] }
    let x : TermElabM (List MVarId × Bool × Bool × Array Json) := do
      let gs ← evalTactics stx goals
      let gs := join gs rest
      if (← getThe Core.State).messages.hasErrors then return (gs, false, false, #[])
      let sorry? ← solvedHasSorry goals
      let unsafe? ← solvedHasUnsafe (← getEnv) goals
      return (gs, sorry?, unsafe?, ← goalsJson gs #[])
    let r ← run s.header src heartbeats s.core s.metas s.term x
    let failed (reason : String) : BaseIO Step := do
      let ms ← if brief then pure #[] else messages r src
      return { next := none, json := [("messages", .arr ms), ("hasSorry", .bool false), ("hasUnsafe", .bool false), ("reason", .str reason)] }
    match r.result with
    | .error e => failed (stepKind e)
    | .ok (gs, sorry?, unsafe?, js) =>
      if r.core.messages.hasErrors then failed "error" else
      let ms ← messages r src
      return {
        next := some { s with core := { r.core with messages := {}, infoState := {} }, metas := r.metas, term := r.term, goals := gs }
        json := [("goals", .arr js), ("messages", .arr ms), ("hasSorry", .bool sorry?), ("hasUnsafe", .bool unsafe?)] }

-- ## Verdict ------------------------------------------------------------------------------------------

/-- The walk over everything that a proof rests on. -/
structure Walk where
  seen : NameSet := {}
  found : Array Name := #[] -- axioms
  own : Array ConstantInfo := #[] -- constants that tactics made, each after those it uses

unsafe def isAxiom (env : Environment) (n : Name) (c : ConstantInfo) : Bool :=
  match c with
  -- Theorems of imported modules come as axioms, without their proofs; Lean remembers what they were.
  | .axiomInfo _ => match getOriginalConstKind? env n with
    | some .axiom => true
    | some _ => false
    | none => true
  | _ => false

/-- What an imported constant brings with it. Proofs of imported theorems are not there to be looked into; but the kernel computes
these two by compiled code, whatever the definition says, and Lean makes them depend on an axiom for that reason. -/
unsafe def trusts (n : Name) (w : Walk) : Walk :=
  if (n == ``Lean.reduceBool || n == ``Lean.reduceNat) && !w.seen.contains ``Lean.trustCompiler
  then { w with seen := w.seen.insert ``Lean.trustCompiler, found := w.found.push ``Lean.trustCompiler } else w

mutual
/-- Walks what a name rests on: into everything that is not from an imported module. `made` are the names not in the header. -/
unsafe def walkName (env before : Environment) (n : Name) (w : Walk) : Walk :=
  if w.seen.contains n then w else
  let w := { w with seen := w.seen.insert n }
  match env.find? n with
  | none => { w with found := w.found.push n }
  | some c =>
    let w := if isAxiom env n c then { w with found := w.found.push n } else w
    match env.getModuleIdxFor? n with
    | some _ => trusts n w
    | none =>
      let w := walkArray env before c.type.getUsedConstants 0 w
      let w := match c.value? (allowOpaque := true) with
        | some v => walkArray env before v.getUsedConstants 0 w
        | none => w
      if before.contains n then w else { w with own := w.own.push c }
unsafe def walkArray (env before : Environment) (a : Array Name) (i : Nat) (w : Walk) : Walk :=
  if h : i < a.size then walkArray env before a (i + 1) (walkName env before a[i] w) else w
end

/-- Adds the constants that tactics made to the environment before them, each through the kernel: an option that switched
checking off in a tactic has no say here. -/
unsafe def replay (env : Environment) (own : Array ConstantInfo) (i : Nat) : Except String Environment :=
  if h : i < own.size then
    let add (d : Declaration) : Except String Environment :=
      match env.addDeclCore 0 d none with
      | .ok env => replay env own (i + 1)
      | .error _ => .error ("the kernel rejects the auxiliary constant " ++ nameStr own[i].name)
    match own[i] with
    | .thmInfo v => add (.thmDecl v)
    | .defnInfo v => if v.safety == .safe then add (.defnDecl v) else .error ("the proof uses the unsafe or partial constant " ++ nameStr v.name)
    | .opaqueInfo v => if v.isUnsafe then .error ("the proof uses the unsafe constant " ++ nameStr v.name) else add (.opaqueDecl v)
    | c => .error ("a tactic declared " ++ nameStr c.name ++ ", which is neither a theorem nor a definition")
  else .ok env

/-- Whether a proof rests on compiled code. The kernel is not asked about such a proof: it would run code that the environment
before the tactics does not have, which may end the process. -/
unsafe def compiled (w : Walk) : Bool :=
  w.seen.contains ``Lean.trustCompiler || w.seen.contains ``Lean.ofReduceBool || w.seen.contains ``Lean.ofReduceNat

unsafe def kernelText (e : Kernel.Exception) : String :=
  match e with
  | .declTypeMismatch .. => "the proof has another type than the statement"
  | .deterministicTimeout => "the kernel ran out of its limit"
  | .deepRecursion => "the kernel ran into deep recursion"
  | _ => "the kernel rejects the proof"

/-- Whether a state with no goals is a proof: no metavariable, no sorry, the kernel accepts it, and on what it rests. -/
unsafe def verdict (s : GoalState) : TermElabM Json := do
  let type ← instantiateMVars (← s.root.getType)
  let proof ← instantiateMVars (.mvar s.root)
  let no (reason : String) : TermElabM Json := return Json.mkObj [("accepted", .bool false), ("reason", .str reason), ("axioms", .arr #[])]
  if proof.hasExprMVar then return ← no "the proof term has metavariables: some goal is still open"
  if proof.hasLevelMVar then return ← no "the proof term has universe metavariables"
  if proof.hasSorry then return ← no "the proof uses sorry"
  let env ← getEnv
  let before := s.header.env
  let w := walkArray env before proof.getUsedConstants 0 (walkArray env before type.getUsedConstants 0 {})
  if w.seen.contains ``sorryAx then return ← no "the proof uses sorry" -- in an auxiliary lemma, say
  if compiled w then
    return Json.mkObj [("accepted", .bool false), ("reason", .str "the proof rests on compiled code"), ("axioms", .arr (nameArray w.found 0 #[]))]
  match replay before w.own 0 with
  | .error e => no e
  | .ok env' =>
    let levels := (collectLevelParams (collectLevelParams {} type) proof).params.toList
    match env'.addDeclCore 0 (.thmDecl { name := `burnqed.candidate, levelParams := levels, type := type, value := proof }) none with
    | .error e => no (kernelText e)
    | .ok _ => return Json.mkObj [("accepted", .bool true), ("reason", .str ""), ("axioms", .arr (nameArray w.found 0 #[]))]

/-- A statement's type with its universe parameters renamed by position, so that two elaborations of it can be compared. -/
unsafe def normalLevels (e : Expr) : Expr :=
  let ps := (collectLevelParams {} e).params.toList
  e.instantiateLevelParams ps (fresh ps 0)
where fresh : List Name → Nat → List Level
  | [], _ => []
  | _ :: r, i => .param (.num `p i) :: fresh r (i + 1)

/-- Judges a whole file: its header is elaborated alone, the statement is elaborated by us in it; the file's theorem of that name must
have that very type, and everything made after the header is added again to the header's environment by the kernel. -/
unsafe def judge (h : Header) (st : Command.State) (name : Name) (type : Expr) : Json :=
  let no (reason : String) (found : Array Name) := Json.mkObj [("accepted", .bool false), ("reason", .str reason), ("axioms", .arr (nameArray found 0 #[]))]
  match st.env.find? name with
  | none => no ("the file does not define " ++ nameStr name) #[]
  | some c => match c with
    | .thmInfo v =>
      if normalLevels v.type != normalLevels type then no "the file's theorem does not state what was asked" #[] else
      let w := walkName st.env h.env name (walkArray st.env h.env type.getUsedConstants 0 {})
      if w.seen.contains ``sorryAx then no "the proof uses sorry" w.found else
      if compiled w then no "the proof rests on compiled code" w.found else
      match replay h.env w.own 0 with
      | .error e => no e w.found
      | .ok env => match env.find? name with
        | some _ => Json.mkObj [("accepted", .bool true), ("reason", .str ""), ("axioms", .arr (nameArray w.found 0 #[]))]
        | none => no "the kernel did not take the theorem" w.found
    | _ => no (nameStr name ++ " is not a theorem in the file") #[]

-- ## Environment --------------------------------------------------------------------------------------

unsafe def kindLetter (env : Environment) (n : Name) (c : ConstantInfo) : String :=
  match c with
  | .axiomInfo _ => if isAxiom env n c then "a" else "t"
  | .defnInfo _ => "d"
  | .thmInfo _ => "t"
  | .opaqueInfo _ => "o"
  | .quotInfo _ => "q"
  | .inductInfo _ => "i"
  | .ctorInfo _ => "c"
  | .recInfo _ => "r"

unsafe def catalogModule (env : Environment) (d : ModuleData) (i : Nat) (acc : Array Json) : Array Json :=
  if h : i < d.constants.size then
    let c := d.constants[i]
    let acc := if c.isUnsafe || c.name.isInternal then acc else acc.push (.str (kindLetter env c.name c ++ nameText true c.name))
    catalogModule env d (i + 1) acc
  else acc

unsafe def catalog (env : Environment) (wanted : Name → Bool) (i : Nat) (acc : Array Json) : Array Json :=
  if h : i < env.header.moduleData.size then
    let acc := if wanted env.header.moduleNames[i]! then catalogModule env env.header.moduleData[i] 0 acc else acc
    catalog env wanted (i + 1) acc
  else acc

unsafe def rules (l : List RecursorRule) (acc : Array Json) : MetaM (Array Json) := do
  match l with
  | [] => return acc
  | r :: rest => rules rest (acc.push (Json.mkObj [("ctor", .str (nameStr r.ctor)), ("nFields", num r.nfields), ("rhs", ← expression r.rhs)]))

unsafe def inspect (env : Environment) (n : Name) (c : ConstantInfo) (p : Json) : MetaM Json := do
  let mut fields := [("type", ← expression c.type), ("isUnsafe", Json.bool c.isUnsafe)]
  match env.getModuleIdxFor? n with
  | some i => fields := ("module", Json.str (nameStr env.header.moduleNames[i.toNat]!)) :: fields
  | none => pure ()
  match privateToUserName? n with
  | some u => fields := ("publicName", Json.str (nameStr u)) :: fields
  | none => pure ()
  if flag p "value" then
    match c.value? (allowOpaque := true) with
    | some v => fields := ("value", ← expression v) :: fields
    | none => pure ()
  if flag p "dependency" then
    fields := ("typeDependency", Json.arr (nameArray c.type.getUsedConstants 0 #[])) :: fields
    match c.value? (allowOpaque := true) with
    | some v => fields := ("valueDependency", Json.arr (nameArray v.getUsedConstants 0 #[])) :: fields
    | none => pure ()
  match c with
  | .inductInfo v => fields := ("inductInfo", Json.mkObj [("numParams", num v.numParams), ("numIndices", num v.numIndices),
      ("all", .arr (nameList v.all #[])), ("ctors", .arr (nameList v.ctors #[])), ("isRec", .bool v.isRec),
      ("isReflexive", .bool v.isReflexive), ("isNested", .bool v.isNested)]) :: fields
  | .ctorInfo v => fields := ("constructorInfo", Json.mkObj [("induct", .str (nameStr v.induct)), ("cidx", num v.cidx),
      ("numParams", num v.numParams), ("numFields", num v.numFields)]) :: fields
  | .recInfo v => fields := ("recursorInfo", Json.mkObj [("all", .arr (nameList v.all #[])), ("numParams", num v.numParams),
      ("numIndices", num v.numIndices), ("numMotives", num v.numMotives), ("numMinors", num v.numMinors),
      ("rules", .arr (← rules v.rules #[])), ("k", .bool v.k)]) :: fields
  | _ => pure ()
  return Json.mkObj fields

-- ## Commands -----------------------------------------------------------------------------------------

unsafe def defaultOptions : List (String × Json) :=
  [("printJsonPretty", .bool false), ("printExprPretty", .bool true), ("printExprAST", .bool false), ("printDependentMVars", .bool false),
   ("noRepeat", .bool false), ("printAuxDecls", .bool false), ("printImplementationDetailHyps", .bool false), ("automaticMode", .bool true),
   ("timeout", num 0), ("maxHeartbeats", num 200000)]

unsafe def exceptionText (e : Exception) : BaseIO String := do
  e.toMessageData.toString

unsafe def reply (r : Ran Json) : BaseIO Json := do
  match r.result with
  | .ok j => return j
  | .error e => return failure "expr" (← exceptionText e)

unsafe def findHeader (text : String) (a : Array Header) (i : Nat) : Option Header :=
  if h : i < a.size then (if a[i].text == text then some a[i] else findHeader text a (i + 1)) else none

/-- The environment and scope after a header's commands. Headers are elaborated once and kept. -/
unsafe def openHeader (sv : Server) (text : String) : IO (Except Json Header) := do
  match findHeader text (← sv.headers.get) 0 with
  | some h => return .ok h
  | none =>
    let s ← IO.processCommands (inputContext text "<header>") {} (Command.mkState sv.base.env {} sv.base.opts)
    let st := s.commandState
    if st.messages.hasErrors then return .error (failure "frontend" (← firstError st.messages.toList))
    match st.scopes with
    | [] => return .error (failure "frontend" "the header closes its own scope")
    | sc :: _ =>
      let h : Header := { text := text, env := st.env, opts := sc.opts, ns := sc.currNamespace, opens := sc.openDecls, levels := sc.levelNames }
      sv.headers.modify fun a => a.push h
      return .ok h

/-- Whether a source is one theorem and nothing else, but for a limit that is set for it. -/
unsafe def isOneTheorem (stx : Syntax) : Bool :=
  let k := stx.getKind
  if k == ``Parser.Command.in then stx[0].getKind == ``Parser.Command.set_option && stx[0][1].getId == `maxHeartbeats && isOneTheorem stx[2]
  else k == ``Parser.Command.declaration && stx[1].getKind == ``Parser.Command.theorem

unsafe def refused (reason : String) : Json :=
  Json.mkObj [("accepted", .bool false), ("reason", .str reason), ("axioms", .arr #[]), ("messages", .arr #[])]

/-- `theorem.check`: the gate's question, meant for a process that has answered nothing before. -/
unsafe def theoremCheck (sv : Server) (p : Json) : IO Json := do
  match str? p "header", str? p "theorem", str? p "source" with
  | some header, some statement, some source =>
    match ← openHeader sv header with
    | .error j => return j
    | .ok h =>
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
            if namesUnsafe source 0 then return refused "the source names something unsafe"
            let s ← IO.processCommands (inputContext (header ++ "\n" ++ source) sourceName) {} (Command.mkState sv.base.env {} sv.base.opts)
            let st := s.commandState
            let ms ← serialized st.messages.toList #[]
            let judged ← if st.messages.hasErrors
              then do pure (Json.mkObj [("accepted", .bool false), ("reason", .str (← firstError st.messages.toList)), ("axioms", .arr #[])])
              else pure (judge h st (h.ns ++ name) e)
            return judged.setObjVal! "messages" (.arr ms)
  | _, _, _ => return failure "arguments" "theorem.check takes header, theorem and source"

unsafe def remember (sv : Server) (s : GoalState) : IO Nat := do
  let a ← sv.states.get
  sv.states.set (a.push (some s))
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
  | .error e => return failure "expr" (← exceptionText e)
  | .ok (gs, root, js) =>
    if r.core.messages.hasErrors then return failure "expr" (← firstError r.core.messages.toList)
    let core := { r.core with messages := {}, infoState := {} }
    let i ← remember sv { header := h, core := core, metas := r.metas, term := r.term, goals := gs, root := root }
    let shown : Fields := match extra with
      | [] => []
      | extra => ("goals", Json.arr js) :: extra
    return Json.mkObj (("stateId", num i) :: ("root", .str (nameStr root.name)) :: shown)

unsafe def goalStart (sv : Server) (p : Json) : IO Json := do
  let header ← match str? p "header" with
    | none => pure (.ok sv.base)
    | some t => openHeader sv t
  match header with
  | .error j => return j
  | .ok h =>
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
      let chosen := match field? p "goalId" with
        | some (.str id) => match pick id s.goals with
          | some (g, r) => some ([g], r)
          | none => none
        | _ => some (s.goals, [])
      match chosen with
      | none => return failure "index" "Invalid goal index"
      | some (gs, rest) =>
        let r ← step s gs rest src (← limitOf sv p) false
        match r.next with
        | none => return Json.mkObj r.json
        | some n => return Json.mkObj (("nextStateId", num (← remember sv n)) :: r.json)

/-- Applies many tactics to one state. When a batch takes long, what is done so far goes out as `{"partial": […]}` before the next
tactic starts, so that a tactic which never returns loses nothing but itself. -/
unsafe def batch (sv : Server) (s : GoalState) (p : Json) (limit : Nat) (brief : Bool) (out : IO.FS.Stream) : List String → Nat → Array Json → IO (Array Json)
  | [], _, acc => pure acc
  | src :: more, since, acc => do
    let t0 ← IO.monoNanosNow
    let r ← step s s.goals [] src limit brief
    let next ← match r.next with
      | none => pure []
      | some n => do pure [("nextStateId", num (← remember sv n))]
    let t1 ← IO.monoNanosNow
    let acc := acc.push (Json.mkObj (cat next (("micros", num ((t1 - t0) / 1000)) :: r.json)))
    if t1 - since > 200000000 then
      out.putStrLn (signed p (Json.mkObj [("partial", .arr acc)])).compress
      out.flush
      batch sv s p limit brief out more t1 #[]
    else batch sv s p limit brief out more since acc

unsafe def goalTactics (sv : Server) (p : Json) (out : IO.FS.Stream) : IO Json :=
  withState sv p fun s => do
    match field? p "tactics" with
    | some (.arr a) =>
      let rs ← batch sv s p (← limitOf sv p) (!(flag p "errors")) out (strings a 0) (← IO.monoNanosNow) #[]
      return Json.mkObj [("outcomes", .arr rs)]
    | _ => return failure "command" "Unable to parse json: tactics: Array of strings expected"

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
  let h := match field? p "levels" with
    | some (.arr a) => { sv.base with levels := toNames (strings a 0) }
    | _ => sv.base
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
    let env := sv.base.env
    match env.find? s.toName with
    | none => return failure "index" ("Symbol not found " ++ s)
    | some c => reply (← runIn sv.base "" (inspect env s.toName c p))

unsafe def envCatalog (sv : Server) (p : Json) : IO Json := do
  let env := sv.base.env
  let wanted : Name → Bool := match str? p "modulePrefix" with
    | none => fun _ => true
    | some s => let pre := s.toName; if flag p "invertFilter" then fun n => !(pre.isPrefixOf n) else fun n => pre.isPrefixOf n
  return Json.mkObj [("symbols", .arr (catalog env wanted 0 #[]))]

unsafe def dispatch (sv : Server) (out : IO.FS.Stream) (cmd : String) (p : Json) : IO Json := do
  match cmd with
  | "goal.tactics" => goalTactics sv p out
  | "goal.tactic" => goalTactic sv p
  | "goal.start" => goalStart sv p
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

unsafe def firstSpace (s : String) (p : String.Pos.Raw) : String.Pos.Raw :=
  if p.atEnd s || p.get s == ' ' then p else firstSpace s (p.next s)

/-- A line is `cmd {json}`, a bare `cmd`, or `{"cmd": …, "payload": …}`. -/
unsafe def answer (sv : Server) (out : IO.FS.Stream) (line : String) : IO Json := do
  let parsed : Except String (String × Json) :=
    if line.startsWith "{" then
      match Json.parse line with
      | .error e => .error e
      | .ok j => match str? j "cmd" with
        | some c => .ok (c, match field? j "payload" with | some p => p | none => .null)
        | none => .error "cmd: String expected"
    else
      let stop := firstSpace line 0
      let word := String.Pos.Raw.extract line 0 stop
      let rest := (String.Pos.Raw.extract line stop line.rawEndPos).trimAscii.toString
      if rest == "" then .ok (word, .null) else
        match Json.parse rest with
        | .error e => .error e
        | .ok j => .ok (word, j)
  match parsed with
  | .error e => return failure "command" ("Unable to parse json: " ++ e)
  | .ok (cmd, p) =>
    match ← (dispatch sv out cmd p).toBaseIO with
    | .ok j => return signed p j
    | .error e => return signed p (failure "io" (toString e))

unsafe def loop (sv : Server) (inp out : IO.FS.Stream) : IO Unit := do
  let line ← inp.getLine
  let line := line.trimAscii.toString
  if line == "" then return
  let j ← answer sv out line
  out.putStrLn (if isTrue (lookup (← sv.options.get) "printJsonPretty") then j.pretty else j.compress)
  out.flush
  loop sv inp out

unsafe def imports : List String → Array Import → Array Import
  | [], acc => acc
  | m :: r, acc => imports r (acc.push { module := m.toName })

public unsafe def main (args : List String) : IO Unit := do
  enableInitializersExecution
  let env ← importModules (loadExts := true) (imports args #[]) {} 1
  let base : Header := { text := "", env := env, opts := {}, ns := .anonymous, opens := [], levels := [] }
  let sv : Server := { base := base, headers := ← IO.mkRef #[], states := ← IO.mkRef #[], options := ← IO.mkRef defaultOptions }
  let out ← IO.getStdout
  out.putStrLn "ready."
  out.flush
  loop sv (← IO.getStdin) out
