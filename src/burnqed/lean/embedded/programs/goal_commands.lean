-- ## The rest of Pantograph's goal commands -------------------------------------------------------------

/-- Answers a command of this part, or says that it is another's. -/
unsafe def goalCommands (sv : Server) (out : IO.FS.Stream) (cmd : String) (p : Json) : IO (Option Json) := do
  match cmd with
  | _ => return none
