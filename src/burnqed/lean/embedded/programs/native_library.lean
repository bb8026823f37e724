-- ## The library of a native Lean, module by module ----------------------------------------------------
/-
A native project is not imported as a whole: some of its modules may not load, two of them may define the same name, and a second
environment of files that are mapped already would be read into memory instead of being mapped. So a process starts with
Init, and has the environment of one module, or of one module's imports, at a time.
-/

/-- What outlives its request. -/
structure Held where
  files : IO.Ref (List CompactedRegion) -- compiled files that were read alone, until their memory is given back
  ran : IO.Ref NameSet -- modules whose initialisers were run

unsafe def freeAll : List CompactedRegion → IO Unit
  | [] => pure ()
  | r :: rest => do
    r.free
    freeAll rest

/-- A module's compiled file alone: what it imports, and its constants as other modules see them. -/
unsafe def moduleFile (held : Held) (module : Name) : IO (Except Json ModuleData) := do
  let read : IO (ModuleData × CompactedRegion) := do readModuleData (← findOLean module)
  match ← read.toBaseIO with
  | .error e => return .error (failure "frontend" ("its compiled file cannot be read: " ++ toString e))
  | .ok (d, region) =>
    held.files.modify fun rs => region :: rs
    return .ok d

unsafe def hasEntries (d : ModuleData) (ext : Name) (i : Nat) : Bool :=
  if h : i < d.entries.size then (if d.entries[i].1 == ext then d.entries[i].2.size != 0 else hasEntries d ext (i + 1)) else false

/-- The modules from `i` on that have initialisers which were not run before. -/
unsafe def initialised (env : Environment) (i : Nat) (seen new : NameSet) : NameSet :=
  if h : i < env.header.moduleData.size then
    let fresh := hasEntries env.header.moduleData[i] regularInitAttr.ext.name 0 && !(seen.contains env.header.moduleNames[i]!)
    initialised env (i + 1) seen (if fresh then new.insert env.header.moduleNames[i]! else new)
  else new

/-- Lets go of the environment. It is kept for good if initialisers ran in it, which Lean does once in a process for each module: what
they made refers to its memory, and later environments use that. -/
unsafe def leave (sv : Server) (held : Held) : IO Unit := do
  match ← sv.other.get with
  | none => pure ()
  | some h =>
    let seen ← held.ran.get
    let new := initialised h.env 0 seen {}
    if new.isEmpty then dropOther sv else
      held.ran.set (joined new.toList seen)
      sv.other.set none
where joined : List Name → NameSet → NameSet
  | [], s => s
  | n :: r, s => joined r (s.insert n)

/-- `library.theorems {module}` -/
unsafe def nativeTheorems (sv : Server) (held : Held) (module : Name) : IO Json := do
  match ← openOther sv [module] with
  | .error j => return j
  | .ok h => match ← moduleFile held module with
    | .error j => return j
    | .ok d => return Json.mkObj [("imports", .arr (importNames d.imports 0 #[])), ("theorems", .arr (libraryNames h.env d 0 #[]))]

/-- `library.statements {module, indices}` -/
unsafe def nativeStatements (sv : Server) (held : Held) (out : IO.FS.Stream) (p : Json) (module : Name) : IO Json := do
  match ← moduleFile held module with
  | .error j => return j
  | .ok d => match ← openOther sv (importedBy d.imports 0) with
    | .error j => return j
    | .ok h =>
      let ids := match field? p "indices" with
        | some (.arr a) => natsOf a 0 #[]
        | _ => #[]
      return Json.mkObj [("statements", .arr (← tasks p out h d ids 0 (← IO.monoNanosNow) #[]))]

/-- Nothing of an environment may be in use when the next request comes, so each is left at the end of its own. -/
unsafe def dispatchLibrary (held : Held) (sv : Server) (out : IO.FS.Stream) (cmd : String) (p : Json) : IO Json := do
  freeAll (← held.files.get)
  held.files.set []
  let module? := str? p "module"
  let answered ← match cmd, module? with
    | "reset", _ => pure (Json.mkObj [])
    | "library.theorems", some m => nativeTheorems sv held m.toName
    | "library.statements", some m => nativeStatements sv held out p m.toName
    | _, _ => pure (failure "command" ("library.theorems or library.statements of a module, or reset, not " ++ cmd))
  leave sv held
  return answered

unsafe def main (_ : List String) : IO Unit := do
  let held : Held := { files := ← IO.mkRef [], ran := ← IO.mkRef {} }
  serve (dispatchLibrary held) ["Init"] fun _ => pure ()
