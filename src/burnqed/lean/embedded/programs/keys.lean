-- ## Which goals are the same, and which hang together ---------------------------------------------------

/-- A hypothesis as the key sees it: nothing of its name but whether a tactic could write it. -/
structure Hyp where
  var : Expr
  type : Expr
  value : Option Expr
  hidden : Bool

unsafe instance : Inhabited Hyp := ⟨{ var := .bvar 0, type := .bvar 0, value := none, hidden := false }⟩

/-- A constant that stands for a hypothesis of this colour. -/
unsafe def colourConst (c : UInt64) : Expr := .const (.num `c c.toNat) []

unsafe def colourConsts (a : Array UInt64) (i : Nat) (acc : Array Expr) : Array Expr :=
  if h : i < a.size then colourConsts a (i + 1) (acc.push (colourConst a[i])) else acc

unsafe def varsOf (hs : Array Hyp) (i : Nat) (acc : Array Expr) : Array Expr :=
  if h : i < hs.size then varsOf hs (i + 1) (acc.push hs[i].var) else acc

unsafe def bodyHash (h : Hyp) (vars consts : Array Expr) : UInt64 :=
  let t := (h.type.replaceFVars vars consts).hash
  match h.value with
  | some v => mixHash t (v.replaceFVars vars consts).hash
  | none => if h.hidden then mixHash t 7 else t

/-- Each hypothesis by what it says, in terms of the colours of those before it (their order in the context respects dependence)
and of `old`, its own colour in an earlier round. -/
unsafe def forwardColours (hs : Array Hyp) (old : Array UInt64) (i : Nat) (vars consts : Array Expr) (acc : Array UInt64) : Array UInt64 :=
  if h : i < hs.size then
    let c := mixHash old[i]! (bodyHash hs[i] vars consts)
    forwardColours hs old (i + 1) (vars.push hs[i].var) (consts.push (colourConst c)) (acc.push c)
  else acc

unsafe def zeros (n : Nat) (acc : Array UInt64) : Array UInt64 :=
  match n with
  | 0 => acc
  | n + 1 => zeros n (acc.push 0)

unsafe def speaksOf (x : Expr) (h : Hyp) : Bool :=
  h.type.containsFVar x.fvarId! || (match h.value with | some v => v.containsFVar x.fvarId! | none => false)

/-- How hypothesis `x` is used by those from `i` on; a sum, so that their order has no say. -/
unsafe def usage (hs : Array Hyp) (vars consts : Array Expr) (x : Expr) (i : Nat) (acc : UInt64) : UInt64 :=
  if h : i < hs.size then
    usage hs vars consts x (i + 1) (if hs[i].type.hasFVar && speaksOf x hs[i] then acc + bodyHash hs[i] vars consts else acc)
  else acc

unsafe def amongOthers (a : Array UInt64) (i j : Nat) : Bool :=
  if h : j < a.size then (if j != i && a[j] == a[i]! then true else amongOthers a i (j + 1)) else false

/-- Tells hypotheses of one colour apart by how they are used by later ones and by the target. -/
unsafe def backwardColours (hs : Array Hyp) (target : Expr) (vars : Array Expr) (colours : Array UInt64) (i : Nat) (acc : Array UInt64) : Array UInt64 :=
  if h : i < hs.size then
    if amongOthers colours i 0 then
      let consts := (colourConsts colours 0 #[]).set! i (.const `self [])
      let u := usage hs vars consts hs[i].var (i + 1) 0
      let u := if target.containsFVar hs[i].var.fvarId! then mixHash u (target.replaceFVars vars consts).hash else u
      backwardColours hs target vars colours (i + 1) (acc.push (mixHash colours[i]! u))
    else backwardColours hs target vars colours (i + 1) (acc.push colours[i]!)
  else acc

unsafe def repeats (a : Array UInt64) (i : Nat) : Bool :=
  if i < a.size then (if amongOthers a i (i + 1) then true else repeats a (i + 1)) else false

unsafe def deepest (hs : Array Hyp) (levels : Array Nat) (h : Hyp) (i : Nat) (acc : Nat) : Nat :=
  if i < levels.size then deepest hs levels h (i + 1) (if acc ≤ levels[i]! && speaksOf hs[i]!.var h then levels[i]! + 1 else acc) else acc

/-- For each hypothesis how long a chain of hypotheses it rests on. -/
unsafe def depthsOf (hs : Array Hyp) (i : Nat) (acc : Array Nat) : Array Nat :=
  if h : i < hs.size then
    let x := hs[i]
    let closed := !x.type.hasFVar && (match x.value with | some v => !v.hasFVar | none => true)
    depthsOf hs (i + 1) (acc.push (if closed then 0 else deepest hs acc x 0 0))
  else acc

unsafe def placeFor (levels : Array Nat) (colours : Array UInt64) (order : Array Nat) (i k : Nat) : Nat :=
  if h : k < order.size then
    let j := order[k]
    if levels[i]! < levels[j]! || (levels[i]! == levels[j]! && colours[i]! < colours[j]!) then k else placeFor levels colours order i (k + 1)
  else k

unsafe def insertAt (a : Array Nat) (k i j : Nat) (acc : Array Nat) : Array Nat :=
  if h : j < a.size then insertAt a k i (j + 1) (if j == k then (acc.push i).push a[j] else acc.push a[j])
  else if k == j then acc.push i else acc

/-- The hypotheses by level, then colour, then as they stand; each after those it rests on. -/
unsafe def canonicalOrder (levels : Array Nat) (colours : Array UInt64) (i : Nat) (order : Array Nat) : Array Nat :=
  if i < levels.size then canonicalOrder levels colours (i + 1) (insertAt order (placeFor levels colours order i 0) i 0 #[]) else order

unsafe def inOrder (hs : Array Hyp) (order : Array Nat) (i : Nat) (acc : Array Hyp) : Array Hyp :=
  if h : i < order.size then inOrder hs order (i + 1) (acc.push hs[order[i]]!) else acc

/-- `∀ hypotheses, body` with the hypotheses in this order; names play no part in its hash. -/
unsafe def closedOver (hs : Array Hyp) (vars : Array Expr) (i : Nat) (body : Expr) : Expr :=
  match i with
  | 0 => body
  | i + 1 =>
    let h := hs[i]!
    closedOver hs vars i (match h.value with
      | some v => .letE `x (h.type.abstractRange i vars) (v.abstractRange i vars) body false
      | none => .forallE `x (h.type.abstractRange i vars) body .default)

unsafe def hiddenBits (hs : Array Hyp) (i : Nat) (acc : UInt64) : UInt64 :=
  if h : i < hs.size then hiddenBits hs (i + 1) (mixHash acc (if hs[i].hidden then 1 else 0)) else acc

/-- The key of a goal without metavariables: equal for goals that are the same up to the names of their hypotheses and to an order
of them that respects dependence. It is the hash of the goal as one closed statement, its hypotheses in a canonical order; so
different goals share a key only by an accident of hashing. Hypotheses that look alike in every respect stay in the order in which
they stand, so that some equal goals may get different keys; that costs a search time, never a proof. -/
unsafe def goalKey (hs : Array Hyp) (target : Expr) : UInt64 :=
  let vars := varsOf hs 0 #[]
  let colours := forwardColours hs (zeros hs.size #[]) 0 #[] #[] #[]
  let colours := if repeats colours 0
    then forwardColours hs (backwardColours hs target vars colours 0 #[]) 0 #[] #[] #[] else colours
  let ordered := inOrder hs (canonicalOrder (depthsOf hs 0 #[]) colours 0 #[]) 0 #[]
  let orderedVars := varsOf ordered 0 #[]
  let closed := closedOver ordered orderedVars ordered.size (target.abstract orderedVars)
  -- Two hashes of 32 bits that see the goal differently, so that an accident in one is not one in the other.
  let coloured := (target.replaceFVars vars (colourConsts colours 0 #[])).hash
  mixHash (mixHash closed.hash coloured) (hiddenBits ordered 0 11) ^^^ (closed.hash <<< 32)

unsafe def among (m : MVarId) (a : Array MVarId) (i : Nat) : Bool :=
  if h : i < a.size then (if a[i].name == m.name then true else among m a (i + 1)) else false

unsafe def shares (a b : Array MVarId) (i : Nat) : Bool :=
  if h : i < a.size then (if among a[i] b 0 then true else shares a b (i + 1)) else false

unsafe def addAll (a b : Array MVarId) (i : Nat) : Array MVarId :=
  if h : i < b.size then addAll (a.push b[i]) b (i + 1) else a

/-- The metavariables of the goals, each goal's own among them. -/
unsafe def ownMVars : List MVarId → Array (Array MVarId) → MetaM (Array (Array MVarId))
  | [], acc => pure acc
  | g :: r, acc => do
    match (← getMCtx).findDecl? g with
    | none => ownMVars r (acc.push #[g])
    | some d => ownMVars r (acc.push (← inContext d.lctx.getFVarIds 0 d.lctx (addAll #[g] (← getMVars d.type) 0)))
where inContext (ids : Array FVarId) (i : Nat) (lctx : LocalContext) (acc : Array MVarId) : MetaM (Array MVarId) := do
  if h : i < ids.size then
    match lctx.find? ids[i] with
    | none => inContext ids (i + 1) lctx acc
    | some d =>
      let acc := addAll acc (← getMVars d.type) 0
      let acc ← match d.value? with
        | some v => do pure (addAll acc (← getMVars v) 0)
        | none => pure acc
      inContext ids (i + 1) lctx acc
  else return acc

/-- One round of joining: each goal takes the smallest group number of the goals with which it shares a metavariable. -/
unsafe def joinGroups (ms : Array (Array MVarId)) (groups : Array Nat) (i j : Nat) : Array Nat :=
  if i < ms.size then
    if j < ms.size then
      let lower := groups[j]! < groups[i]! && shares ms[i]! ms[j]! 0
      joinGroups ms (if lower then groups.set! i groups[j]! else groups) i (j + 1)
    else joinGroups ms groups (i + 1) 0
  else groups

unsafe def settle (ms : Array (Array MVarId)) (groups : Array Nat) : Array Nat :=
  let next := joinGroups ms groups 0 0
  if sameNumbers next groups 0 then groups else settle ms next
where sameNumbers (a b : Array Nat) (i : Nat) : Bool := if i < a.size then a[i]! == b[i]! && sameNumbers a b (i + 1) else true

unsafe def countUp (n : Nat) (acc : Array Nat) : Array Nat :=
  if acc.size < n then countUp n (acc.push acc.size) else acc

/-- For each goal the number of the first goal with which it hangs together through metavariables; goals of different numbers can be
proved apart. -/
unsafe def goalGroups (gs : List MVarId) : MetaM (Array Nat) := do
  let ms ← ownMVars gs #[]
  return settle ms (countUp ms.size #[])
