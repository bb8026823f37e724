-- ## Printing, as the options say ------------------------------------------------------------------------

/-- Whether an option of printing is on. Those of the protocol reach Lean's options through `Request.shows`. -/
unsafe def shows (n : Name) : MetaM Bool := return KVMap.getBool (← getOptions) n false

unsafe def hasQuote (s : String) (p : String.Pos.Raw) : Bool :=
  if p.atEnd s then false else if p.get s == '«' then true else hasQuote s (p.next s)

unsafe def nameSexp (n : Name) : String :=
  let s := nameText true n
  if hasQuote s 0 then "\"" ++ s ++ "\"" else s

unsafe def levelSexp (l : Level) : String :=
  let k := l.getOffset
  match l.getLevelOffset with
  | .zero => toString k
  | u =>
    let s := match u with
      | .max v w => "(:max " ++ levelSexp v ++ " " ++ levelSexp w ++ ")"
      | .imax v w => "(:imax " ++ levelSexp v ++ " " ++ levelSexp w ++ ")"
      | .param n => nameStr n
      | .mvar m => "(:mv " ++ nameStr m.name ++ ")"
      | _ => "0"
    if k == 0 then s else "(+ " ++ s ++ " " ++ toString k ++ ")"

unsafe def binderSexp : BinderInfo → String
  | .default => ""
  | .implicit => " :i"
  | .strictImplicit => " :si"
  | .instImplicit => " :ii"

unsafe def blanks : Nat → String
  | 0 => ""
  | n + 1 => " _" ++ blanks n

/-- Where a variable stands in a delayed assignment, and what stands there now. -/
unsafe def standIn (fvars args : Array Expr) (x : FVarId) (i : Nat) : Expr :=
  if h : i < fvars.size then (if fvars[i].fvarId! == x && i < args.size then args[i]! else standIn fvars args x (i + 1)) else .fvar x

/-- The arguments of an application, before those that are there already. -/
unsafe def argumentsOf (e : Expr) (acc : List Expr) : Array Expr :=
  match e with
  | .app f a => argumentsOf f (a :: acc)
  | _ => acc.toArray

mutual
/-- An expression in Pantograph's S-expressions. -/
unsafe def sexp (e : Expr) : MetaM String := do
  match e with
  | .bvar i => return toString i
  | .fvar x => return "(:fv " ++ nameStr x.name ++ ")"
  | .mvar m => match (← getMCtx).getDelayedMVarAssignmentCore? m with
    | some _ => substSexp e
    | none => return "(:mv " ++ nameStr m.name ++ ")"
  | .sort l => return "(:sort " ++ levelSexp l ++ ")"
  | .const n _ => return "(:c " ++ nameSexp n ++ ")"
  | .app .. => match e.getAppFn with
    | .mvar m => match (← getMCtx).getDelayedMVarAssignmentCore? m with
      | some _ => substSexp e
      | none => return "(" ++ (← sexp e.getAppFn) ++ (← listSexp (argumentsOf e []) 0 "") ++ ")"
    | f => return "(" ++ (← sexp f) ++ (← listSexp (argumentsOf e []) 0 "") ++ ")"
  | .lam n t b i => return "(:lambda " ++ nameStr n.eraseMacroScopes ++ " " ++ (← sexp t) ++ " " ++ (← sexp b) ++ binderSexp i ++ ")"
  | .forallE n t b i => return "(:forall " ++ nameStr n.eraseMacroScopes ++ " " ++ (← sexp t) ++ " " ++ (← sexp b) ++ binderSexp i ++ ")"
  | .letE n t v b _ => return "(:let " ++ nameStr n.eraseMacroScopes ++ " " ++ (← sexp t) ++ " " ++ (← sexp v) ++ " " ++ (← sexp b) ++ ")"
  | .lit (.natVal n) => return "(:lit " ++ toString n ++ ")"
  | .lit (.strVal s) => return "(:lit " ++ s.quote ++ ")"
  | .mdata _ e => sexp e
  | .proj s i x =>
    let env ← getEnv
    let params := match env.find? s with
      | some (.inductInfo v) => v.numParams
      | _ => 0
    let field := match getStructureInfo? env s with
      | some info => if h : i < info.fieldNames.size then getProjFnForField? env s info.fieldNames[i] else none
      | none => none
    match field with
    | some f => return "((:c " ++ nameSexp f ++ ")" ++ blanks params ++ " " ++ (← sexp x) ++ ")"
    | none => return "(:proj " ++ nameSexp s ++ " " ++ toString i ++ " " ++ (← sexp x) ++ ")"
/-- Arguments, each after a space. -/
unsafe def listSexp (a : Array Expr) (i : Nat) (acc : String) : MetaM String := do
  if h : i < a.size then listSexp a (i + 1) (acc ++ " " ++ (← sexp a[i])) else return acc
/-- A goal that waits inside a term: what it is called there, and what its variables stand for. -/
unsafe def substSexp (e : Expr) : MetaM String := do
  let m := e.getAppFn.mvarId!
  let mctx ← getMCtx
  match mctx.getDelayedMVarAssignmentCore? m with
  | none => return "(:mv " ++ nameStr m.name ++ ")"
  | some d =>
    let args := (argumentsOf e [])
    let inner := "(:subst (:mv " ++ nameStr d.mvarIdPending.name ++ ")"
    match mctx.findDecl? d.mvarIdPending with
    | none => return inner ++ (← listSexp args 0 "") ++ ")"
    | some decl =>
      let s := inner ++ (← sitesSexp decl.lctx.getFVarIds d.fvars args 0 "") ++ ")"
      if args.size ≤ d.fvars.size then return s
      return "(" ++ s ++ (← listSexp args d.fvars.size "") ++ ")"
unsafe def sitesSexp (ids : Array FVarId) (fvars args : Array Expr) (i : Nat) (acc : String) : MetaM String := do
  if h : i < ids.size then sitesSexp ids fvars args (i + 1) (acc ++ " " ++ (← sexp (standIn fvars args ids[i] 0))) else return acc
end

unsafe def mvarNames (a : Array MVarId) (i : Nat) (acc : Array Json) : Array Json :=
  if h : i < a.size then mvarNames a (i + 1) (acc.push (.str (nameStr a[i].name))) else acc

unsafe def expression (e : Expr) : MetaM Json := do
  let pp ← if ← shows `burnqed.noPp then pure [] else do pure [("pp", Json.str (← ppExpr e).pretty)]
  let ast ← if ← shows `burnqed.ast then do pure [("sexp", Json.str (← sexp e))] else pure []
  let deps ← if ← shows `burnqed.mvars then do pure [("dependentMVars", Json.arr (mvarNames (← getMVars e) 0 #[]))] else pure []
  return Json.mkObj (cat pp (cat ast deps))
