-- ## The rest of Pantograph's environment commands ------------------------------------------------------

/-- Makes `h` the environment of what is started from now on, and remembers what changed it, for `env.save`. -/
unsafe def rebase (sv : Server) (h : Header) (cmd : String) (payload : Json) : IO Unit := do
  let old ← sv.base.get
  sv.changes.modify fun a => a.push (old, Json.mkObj [("cmd", .str cmd), ("payload", payload)])
  sv.base.set { h with text := "", request := some sv.request }
  sv.headers.set #[]

unsafe def missing (type field : String) : Json :=
  failure "command" ("Unable to parse json: Pantograph.Protocol." ++ type ++ "." ++ field ++ ": String expected")

unsafe def moduleIndex (a : Array Name) (n : Name) (i : Nat) : Option Nat :=
  if h : i < a.size then (if a[i] == n then some i else moduleIndex a n (i + 1)) else none

unsafe def moduleRead (sv : Server) (p : Json) : IO Json := do
  match str? p "module" with
  | none => return missing "EnvModuleRead" "module"
  | some m =>
    let header := (← sv.base.get).env.header
    match moduleIndex header.moduleNames m.toName 0 with
    | none => return failure "index" ("Module not found " ++ m)
    | some i => match header.moduleData[i]? with
      | none => return failure "index" ("Module not found " ++ m)
      | some d => return Json.mkObj [("imports", .arr (importNames d.imports 0 #[])),
        ("constNames", .arr (nameArray d.constNames 0 #[])), ("extraConstNames", .arr (nameArray d.extraConstNames 0 #[]))]

/-- The type and the value of a new constant, with nothing left open in them. -/
unsafe def elabConstant (type? : Option Syntax) (value : Syntax) (isTheorem : Bool) : TermElabM (Expr × Expr) := do
  let expected ← match type? with
    | some t => do
      let t ← Term.elabType t
      Term.synthesizeSyntheticMVarsNoPostponing
      pure (some (← instantiateMVars t))
    | none => pure none
  let v ← Term.elabTermEnsuringType value expected
  Term.synthesizeSyntheticMVarsNoPostponing
  let v ← instantiateMVars v
  let t ← match expected with
    | some t => instantiateMVars t
    | none => do instantiateMVars (← inferType v)
  if t.hasExprMVar || v.hasExprMVar then throwError "the constant leaves something undetermined (a metavariable): add type annotations\n{v} : {t}"
  if t.hasLevelMVar || v.hasLevelMVar then throwError "the constant leaves a universe undetermined: name it, and list the name in `levels`\n{v} : {t}"
  if isTheorem && !(← isProp t) then throwError "the type of a theorem must be a proposition\n{t}"
  return (t, v)

unsafe def envAdd (sv : Server) (p : Json) : IO Json := do
  match str? p "name", str? p "value" with
  | some name, some value =>
    let base ← sv.base.get
    let levels := match field? p "levels" with
      | some (.arr a) => toNames (strings a 0)
      | _ => []
    let text := match str? p "type" with
      | some t => t
      | none => ""
    let type : Except String (Option Syntax) := if text == "" then .ok none else match parseAll base (Parser.categoryParserFn `term) text with
      | .ok stx => .ok (some stx)
      | .error e => .error e
    match type, parseAll base (Parser.categoryParserFn `term) value with
    | .error e, _ => return failure "parse" e
    | _, .error e => return failure "parse" e
    | .ok type?, .ok stx =>
      if runsCode value stx || runsCode text (type?.getD .missing) then return failure "expr" "the constant names something that escapes Lean's types"
      let isTheorem := flag p "isTheorem"
      let n := name.toName
      let r ← runIn { base with levels := levels } value do
        let (t, v) ← elabConstant type? stx isTheorem
        if isTheorem then addDecl (.thmDecl { name := n, levelParams := levels, type := t, value := v }) false
        else addDecl (.defnDecl { name := n, levelParams := levels, type := t, value := v, hints := .regular 1, safety := .safe }) false
      match r.result with
      | .error e => thrown e
      | .ok _ =>
        if r.core.messages.hasErrors then return failure "expr" (← firstError r.core.messages.toList)
        rebase sv { base with env := r.core.env } "env.add" (Json.mkObj (chosen p ["name", "levels", "type", "value", "isTheorem"]))
        return Json.mkObj []
  | none, _ => return missing "EnvAdd" "name"
  | _, none => return missing "EnvAdd" "value"

/-- Where the first thing of a category ends in a text, in bytes; the space after it belongs to it. -/
unsafe def envParse (sv : Server) (p : Json) : IO Json := do
  match str? p "input", str? p "category" with
  | some src, some category =>
    let h ← sv.base.get
    let ictx := inputContext src "<Pantograph>"
    let fn := Parser.andthenFn Parser.whitespace (Parser.categoryParserFn category.toName)
    let s := fn.run ictx { env := h.env, options := h.opts, currNamespace := h.ns, openDecls := h.opens } (Parser.getTokenTable h.env) (Parser.mkParserState src)
    if s.allErrors.size != 0 then return failure "parse" (s.toErrorMsg ictx)
    return Json.mkObj [("pos", num s.pos.byteIdx)]
  | none, _ => return missing "EnvParse" "input"
  | _, none => return missing "EnvParse" "category"

/-- Answers a command of this part, or says that it is another's. -/
unsafe def environmentCommands (sv : Server) (cmd : String) (p : Json) : IO (Option Json) := do
  match cmd with
  | "env.add" => return some (← envAdd sv p)
  | "env.describe" =>
    let header := (← sv.base.get).env.header
    return some (Json.mkObj [("imports", .arr (importNames header.imports 0 #[])), ("modules", .arr (nameArray header.moduleNames 0 #[]))])
  | "env.module_read" => return some (← moduleRead sv p)
  | "env.parse" => return some (← envParse sv p)
  | _ => return none
