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

unsafe def judgement (accepted : Bool) (reason : String) (found : Array Name) : Json :=
  Json.mkObj [("accepted", .bool accepted), ("reason", .str reason), ("axioms", .arr (nameArray found 0 #[]))]

unsafe def no (reason : String) (found : Array Name := #[]) : Json := judgement false reason found

/-- Whether a state with no goals is a proof: no metavariable, no sorry, the kernel accepts it, and on what it rests. -/
unsafe def verdict (s : GoalState) : TermElabM Json := do
  let type ← instantiateMVars (← s.root.getType)
  let proof ← instantiateMVars (.mvar s.root)
  if proof.hasExprMVar then return no "the proof term has metavariables: some goal is still open"
  if proof.hasLevelMVar then return no "the proof term has universe metavariables"
  if proof.hasSorry then return no "the proof uses sorry"
  let env ← getEnv
  let before := s.header.env
  let w := walkArray env before proof.getUsedConstants 0 (walkArray env before type.getUsedConstants 0 {})
  if w.seen.contains ``sorryAx then return no "the proof uses sorry" -- in an auxiliary lemma, say
  if compiled w then return no "the proof rests on compiled code" w.found
  match replay before w.own 0 with
  | .error e => return no e
  | .ok env' =>
    let levels := (collectLevelParams (collectLevelParams {} type) proof).params.toList
    let name := `burnqed.candidate
    let decl : Declaration := if ← isProp type then .thmDecl { name := name, levelParams := levels, type := type, value := proof }
      else .defnDecl { name := name, levelParams := levels, type := type, value := proof, hints := .opaque, safety := .safe }
    match env'.addDeclCore 0 decl none with
    | .error e => return no (kernelText e)
    | .ok _ => return judgement true "" w.found

/-- Judges a whole file: its header is elaborated alone, the statement is elaborated by us in it; the file's theorem of that name must
have that very type, and everything made after the header is added again to the header's environment by the kernel. -/
unsafe def judge (h : Header) (st : Command.State) (name : Name) (type : Expr) : Json :=
  match st.env.find? name with
  | none => no ("the file does not define " ++ nameStr name)
  | some c => match c with
    | .thmInfo v =>
      if normalLevels v.type != normalLevels type then no "the file's theorem does not state what was asked" else
      let w := walkName st.env h.env name (walkArray st.env h.env type.getUsedConstants 0 {})
      if w.seen.contains ``sorryAx then no "the proof uses sorry" w.found else
      if compiled w then no "the proof rests on compiled code" w.found else
      match replay h.env w.own 0 with
      | .error e => no e w.found
      | .ok env => match env.find? name with
        | some _ => judgement true "" w.found
        | none => no "the kernel did not take the theorem" w.found
    | _ => no (nameStr name ++ " is not a theorem in the file")
