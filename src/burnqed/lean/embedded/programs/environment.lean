-- ## The rest of Pantograph's environment commands ------------------------------------------------------

/-- Answers a command of this part, or says that it is another's. -/
unsafe def environmentCommands (sv : Server) (out : IO.FS.Stream) (cmd : String) (p : Json) : IO (Option Json) := do
  match cmd with
  | _ => return none
