-- ## frontend.track -------------------------------------------------------------------------------------


unsafe def missingFrom (src dst : Made) (i : Nat) (acc : Array Name) : Array Name :=
  if h : i < src.all.size then
    let n := src.all[i].name
    missingFrom src dst (i + 1) (if isUserName src.env n && !(dst.env.contains n) then acc.push n else acc)
  else acc

unsafe def trackEach (src dst : Made) (i : Nat) : Option String :=
  if h : i < dst.all.size then
    let c := dst.all[i]
    let n := nameStr (userName c.name)
    if c.type.hasSorry then some ("Definition type has sorry: " ++ n)
    else if (match c.value? (allowOpaque := true) with | some v => v.hasSorry | none => false) then some ("Definition value has sorry: " ++ n)
    else if dst.compiled c.name && !(src.compiled c.name) then some ("Trusting compiled code is not allowed: " ++ n)
    else match src.before.contains c.name, src.env.find? c.name with
      | false, some s =>
        let looked := isUserName dst.env c.name || (match c with | .recInfo _ => true | _ => false)
        if !looked then trackEach src dst (i + 1) else
        match clash s c (src.sorried c.name) true with
        | some e => some e
        | none => trackEach src dst (i + 1)
      | _, _ => match c with
        | .axiomInfo _ => some ("Adding axiom is not allowed: " ++ n)
        | _ => trackEach src dst (i + 1)
  else none

unsafe def commaNames (a : Array Name) (i : Nat) : String :=
  if h : i < a.size then (if i == 0 then "" else ", ") ++ nameStr (userName a[i]) ++ commaNames a (i + 1) else ""

unsafe def trackFailure (src dst : Made) : Option String :=
  match trackEach src dst 0 with
  | some e => some e
  | none =>
    let gone := missingFrom src dst 0 #[]
    if gone.size != 0 then some ("[" ++ commaNames gone 0 ++ "] not accounted for") else
    match replayFile dst (fun n => dst.compiled n) dst.before 0 with
    | .error e => some e
    | .ok env => if anyCompiled dst 0 then none else match sameRecursors dst env 0 with
      | some n => some ("the kernel makes another " ++ nameStr n)
      | none => none
where anyCompiled (m : Made) (i : Nat) : Bool :=
  if h : i < m.own.size then (if m.compiled m.own[i].name then true else anyCompiled m (i + 1)) else false

unsafe def theoremAxioms (m : Made) (i : Nat) (acc : Fields) : Fields :=
  if h : i < m.all.size then
    let c := m.all[i]
    theoremAxioms m (i + 1) (match c with
      | .thmInfo _ => if isUserName m.env c.name then (nameStr (userName c.name), .arr (nameArray (m.axioms c.name) 0 #[])) :: acc else acc
      | _ => acc)
  else acc

unsafe def anyErrors (us : Array FileUnit) (i : Nat) : Bool :=
  if h : i < us.size then us[i].after.messages.hasErrors || anyErrors us (i + 1) else false

unsafe def frontendTrack (sv : Server) (p : Json) : IO Json := do
  match str? p "src", str? p "dst" with
  | some src, some dst =>
    if namesUnsafe dst 0 && !(namesUnsafe src 0) then
      return Json.mkObj [("failure", .str "dst names something unsafe"), ("srcMessages", .arr #[]), ("dstMessages", .arr #[])]
    match ← runFile sv src false, ← runFile sv dst false with
    | .ok a, .ok b =>
      let ms ← allMessages a.units 0 #[]
      let ns ← allMessages b.units 0 #[]
      if anyErrors a.units 0 || anyErrors b.units 0 then return Json.mkObj [("srcMessages", .arr ms), ("dstMessages", .arr ns)]
      let sm := madeIn a.base.env a.last.env
      let dm := madeIn a.base.env b.last.env
      let rest := [("srcMessages", Json.arr #[]), ("dstMessages", Json.arr #[]), ("axioms", Json.mkObj (theoremAxioms dm 0 []))]
      return Json.mkObj (match trackFailure sm dm with
        | some e => ("failure", .str e) :: rest
        | none => rest)
    | .error j, _ => return j
    | _, .error j => return j
  | _, _ => return failure "arguments" "frontend.track takes src and dst"
