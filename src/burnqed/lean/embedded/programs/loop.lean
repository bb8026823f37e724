-- ## Loop ---------------------------------------------------------------------------------------------

/-- Answers a command with its payload; what must go out before the answer goes to the stream. -/
abbrev Handler := Server → IO.FS.Stream → String → Json → IO Json

unsafe def firstSpace (s : String) (p : String.Pos.Raw) : String.Pos.Raw :=
  if p.atEnd s || p.get s == ' ' then p else firstSpace s (p.next s)

/-- A line is `cmd {json}`, a bare `cmd`, or `{"cmd": …, "payload": …}`. -/
unsafe def answer (handler : Handler) (sv : Server) (out : IO.FS.Stream) (line : String) : IO Json := do
  let parsed : Except String (String × Json) :=
    if line.startsWith "{" then
      match Json.parse line with
      | .error e => .error e
      | .ok j => match str? j "cmd" with
        | some c => .ok (c, match field? j "payload" with | some p => p | none => .null)
        | none => .error "cmd: String expected"
    else
      let stop := firstSpace line 0
      let word := String.Pos.Raw.extract line 0 stop
      let rest := (String.Pos.Raw.extract line stop line.rawEndPos).trimAscii.toString
      if rest == "" then .ok (word, .null) else
        match Json.parse rest with
        | .error e => .error e
        | .ok j => .ok (word, j)
  match parsed with
  | .error e => return failure "command" ("Unable to parse json: " ++ e)
  | .ok (cmd, p) =>
    match ← (handler sv out cmd p).toBaseIO with
    | .ok j => return signed p j
    | .error e => return signed p (failure "io" (toString e))

unsafe def loop (handler : Handler) (sv : Server) (inp out : IO.FS.Stream) : IO Unit := do
  let line ← inp.getLine
  let line := line.trimAscii.toString
  if line == "" then return
  bury sv
  let j ← answer handler sv out line
  out.putStrLn (if isTrue (lookup (← sv.options.get) "printJsonPretty") then j.pretty else j.compress)
  out.flush
  loop handler sv inp out

unsafe def imports : List String → Array Import → Array Import
  | [], acc => acc
  | m :: r, acc => imports r (acc.push { module := m.toName })

/-- Imports the modules and serves until the input ends. -/
unsafe def serve (handler : Handler) (modules : List String) (prepare : Server → IO Unit) : IO Unit := do
  enableInitializersExecution
  let env ← importModules (loadExts := true) (imports modules #[]) {} 1
  let request ← IO.mkRef {}
  let base : Header := { text := "", env := env, opts := {}, ns := .anonymous, opens := [], levels := [], request := some request }
  let sv : Server := {
    base := ← IO.mkRef base, headers := ← IO.mkRef #[], other := ← IO.mkRef none, dead := ← IO.mkRef [], states := ← IO.mkRef #[], options := ← IO.mkRef defaultOptions
    request := request, changes := ← IO.mkRef #[] }
  prepare sv
  let out ← IO.getStdout
  out.putStrLn "ready."
  out.flush
  loop handler sv (← IO.getStdin) out
