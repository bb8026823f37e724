-- ## Environments of other imports ----------------------------------------------------------------------

/-- The modules that an environment, or one that grew out of it, imports. -/
unsafe def importedBy (a : Array Import) (i : Nat) : List Name :=
  if h : i < a.size then a[i].module :: importedBy a (i + 1) else []

unsafe def importNames (a : Array Import) (i : Nat) (acc : Array Json) : Array Json :=
  if h : i < a.size then importNames a (i + 1) (acc.push (.str (nameStr a[i].module))) else acc

unsafe def sameNames : List Name → List Name → Bool
  | [], [] => true
  | a :: r, b :: s => a == b && sameNames r s
  | _, _ => false

unsafe def sameImports (a b : Header) : Bool :=
  sameNames (importedBy a.env.header.imports 0) (importedBy b.env.header.imports 0)

unsafe def headersBut (other : Header) (a : Array Header) (i : Nat) (acc : Array Header) : Array Header :=
  if h : i < a.size then headersBut other a (i + 1) (if sameImports other a[i] then acc else acc.push a[i]) else acc

unsafe def statesBut (other : Header) (a : Array (Option GoalState)) (i : Nat) (acc : Array (Option GoalState)) : Array (Option GoalState) :=
  if h : i < a.size then
    statesBut other a (i + 1) (acc.push (match a[i] with
      | some s => if sameImports other s.header then none else some s
      | none => none))
  else acc

/-- Gives the memory of an environment's modules back; this must be the last that anybody has of it. -/
unsafe def freed (h : Header) : IO Unit := do
  let env := h.env
  env.freeRegions

unsafe def freedAll : List Header → IO Unit
  | [] => pure ()
  | h :: r => do
    freed h
    freedAll r

/-- Frees the environments that were let go. Between two requests only: while one is answered, something may still hold a part of
them that it will not look at any more, and only letting go of that would touch memory that is no longer theirs. -/
unsafe def bury (sv : Server) : IO Unit := do
  let hs ← sv.dead.get
  sv.dead.set []
  freedAll hs

/-- Lets go of the environment of other imports, and of all states and headers in it. -/
unsafe def dropOther (sv : Server) : IO Unit := do
  match ← sv.other.get with
  | none => pure ()
  | some h =>
    sv.other.set none
    sv.headers.modify fun a => headersBut h a 0 #[]
    sv.states.modify fun a => statesBut h a 0 #[]
    sv.dead.modify fun hs => h :: hs

unsafe def foreignName : List Name → Option Name
  | [] => none
  | n :: r => match n.getRoot with
    | `Init | `Std => foreignName r
    | _ => some n

unsafe def importArray : List Name → Array Import → Array Import
  | [], acc => acc
  | m :: r, acc => importArray r (acc.push { module := m })

/-- The environment of exactly these modules and what they import. One such is kept: the next takes its place, and every state in the
old one is then gone. What the server started with stays. -/
unsafe def openOther (sv : Server) (modules : List Name) : IO (Except Json Header) := do
  let there ← match ← sv.other.get with
    | some h => do pure (if sameNames modules (importedBy h.env.header.imports 0) then some h else none)
    | none => pure none
  match there with
  | some h => return .ok h
  | none =>
    dropOther sv
    match ← (importModules (loadExts := true) (importArray modules #[]) {} 1).toBaseIO with
    | .error e => return .error (failure "frontend" ("the imports cannot be read: " ++ toString e))
    | .ok env =>
      let h : Header := { text := "", env := env, opts := (← sv.base.get).opts, ns := .anonymous, opens := [], levels := [], request := some sv.request }
      sv.other.set (some h)
      return .ok h

/-- The same, of modules that the embedded Lean has. -/
unsafe def environmentOf (sv : Server) (modules : List Name) : IO (Except Json Header) := do
  match foreignName modules with
  | some m => return .error (failure "frontend" ("unknown module " ++ nameStr m ++ ": the embedded Lean has Init and Std only; use a native toolchain for what imports more"))
  | none => openOther sv modules

/-- What the server started with if these are its modules and nothing was added since, else the environment of exactly these. -/
unsafe def exactly (sv : Server) (modules : List Name) : IO (Except Json Header) := do
  let base ← sv.base.get
  if (← sv.changes.get).size == 0 && sameNames modules (importedBy base.env.header.imports 0) then return .ok base
  environmentOf sv modules

/-- What a request stands on: its field `imports` names modules; without it, it is what the server started with. -/
unsafe def groundOf (sv : Server) (p : Json) : IO (Except Json Header) := do
  match field? p "imports" with
  | none => return .ok (← sv.base.get)
  | some (.arr a) => match strings a 0 with
    | [] => return .error (failure "arguments" "imports: names of modules expected")
    | ms => exactly sv (toNames ms)
  | some _ => return .error (failure "arguments" "imports: names of modules expected")
