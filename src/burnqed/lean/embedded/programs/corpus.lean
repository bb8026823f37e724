-- ## The library as a corpus: its theorems, and each as a task in the environment that its module had -----

unsafe def isOddPart (s : String) : Bool :=
  s.startsWith "_" || s.startsWith "match_" || s.startsWith "proof_" || s.startsWith "eq_" && digitsFrom s ⟨3⟩
where digitsFrom (s : String) (p : String.Pos.Raw) : Bool := if p.atEnd s then true else (p.get s).isDigit && digitsFrom s (p.next s)

unsafe def hasOddPart : Name → Bool
  | .anonymous => false
  | .num _ _ => true
  | .str p s => isOddPart s || hasOddPart p

/-- Whether Lean makes a constant of that last name by itself for the type or the constructor whose name stands before it. -/
unsafe def comesWithType (env : Environment) (n : Name) : Bool :=
  match n with
  | .str (.str _ "brecOn") _ => true
  | .str p s => match env.find? p with
    | some (.inductInfo _) => s == "rec" || s == "recOn" || s == "casesOn" || s == "below" || s == "brecOn" || s == "ibelow" || s == "binductionOn" ||
        s == "noConfusion" || s == "noConfusionType" || s == "ctorIdx" || s == "toCtorIdx" || s == "ctorElim" || s == "ctorElimType"
    | some (.ctorInfo _) => s == "elim" || s == "inj" || s == "injEq" || s == "sizeOf_spec" || s == "noConfusion"
    | _ => false
  | _ => false

/-- Why a theorem is nothing that a person stated; empty when it is. -/
unsafe def madeByLean (env : Environment) (n : Name) : String :=
  if isPrivateName n then "private"
  else if n.isInternalDetail || hasOddPart n then "auxiliary"
  else if isReservedName env n then "derived"
  else if comesWithType env n then "comes with a type"
  else if env.isProjectionFn n then "projection"
  else ""

unsafe def isTheoremOf (env : Environment) (c : ConstantInfo) : Bool :=
  match c with
  | .thmInfo _ => true
  | .axiomInfo _ => match getOriginalConstKind? env c.name with
    | some .thm => true
    | _ => false
  | _ => false

unsafe def libraryNames (env : Environment) (d : ModuleData) (i : Nat) (acc : Array Json) : Array Json :=
  if h : i < d.constants.size then
    let c := d.constants[i]
    if isTheoremOf env c then
      let why := madeByLean env c.name
      let why := if why == "" then [] else [("skip", Json.str why)]
      let old := if Linter.isDeprecated env c.name then [("deprecated", Json.bool true)] else []
      let inst := if Meta.isInstanceCore env c.name then [("instance", Json.bool true)] else []
      libraryNames env d (i + 1) (acc.push (Json.mkObj (("index", num i) :: ("name", .str (nameText true c.name)) :: cat why (cat old inst))))
    else libraryNames env d (i + 1) acc
  else acc

-- ### Names for bound variables that nobody can write

unsafe def unwritable (n : Name) : Bool := n.hasMacroScopes || n.isInaccessibleUserName || n.isAnonymous

mutual
/-- The names of an expression's bound variables. `left` bounds the walk. -/
unsafe def boundNames (e : Expr) (left : Nat) (acc : NameSet) : Nat × NameSet :=
  if left == 0 then (0, acc) else
  match e with
  | .lam n t b _ => boundIn t b (left - 1) (acc.insert n)
  | .forallE n t b _ => boundIn t b (left - 1) (acc.insert n)
  | .letE n t v b _ => match boundIn t v (left - 1) (acc.insert n) with
    | (left, acc) => boundNames b left acc
  | .app f a => boundIn f a (left - 1) acc
  | .mdata _ b => boundNames b left acc
  | .proj _ _ b => boundNames b left acc
  | _ => (left - 1, acc)
unsafe def boundIn (a b : Expr) (left : Nat) (acc : NameSet) : Nat × NameSet :=
  match boundNames a left acc with
  | (left, acc) => boundNames b left acc
end

unsafe def freeName (stem : String) (used : NameSet) (k : Nat) : Name :=
  let n : Name := .str .anonymous (if k == 0 then stem else stem ++ "_" ++ toString k)
  if used.contains n then freeName stem used (k + 1) else n

/-- A name that can be written, and is not used. -/
unsafe def writable (n : Name) (bi : BinderInfo) (used : NameSet) : Name :=
  let stem := match n.eraseMacroScopes, bi with
    | _, .instImplicit => "inst"
    | .str .anonymous s, _ => if unwritable (.str .anonymous s) then "x" else s
    | _, _ => "x"
  freeName stem used 0

mutual
/-- With names that can be written for bound variables that are used; those of instances only with `insts`, for they need none. -/
unsafe def renamed (insts : Bool) (e : Expr) (used : NameSet) : Expr × NameSet :=
  match e with
  | .lam n t b bi =>
    let (n, used) := newName insts true n bi b used
    let (t, used) := renamed insts t used
    let (b, used) := renamed insts b used
    (.lam n t b bi, used)
  | .forallE n t b bi =>
    let (n, used) := newName insts false n bi b used
    let (t, used) := renamed insts t used
    let (b, used) := renamed insts b used
    (.forallE n t b bi, used)
  | .letE n t v b d =>
    let (n, used) := newName insts true n .default b used
    let (t, used) := renamed insts t used
    let (v, used) := renamed insts v used
    let (b, used) := renamed insts b used
    (.letE n t v b d, used)
  | .app f a =>
    let (f, used) := renamed insts f used
    let (a, used) := renamed insts a used
    (.app f a, used)
  | .mdata d b =>
    let (b, used) := renamed insts b used
    (.mdata d b, used)
  | .proj s i b =>
    let (b, used) := renamed insts b used
    (.proj s i b, used)
  | _ => (e, used)
unsafe def newName (insts always : Bool) (n : Name) (bi : BinderInfo) (b : Expr) (used : NameSet) : Name × NameSet :=
  if !(unwritable n) || (bi == .instImplicit && !insts) || !(always || b.hasLooseBVar 0) then (n, used) else
  let n := writable n bi used
  (n, used.insert n)
end

/-- A type with its variables renamed, unless it is very large. -/
unsafe def tidied (insts : Bool) (e : Expr) : Expr :=
  match boundNames e 50000 {} with
  | (0, _) => e
  | (_, used) => (renamed insts e used).1

-- ### A theorem's type as text that says the same again

/-- How a type is printed: as people write it; with types of numerals and of bound variables; and last with everything. -/
unsafe def printed (form : Nat) : Option (String × Options) :=
  let o : Options := {}
  match form with
  | 0 => some ("readable", o.setBool `pp.deepTerms true)
  | 1 => some ("typed", (((((o.setBool `pp.deepTerms true).setBool `pp.funBinderTypes true).setBool `pp.numericTypes true).setBool `pp.fieldNotation false).setBool `pp.coercions.types true).setBool `pp.structureInstanceTypes true)
  | 2 => some ("explicit", ((((((o.setBool `pp.deepTerms true).setBool `pp.explicit true).setBool `pp.natLit true).setBool `pp.notation false).setBool `pp.coercions false).setBool `pp.structureInstances false).setBool `pp.funBinderTypes true)
  | 3 => some ("all", (((o.setBool `pp.deepTerms true).setBool `pp.all true).setBool `pp.natLit true).setBool `pp.structureInstances false)
  | _ => none

unsafe def errorOf (r : Ran α) : BaseIO String := do
  match r.result with
  | .error e => return ← exceptionText e
  | .ok _ => firstError r.core.messages.toList

/-- The type that a text states. -/
unsafe def statedBy (h : Header) (text : String) : BaseIO (Except String Expr) := do
  match parseAll h (Parser.categoryParserFn `command) (text ++ " := by sorry") with
  | .error e => return .error ("it does not parse: " ++ e)
  | .ok stx => match theoremParts stx with
    | .error e => return .error e
    | .ok (_, binders, type) =>
      let r ← run { h with levels := names (universeNames stx) h.levels } text 50000 { env := h.env } {} { levelNames := names (universeNames stx) h.levels } (elabStatement (closedSyntax binders type))
      match r.result with
      | .error e => return .error (← exceptionText e)
      | .ok e => if r.core.messages.hasErrors then return .error (← firstError r.core.messages.toList) else return .ok e

/-- Without notes of the elaborator, which mean nothing to the kernel. -/
unsafe def bare (e : Expr) : Expr :=
  match e with
  | .mdata _ b => bare b
  | .app f a => .app (bare f) (bare a)
  | .lam n t b bi => .lam n (bare t) (bare b) bi
  | .forallE n t b bi => .forallE n (bare t) (bare b) bi
  | .letE n t v b d => .letE n (bare t) (bare v) (bare b) d
  | .proj s i b => .proj s i (bare b)
  | _ => e

/-- Whether two types are the same, but for names of variables and universes and for notes. -/
unsafe def saysTheSame (a b : Expr) : Bool :=
  let a := normalLevels a
  let b := normalLevels b
  a == b || ((boundNames b 50000 {}).1 != 0 && bare a == bare b)

/-- The first form of the statement that says the same again, with its name; or why there is none. -/
unsafe def stated (h : Header) (name : Name) (levels : List Name) (type : Expr) (form : Nat) (why : String) : BaseIO (Except String (String × String)) := do
  match printed form with
  | none => return .error why
  | some (called, opts) =>
  match h.env.addDeclCore 0 (.axiomDecl { name := name, levelParams := levels, type := tidied (form > 1) type, isUnsafe := false }) none with
  | .error _ => return .error "the kernel does not take its type"
  | .ok env =>
    let r ← run { h with opts := opts } "" 50000 { env := env } {} {} do
      return (← PrettyPrinter.ppSignature name).fmt.pretty 120
    match r.result with
    | .error e => stated h name levels type (form + 1) (called ++ ": cannot be printed: " ++ (← exceptionText e))
    | .ok sig =>
      let text := "theorem " ++ sig
      match ← statedBy h text with
      | .error e => stated h name levels type (form + 1) (called ++ ": " ++ text ++ ": " ++ e)
      | .ok e =>
        if saysTheSame e type then return .ok (text, called)
        else stated h name levels type (form + 1) (called ++ ": says something else: " ++ text)

unsafe def absent (env : Environment) (a : Array Name) (i : Nat) (acc : Array Json) : Array Json :=
  if h : i < a.size then absent env a (i + 1) (if env.contains a[i] then acc else acc.push (.str (nameStr a[i]))) else acc

unsafe def taskOf (h : Header) (c : ConstantInfo) : BaseIO Fields := do
  let missing := absent h.env c.type.getUsedConstants 0 #[]
  if missing.size != 0 then return [("reason", .str "needs its own module"), ("missing", .arr missing)]
  match ← stated h (`harvest ++ c.name) c.levelParams c.type 0 "" with
  | .ok (text, form) => return [("statement", .str text), ("form", .str form)]
  | .error e => return [("reason", .str "no text says the same"), ("detail", .str e)]

unsafe def natsOf (a : Array Json) (i : Nat) (acc : Array Nat) : Array Nat :=
  if h : i < a.size then
    natsOf a (i + 1) (match a[i] with
      | .num n => acc.push n.mantissa.toNat
      | _ => acc)
  else acc

unsafe def tasks (p : Json) (out : IO.FS.Stream) (h : Header) (d : ModuleData) (a : Array Nat) (i : Nat) (since : Nat) (acc : Array Json) : IO (Array Json) := do
  if hi : i < a.size then
    match d.constants[a[i]]? with
    | none => tasks p out h d a (i + 1) since acc
    | some c =>
      let t0 ← IO.monoNanosNow
      let fields ← taskOf h c
      let t1 ← IO.monoNanosNow
      let acc := acc.push (Json.mkObj (("index", num a[i]) :: ("name", .str (nameText true c.name)) :: ("micros", num ((t1 - t0) / 1000)) :: fields))
      if t1 - since > 1000000000 then
        out.putStrLn (signed p (Json.mkObj [("partial", .arr acc)])).compress
        out.flush
        tasks p out h d a (i + 1) t1 #[]
      else tasks p out h d a (i + 1) since acc
  else return acc
