-- ## What a file made, and on what it rests -------------------------------------------------------------

-- ### What constants rest on

mutual
/-- As `walkName`, into inductive types as well: `own` gets each constant after those it uses, a family of types once and
without what the kernel makes for it. -/
unsafe def restName (env before : Environment) (n : Name) (w : Walk) : Walk :=
  if w.seen.contains n then w else
  let w := { w with seen := w.seen.insert n }
  match env.find? n with
  | none => { w with found := w.found.push n }
  | some c =>
    let w := if isAxiom env n c then { w with found := w.found.push n } else w
    match env.getModuleIdxFor? n with
    | some _ => trusts n w
    | none => match c with
      | .ctorInfo v => restName env before v.induct w
      | .recInfo v => restNames env before v.all w
      | .inductInfo v =>
        let w := restTypes env before v.all { w with seen := mark v.all w.seen }
        if before.contains n then w else { w with own := w.own.push c }
      | _ =>
        let w := restArray env before c.type.getUsedConstants 0 w
        let w := match c.value? (allowOpaque := true) with
          | some v => restArray env before v.getUsedConstants 0 w
          | none => w
        if before.contains n then w else { w with own := w.own.push c }
unsafe def restArray (env before : Environment) (a : Array Name) (i : Nat) (w : Walk) : Walk :=
  if h : i < a.size then restArray env before a (i + 1) (restName env before a[i] w) else w
unsafe def restNames (env before : Environment) : List Name → Walk → Walk
  | [], w => w
  | n :: r, w => restNames env before r (restName env before n w)
unsafe def restTypes (env before : Environment) : List Name → Walk → Walk
  | [], w => w
  | n :: r, w =>
    let w := match env.find? n with
      | some (.inductInfo v) => restCtors env before v.ctors (restArray env before v.type.getUsedConstants 0 w)
      | _ => w
    restTypes env before r w
unsafe def restCtors (env before : Environment) : List Name → Walk → Walk
  | [], w => w
  | n :: r, w =>
    let w := match env.find? n with
      | some c => restArray env before c.type.getUsedConstants 0 { w with seen := w.seen.insert n }
      | none => w
    restCtors env before r w
unsafe def mark : List Name → NameSet → NameSet
  | [], s => s
  | n :: r, s => mark r (s.insert n)
end

/-- For an axiom, everything of a file that reaches it. -/
structure Reach where
  axm : Name
  users : NameSet

unsafe def usesIn (r : Reach) (a : Array Name) (i : Nat) : Bool :=
  if h : i < a.size then
    let n := a[i]
    if n == r.axm || r.users.contains n || (r.axm == ``Lean.trustCompiler && (n == ``Lean.reduceBool || n == ``Lean.reduceNat)) then true else usesIn r a (i + 1)
  else false

unsafe def usesConstant (env : Environment) (r : Reach) (c : ConstantInfo) : Bool :=
  if c.name == r.axm then true
  else if usesIn r c.type.getUsedConstants 0 then true
  else match c with
    | .inductInfo v => ctors v.ctors
    | _ => match c.value? (allowOpaque := true) with
      | some v => usesIn r v.getUsedConstants 0
      | none => false
where ctors : List Name → Bool
  | [] => false
  | n :: rest => match env.find? n with
    | some c => usesIn r c.type.getUsedConstants 0 || ctors rest
    | none => ctors rest

unsafe def users (env : Environment) (own : Array ConstantInfo) (i : Nat) (r : Reach) : Reach :=
  if h : i < own.size then
    let c := own[i]
    let r := if usesConstant env r c then
        { r with users := match c with
          | .inductInfo v => mark v.ctors (mark (named v.all) (mark v.all r.users))
          | _ => r.users.insert c.name }
      else r
    users env own (i + 1) r
  else r
where named : List Name → List Name
  | [] => []
  | n :: rest => .str n "rec" :: named rest

unsafe def reaches (env : Environment) (own : Array ConstantInfo) (found : Array Name) (i : Nat) (acc : Array Reach) : Array Reach :=
  if h : i < found.size then reaches env own found (i + 1) (acc.push (users env own 0 { axm := found[i], users := {} })) else acc

unsafe def axiomsOf (a : Array Reach) (n : Name) (i : Nat) (acc : Array Name) : Array Name :=
  if h : i < a.size then axiomsOf a n (i + 1) (if a[i].users.contains n then acc.push a[i].axm else acc) else acc

unsafe def reachesOne (a : Array Reach) (wanted : Name → Bool) (n : Name) (i : Nat) : Bool :=
  if h : i < a.size then (if wanted a[i].axm && a[i].users.contains n then true else reachesOne a wanted n (i + 1)) else false

unsafe def isSorryAx (n : Name) : Bool := n == ``sorryAx
unsafe def isCompiler (n : Name) : Bool := n == ``Lean.trustCompiler || n == ``Lean.ofReduceBool || n == ``Lean.ofReduceNat

/-- All that a file made, and what it rests on. -/
structure Made where
  env : Environment
  before : Environment
  all : Array ConstantInfo
  own : Array ConstantInfo
  reach : Array Reach

unsafe def restAll (env before : Environment) (a : Array ConstantInfo) (i : Nat) (w : Walk) : Walk :=
  if h : i < a.size then restAll env before a (i + 1) (if a[i].isUnsafe || a[i].isPartial then w else restName env before a[i].name w) else w

unsafe def madeIn (before env : Environment) : Made :=
  let all := newConstants before env
  let w := restAll env before all 0 {}
  { env := env, before := before, all := all, own := w.own, reach := reaches env w.own w.found 0 #[] }

unsafe def Made.sorried (m : Made) (n : Name) : Bool := reachesOne m.reach isSorryAx n 0
unsafe def Made.compiled (m : Made) (n : Name) : Bool := reachesOne m.reach isCompiler n 0

unsafe def withoutName (a : Array Name) (wanted : Name → Bool) (i : Nat) (acc : Array Name) : Array Name :=
  if h : i < a.size then withoutName a wanted (i + 1) (if wanted a[i] then acc else acc.push a[i]) else acc

/-- The axioms that a constant of the file reaches, sorry aside. -/
unsafe def Made.axioms (m : Made) (n : Name) : Array Name := withoutName (axiomsOf m.reach n 0 #[]) isSorryAx 0 #[]

-- ### Through the kernel again

unsafe def typesOf (env : Environment) : List Name → Option (List InductiveType)
  | [] => some []
  | n :: r => match env.find? n, typesOf env r with
    | some (.inductInfo v), some rest => match ctorsOf env v.ctors with
      | some cs => some ({ name := n, type := v.type, ctors := cs } :: rest)
      | none => none
    | _, _ => none
where ctorsOf (env : Environment) : List Name → Option (List Constructor)
  | [] => some []
  | n :: r => match env.find? n, ctorsOf env r with
    | some c, some rest => some ({ name := n, type := c.type } :: rest)
    | _, _ => none

/-- Adds a file's constants to the environment before it, each through the kernel, but for those that `leave` names. Types are added as
families; what the kernel makes for them is compared afterwards. -/
unsafe def replayFile (m : Made) (leave : Name → Bool) (env : Environment) (i : Nat) : Except String Environment :=
  if h : i < m.own.size then
    let c := m.own[i]
    if leave c.name then replayFile m leave env (i + 1) else
    let add (d : Declaration) : Except String Environment :=
      match env.addDeclCore 0 d none with
      | .ok env => replayFile m leave env (i + 1)
      | .error _ => .error ("the kernel rejects " ++ nameStr (userName c.name))
    match c with
    | .inductInfo v => match typesOf m.env v.all with
      | some ts => add (.inductDecl v.levelParams v.numParams ts v.isUnsafe)
      | none => .error ("the type " ++ nameStr c.name ++ " is not whole")
    | .axiomInfo v => add (.axiomDecl v)
    | _ => match declaration? c with
      | some d => add d
      | none => .error (nameStr (userName c.name) ++ " is unsafe or partial")
  else .ok env

unsafe def sameLevels : List Name → List Name → Bool
  | [], [] => true
  | a :: r, b :: s => a == b && sameLevels r s
  | _, _ => false

/-- What the kernel made for the types must be what the file's environment says. -/
unsafe def sameRecursors (m : Made) (env : Environment) (i : Nat) : Option Name :=
  if h : i < m.all.size then
    let c := m.all[i]
    let checked := match c with
      | .ctorInfo _ => true
      | .recInfo _ => true
      | .inductInfo _ => true
      | _ => false
    if checked && !c.isUnsafe then
      match env.find? c.name with
      | some d => if d.type == c.type && sameLevels d.levelParams c.levelParams then sameRecursors m env (i + 1) else some c.name
      | none => some c.name
    else sameRecursors m env (i + 1)
  else none

-- ### One constant against another

unsafe def kindName (c : ConstantInfo) : String :=
  match c with
  | .axiomInfo _ => "axiom"
  | .defnInfo _ => "def"
  | .thmInfo _ => "theorem"
  | .opaqueInfo _ => "opaque"
  | .quotInfo _ => "quotient"
  | .inductInfo _ => "inductive"
  | .ctorInfo _ => "constructor"
  | .recInfo _ => "recursor"

unsafe def sameSafety (a b : ConstantInfo) : Bool := a.isUnsafe == b.isUnsafe && a.isPartial == b.isPartial

unsafe def sameValue (a b : ConstantInfo) : Bool :=
  match a.value? (allowOpaque := true), b.value? (allowOpaque := true) with
  | some v, some w => v == w
  | none, none => true
  | _, _ => false

/-- How `b` differs from `a`, whose value may change only where it rested on a sorry. `proofs` says whether proofs must be the same too. -/
unsafe def clash (a b : ConstantInfo) (sorried proofs : Bool) : Option String :=
  let n := nameStr (userName a.name)
  if kindName a != kindName b || !(sameSafety a b) then some ("Definition clash of " ++ n)
  else if !(sameLevels a.levelParams b.levelParams) then some ("Level param clash of " ++ n)
  else if a.type != b.type then some ("Type clash of " ++ n)
  else if sorried then none
  else match a, b with
    | .inductInfo v, .inductInfo w =>
      if sameLevels v.ctors w.ctors && sameLevels v.all w.all && v.numParams == w.numParams then none else some ("Definition clash of " ++ n)
    | .thmInfo _, _ => if proofs && !(sameValue a b) then some ("Definition clash of " ++ n) else none
    | _, _ => if sameValue a b then none else some ("Definition clash of " ++ n)
