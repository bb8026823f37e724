-- ## Steps at chosen goals, and goals that sleep -------------------------------------------------------

unsafe def isAutomatic (sv : Server) (p : Json) : IO Bool := do
  match field? p "autoResume" with
  | some (.bool b) => return b
  | _ => setting sv "automaticMode"

/-- Which goals a step works on, the one that it prefers first. Those it does not see go dormant. -/
unsafe def site (sv : Server) (s : GoalState) (p : Json) : IO (Except Json (List MVarId)) := do
  let automatic ← isAutomatic sv p
  match field? p "goalId" with
  | none => match automatic, s.goals with
    | true, gs => return .ok gs
    | false, g :: _ => return .ok [g]
    | false, [] => return .error (failure "index" "No goals to be solved")
  | some id =>
    let found := match id with
      | .num n => nth n.mantissa.toNat s.goals
      | .str name => pick name s.goals
      | _ => none
    match found with
    | none => return .error (failure "index" ("Invalid goal index " ++ id.compress))
    | some (g, others) => return .ok (if automatic then g :: others else [g])
where nth : Nat → List MVarId → Option (MVarId × List MVarId)
  | _, [] => none
  | 0, g :: r => some (g, r)
  | n + 1, g :: r => match nth n r with
    | some (found, others) => some (found, g :: others)
    | none => none

unsafe def localNames (mctx : MetavarContext) (ids : List MVarId) (acc : NameSet) : NameSet :=
  match ids with
  | [] => acc
  | g :: r => match mctx.findDecl? g with
    | some d => localNames mctx r (insertAll d.lctx.getFVarIds 0 acc)
    | none => localNames mctx r acc
where insertAll (a : Array FVarId) (i : Nat) (acc : NameSet) : NameSet :=
  if h : i < a.size then insertAll a (i + 1) (acc.insert (nameStr a[i].name).toName) else acc

/-- With `noRepeat`, the variables that the step before had are shown by their names only. -/
unsafe def shorten (known : NameSet) (vars : Array Json) (i : Nat) (acc : Array Json) : Array Json :=
  if h : i < vars.size then
    let v := vars[i]
    let v := match str? v "name" with
      | some n => if known.contains n.toName then Json.mkObj (chosen v ["name", "userName", "isInaccessible"]) else v
      | none => v
    shorten known vars (i + 1) (acc.push v)
  else acc

unsafe def fragmentName (gs : Fragments) (name : String) : Option String :=
  match gs with
  | [] => none
  | (g, f) :: r => if nameStr g.name == name then (match f with | .calc _ => some "calc" | _ => some "conv") else fragmentName r name

/-- What depends on the state and not on the goal alone: the fragments, and what need not be repeated. -/
unsafe def dressed (noRepeat : Bool) (s : GoalState) (js : Array Json) : Array Json :=
  match s.fragments, noRepeat with
  | [], false => js
  | _, _ => each (if noRepeat then localNames s.metas.mctx s.parents {} else {}) js 0 #[]
where each (known : NameSet) (js : Array Json) (i : Nat) (acc : Array Json) : Array Json :=
  if h : i < js.size then
    let j := js[i]
    let j := match str? j "name" with
      | some n => match fragmentName s.fragments n with
        | some f => j.setObjVal! "fragment" (.str f)
        | none => j
      | none => j
    let j := match noRepeat, field? j "vars" with
      | true, some (.arr vs) => j.setObjVal! "vars" (.arr (shorten known vs 0 #[]))
      | _, _ => j
    each known js (i + 1) (acc.push j)
  else acc

unsafe def dressedStep (noRepeat : Bool) (r : Step) : Step :=
  match r.next, lookup r.json "goals" with
  | some n, some (.arr js) => { r with json := replace r.json "goals" (.arr (dressed noRepeat n js)) }
  | _, _ => r

unsafe def isInterrupted (r : Step) : Bool :=
  match lookup r.json "reason" with
  | some (.str s) => s == "interrupt"
  | _ => false

unsafe def stepKeys : List String := ["tactic", "mode", "expr", "have", "let", "draft"]

/-- What makes the same step again from the same state. -/
unsafe def stepPayload (sv : Server) (p : Json) : IO Fields := do
  return ("autoResume", .bool (← isAutomatic sv p)) :: chosen p ["tactic", "mode", "expr", "have", "let", "draft", "goalId", "binderName", "maxHeartbeats"]

unsafe def invalid (desc : String) : Except Json (BaseIO Step) := .error (failure "invalid" desc)

unsafe def modeStep (s : GoalState) (g : MVarId) (rest : List MVarId) (mode : String) (limit : Nat) : Except Json (BaseIO Step) :=
  let act := perform s (g :: rest) "" limit false
  match mode, fragmentOf g s.fragments with
  | "tactic", none => invalid "Goal does not have a fragment"
  | "tactic", some (.calc _) => .ok (act (return (g :: rest, dropFragment g s.fragments)))
  | "tactic", some (.piece of) => .ok (act (endConv of (g :: rest) s.fragments))
  | "tactic", some (.conv ..) => .ok (act (endConv g rest s.fragments))
  | "conv", none => .ok (act (enterConv g rest s.fragments))
  | "conv", some (.calc _) => invalid "Goal already has a fragment"
  | "conv", some _ => invalid "Already in conv state"
  | "calc", none => .ok (act (return (g :: rest, (g, .calc none) :: s.fragments)))
  | "calc", some _ => invalid "Goal already has a fragment"
  | m, _ => .error (failure "operation" ("Invalid mode " ++ m))

unsafe def onlyFragments (s : GoalState) (act : TermElabM (List MVarId)) : TermElabM (List MVarId × Fragments) := do
  return (← act, s.fragments)

/-- The step that a request for one asks for, on these goals. -/
unsafe def stepFor (s : GoalState) (seen : List MVarId) (p : Json) (limit : Nat) : Except Json (BaseIO Step) :=
  let wrong := "Exactly one of {tactic, mode, expr, have, let, draft} must be supplied"
  match chosen p stepKeys with
  | [("tactic", .str src)] => .ok (textStep s seen src limit false)
  | [(kind, .str src)] => match seen with
    | [] => .error (failure "index" "No goals to be solved")
    | g :: rest =>
      let name := match str? p "binderName" with
        | some n => n.toName
        | none => `this
      let term (act : Syntax → TermElabM (List MVarId)) : Except Json (BaseIO Step) := match fragmentOf g s.fragments with
        | some _ => invalid "The goal is in a fragment: leave it first, with mode \"tactic\""
        | none => .ok (readStep s (Parser.categoryParserFn `term) src fun stx => perform s seen src limit false (onlyFragments s (act stx)))
      match kind with
      | "mode" => modeStep s g rest src limit
      | "expr" => term (assignTerm g rest)
      | "have" => term (introduce false g rest name)
      | "let" => term (introduce true g rest name)
      | "draft" => term (draft g rest)
      | _ => .error (failure "arguments" wrong)
  | [(kind, _)] => .error (failure "command" ("Unable to parse json: Pantograph.Protocol.GoalTactic." ++ kind ++ ": String expected"))
  | _ => .error (failure "arguments" wrong)

unsafe def goalTacticComplete (sv : Server) (p : Json) : IO Json :=
  withState sv p fun s => do
    match ← site sv s p with
    | .error j => return j
    | .ok seen => match stepFor s seen p (← limitOf sv p) with
      | .error j => return j
      | .ok act =>
        let r := dressedStep (← setting sv "noRepeat") (← act)
        match r.next with
        | none => if isInterrupted r then return failure "io" "interrupt" else return Json.mkObj r.json
        | some n =>
          let i ← remember sv { n with trail := trailOf "goal.tactic" (← stepPayload sv p) [s.trail] }
          return Json.mkObj (("nextStateId", num i) :: r.json)

unsafe def goalTacticsComplete (sv : Server) (p : Json) (out : IO.FS.Stream) : IO Json :=
  withState sv p fun s => do
    match ← site sv s p with
    | .error j => return j
    | .ok seen => match field? p "tactics" with
      | some (.arr a) =>
        let limit ← limitOf sv p
        let noRepeat ← setting sv "noRepeat"
        let payload ← stepPayload sv p
        let apply (src : String) : BaseIO Step := do
          let r := dressedStep noRepeat (← textStep s seen src limit (!(flag p "errors")))
          match r.next with
          | none => return r
          | some n => return { r with next := some { n with trail := trailOf "goal.tactic" (("tactic", .str src) :: payload) [s.trail] } }
        return Json.mkObj [("outcomes", .arr (← batch sv p apply out (strings a 0) (← IO.monoNanosNow) #[]))]
      | _ => return failure "command" "Unable to parse json: tactics: Array of strings expected"

/-- The goals of a state as a reply shows them. -/
unsafe def shownGoals (sv : Server) (s : GoalState) : IO (Except Json (Array Json)) := do
  let r ← runAt s (goalsJson s.goals #[])
  match r.result with
  | .error e => return .error (← thrown e)
  | .ok js => return .ok (dressed (← setting sv "noRepeat") s js)

unsafe def stateAt (sv : Server) (i : Nat) : IO (Option GoalState) := do
  let a ← sv.states.get
  return (if h : i < a.size then a[i] else none)

unsafe def toGoals : List String → List MVarId
  | [] => []
  | s :: r => { name := s.toName } :: toGoals r

unsafe def unknownGoals (mctx : MetavarContext) : List MVarId → List MVarId
  | [] => []
  | g :: r => match mctx.findDecl? g with
    | some _ => unknownGoals mctx r
    | none => g :: unknownGoals mctx r

unsafe def goalNames : List MVarId → String
  | [] => ""
  | [g] => nameStr g.name
  | g :: r => nameStr g.name ++ ", " ++ goalNames r

unsafe def goalNameList : List MVarId → Array Json → Array Json
  | [], acc => acc
  | g :: r, acc => goalNameList r (acc.push (.str (nameStr g.name)))

unsafe def mergeFragments : Fragments → Fragments → Fragments
  | [], fs => fs
  | (g, f) :: r, fs => match fragmentOf g fs with
    | some _ => mergeFragments r fs
    | none => (g, f) :: mergeFragments r fs

unsafe def resume (sv : Server) (target : GoalState) (goals : List MVarId) (fragments : Fragments) : IO Json := do
  match unknownGoals target.metas.mctx goals with
  | g :: r => return failure "structure" ("Goals [" ++ goalNames (g :: r) ++ "] are not in scope")
  | [] =>
    let s := { target with
      goals := openOnes target.metas.mctx goals, fragments := mergeFragments fragments target.fragments
      trail := trailOf "goal.continue" [("goals", .arr (goalNameList goals #[]))] [target.trail] }
    match ← shownGoals sv s with
    | .error j => return j
    | .ok js => return Json.mkObj [("nextStateId", num (← remember sv s)), ("goals", .arr js)]

unsafe def goalContinue (sv : Server) (p : Json) : IO Json := do
  match nat? p "target" with
  | none => return failure "command" "Unable to parse json: Pantograph.Protocol.GoalContinue.target: Natural number expected"
  | some t => match ← stateAt sv t with
    | none => return failure "index" ("Invalid state index " ++ toString t)
    | some target => match nat? p "branch", field? p "goals" with
      | some b, none => match ← stateAt sv b with
        | none => return failure "index" ("Invalid state index " ++ toString b)
        | some branch =>
          match target.goals with
          | _ :: _ => return failure "structure" "Target state has unresolved goals"
          | [] =>
            if target.root != branch.root then
              return failure "structure" ("Roots of two continued goal states do not match: " ++ nameStr target.root.name ++ " != " ++ nameStr branch.root.name)
            resume sv target branch.goals branch.fragments
      | none, some (.arr a) => resume sv target (toGoals (strings a 0)) []
      | _, _ => return failure "arguments" "Exactly one of {branch, goals} must be supplied"
