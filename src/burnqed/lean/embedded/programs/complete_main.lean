-- ## All of Pantograph ---------------------------------------------------------------------------------

unsafe def dispatchSingle (files : Files) (sv : Server) (out : IO.FS.Stream) (cmd : String) (p : Json) : IO Json := do
  if let some j ← fileCommands sv files cmd p then return j
  if let some j ← goalCommands sv out cmd p then return j
  if let some j ← environmentCommands sv cmd p then return j
  if let some j ← libraryCommands sv out cmd p then return j
  if let some j ← traceCommands sv out cmd p then return j
  dispatch sv out cmd p

unsafe def dispatchComplete (files : Files) (sv : Server) (out : IO.FS.Stream) (cmd : String) (p : Json) : IO Json := do
  if let some j ← saveCommands sv (dispatchSingle files sv out) cmd p then return j
  dispatchSingle files sv out cmd p

/-- Arguments are modules and Lean options (`--pp.raw=true`). -/
unsafe def optionCommands : List String → String
  | [] => ""
  | a :: r => (if a.startsWith "--" then optionCommand a (equalsSign a 0) else "") ++ optionCommands r
where
  equalsSign (s : String) (p : String.Pos.Raw) : String.Pos.Raw := if p.atEnd s || p.get s == '=' then p else equalsSign s (p.next s)
  optionCommand (s : String) (p : String.Pos.Raw) : String :=
    "set_option " ++ String.Pos.Raw.extract s ⟨2⟩ p ++ " " ++ String.Pos.Raw.extract s (p.next s) s.rawEndPos ++ "\n"

unsafe def moduleArguments : List String → List String
  | [] => []
  | a :: r => if a.startsWith "--" then moduleArguments r else a :: moduleArguments r

public unsafe def main (args : List String) : IO Unit := do
  let files ← IO.mkRef []
  serve (dispatchComplete files) (moduleArguments args) fun sv => do
    match ← openHeader sv (optionCommands args) with
    | .ok h => sv.base.set { h with text := "" }
    | .error j => throw (IO.userError (j.compress))
