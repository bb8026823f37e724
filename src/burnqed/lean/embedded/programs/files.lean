-- ## Files: their commands, tactics and sorries ---------------------------------------------------------

/-- Answers a command of this part, or says that it is another's. -/
unsafe def fileCommands (sv : Server) (out : IO.FS.Stream) (cmd : String) (p : Json) : IO (Option Json) := do
  match cmd with
  | _ => return none
