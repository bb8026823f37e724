-- ## The library of the embedded Lean, all of which a process has from its start ------------------------

unsafe def moduleOf (sv : Server) (p : Json) : IO (Except Json (Header × Name × ModuleData)) := do
  match str? p "module" with
  | none => return .error (failure "arguments" "module: String expected")
  | some m =>
    let h ← startOf sv
    match moduleIndex h.env.header.moduleNames m.toName 0 with
    | none => return .error (failure "index" ("Module not found " ++ m))
    | some i => match h.env.header.moduleData[i]? with
      | none => return .error (failure "index" ("Module not found " ++ m))
      | some d => return .ok (h, m.toName, d)

/-- `library.theorems {module}` -/
unsafe def libraryTheorems (sv : Server) (p : Json) : IO Json := do
  match ← moduleOf sv p with
  | .error j => return j
  | .ok (h, _, d) =>
    return Json.mkObj [("imports", .arr (importNames d.imports 0 #[])), ("theorems", .arr (libraryNames h.env d 0 #[]))]

/-- `library.statements {module, indices}` -/
unsafe def libraryStatements (sv : Server) (out : IO.FS.Stream) (p : Json) : IO Json := do
  match ← moduleOf sv p with
  | .error j => return j
  | .ok (_, _, d) =>
    match ← environmentOf sv (importedBy d.imports 0) with
    | .error j => return j
    | .ok h =>
      let ids := match field? p "indices" with
        | some (.arr a) => natsOf a 0 #[]
        | _ => #[]
      return Json.mkObj [("statements", .arr (← tasks p out h d ids 0 (← IO.monoNanosNow) #[]))]

unsafe def libraryCommands (sv : Server) (out : IO.FS.Stream) (cmd : String) (p : Json) : IO (Option Json) := do
  match cmd with
  | "library.theorems" => return some (← libraryTheorems sv p)
  | "library.statements" => return some (← libraryStatements sv out p)
  | _ => return none
