-- ## Tactic invocations of a file -----------------------------------------------------------------------

/-- A node of an information tree with its context. -/
structure Found where
  info : Info
  ctx : ContextInfo
  tried : Bool -- whether a tactic around it goes on when it fails

/-- Tactics inside which others may fail without harm. -/
unsafe def isTrying (k : Name) : Bool :=
  k == ``Parser.Tactic.first || k == ``Parser.Tactic.tacticTry_ || k == ``Parser.Tactic.anyGoals || k == ``Parser.Tactic.tacticRepeat_ ||
  k == ``Parser.Tactic.«tacticIterate____» || k == `Lean.Parser.Tactic.«tacticRepeat'_» || k == `Lean.solveTactic

mutual
/-- The nodes that `wanted` chooses, outer ones first. -/
unsafe def gather (wanted : Info → ContextInfo → Bool) (ci : Option ContextInfo) (tried : Bool) (t : InfoTree) (acc : Array Found) : Array Found :=
  match t with
  | .context pc t => gather wanted (pc.mergeIntoOuter? ci) tried t acc
  | .node i cs =>
    let acc := match ci with
      | some c => if wanted i c then acc.push { info := i, ctx := c, tried := tried } else acc
      | none => acc
    let tried := tried || (match i with | .ofTacticInfo ti => isTrying ti.stx.getKind | _ => false)
    gatherAll wanted (i.updateContext? ci) tried cs acc
  | .hole _ => acc
unsafe def gatherAll (wanted : Info → ContextInfo → Bool) (ci : Option ContextInfo) (tried : Bool) (ts : PersistentArray InfoTree) (acc : Array Found) : Array Found :=
  gatherLeaves wanted ci tried ts.tail 0 (gatherNode wanted ci tried ts.root acc)
unsafe def gatherNode (wanted : Info → ContextInfo → Bool) (ci : Option ContextInfo) (tried : Bool) (n : PersistentArrayNode InfoTree) (acc : Array Found) : Array Found :=
  match n with
  | .node cs => gatherNodes wanted ci tried cs 0 acc
  | .leaf ts => gatherLeaves wanted ci tried ts 0 acc
unsafe def gatherNodes (wanted : Info → ContextInfo → Bool) (ci : Option ContextInfo) (tried : Bool) (cs : Array (PersistentArrayNode InfoTree)) (i : Nat) (acc : Array Found) : Array Found :=
  if h : i < cs.size then gatherNodes wanted ci tried cs (i + 1) (gatherNode wanted ci tried cs[i] acc) else acc
unsafe def gatherLeaves (wanted : Info → ContextInfo → Bool) (ci : Option ContextInfo) (tried : Bool) (ts : Array InfoTree) (i : Nat) (acc : Array Found) : Array Found :=
  if h : i < ts.size then gatherLeaves wanted ci tried ts (i + 1) (gather wanted ci tried ts[i] acc) else acc
end

/-- Where a person wrote this syntax; none for what a macro made. -/
unsafe def writtenAt (stx : Syntax) : Option (String.Pos.Raw × String.Pos.Raw) :=
  match stx.getHeadInfo, stx.getTailInfo with
  | .original _ b _ _, .original _ _ _ e => some (b, e)
  | _, _ => none

unsafe def inCategory (env : Environment) (category kind : Name) : Bool :=
  match Parser.getParserCategory? env category with
  | some c => c.kinds.contains kind
  | none => false

/-- A tactic that a person wrote: no wrapper, nothing that a macro made. -/
unsafe def isInvocation (i : Info) (c : ContextInfo) : Bool :=
  match i with
  | .ofTacticInfo ti =>
    let k := ti.stx.getKind
    (inCategory c.env `tactic k || inCategory c.env `conv k) && k != ``Parser.Tactic.paren && k != ``Parser.Tactic.Conv.paren &&
    (match writtenAt ti.stx with | some _ => true | none => false)
  | _ => false

unsafe def joined : List String → String
  | [] => ""
  | [s] => s
  | s :: r => s ++ "\n\n" ++ joined r

unsafe def goalTexts : List MVarId → MetaM (List String)
  | [] => pure []
  | g :: r => do
    let f ← ppGoal g
    return f.pretty :: (← goalTexts r)

/-- What a context shows, as something to run in. -/
unsafe def headerAt (c : ContextInfo) (levels : List Name) : Header :=
  { text := "", env := c.env, opts := c.options, ns := c.currNamespace, opens := c.openDecls, levels := levels }

/-- A theorem, or a safe definition, as it would be added. -/
unsafe def declaration? : ConstantInfo → Option Declaration
  | .thmInfo v => some (.thmDecl v)
  | .defnInfo v => if v.safety == .safe then some (.defnDecl v) else none
  | .opaqueInfo v => if v.isUnsafe then none else some (.opaqueDecl v)
  | _ => none

/-- Adds an auxiliary constant that `src` has, after what it rests on; nothing that a person declared, `own` above all, nothing that holds
a sorry, and nothing that rests on such. -/
unsafe def addAux (own : Name) (src env : Environment) (n : Name) : Option Environment :=
  if env.contains n then some env
  else if n == own || isUserName src n || n == ``sorryAx then none
  else match src.find? n with
    | none => none
    | some c =>
    match declaration? c with -- asked first: what is not safe may call itself
    | none => none
    | some d =>
      let below := match addAuxAll own src env c.type.getUsedConstants 0, c.value? (allowOpaque := true) with
        | some env, some v => addAuxAll own src env v.getUsedConstants 0
        | r, _ => r
      match below with
      | none => none
      | some env => match env.addDeclCore 0 d none with
        | .ok env => match Match.Extension.getMatcherInfo? src n with
          | some info => some (Match.Extension.addMatcherInfo env n info)
          | none => some env
        | .error _ => none
where addAuxAll (own : Name) (src env : Environment) (a : Array Name) (i : Nat) : Option Environment :=
  if h : i < a.size then
    match addAux own src env a[i] with
    | some env => addAuxAll own src env a (i + 1)
    | none => none
  else some env

unsafe def addEachAux (own : Name) (src env : Environment) (a : Array ConstantInfo) (i : Nat) : Environment :=
  if h : i < a.size then addEachAux own src ((addAux own src env a[i].name).getD env) a (i + 1) else env

/-- The environment in which a declaration's body stands: what was there before it, and the auxiliary constants (matchers, say) that
came with it. A context's own environment is the one after the command, in which a proof would find its own theorem. -/
unsafe def envInside (u : FileUnit) (c : ContextInfo) : BaseIO Environment := do
  let made := newConstants u.before.env c.env
  enableEach c.options made 0 (addEachAux (c.parentDecl?.getD .anonymous) c.env u.before.env made 0)
where enableEach (opts : Options) (a : Array ConstantInfo) (i : Nat) (env : Environment) : BaseIO Environment := do
  if h : i < a.size then
    match a[i] with
    -- Equations and the like of a matcher are made when they are asked for, where that was allowed.
    | .defnInfo v => if env.contains v.name then enableEach opts a (i + 1) (← env.enableRealizationsForConst opts v.name) else enableEach opts a (i + 1) env
    | _ => enableEach opts a (i + 1) env
  else return env

unsafe def coreAt (c : ContextInfo) (scope : Nat) : Core.State := { env := c.env, ngen := c.ngen, nextMacroScope := scope }

unsafe def textOf (r : Ran String) : BaseIO String := do
  match r.result with
  | .ok s => return s
  | .error e => return "not printable: " ++ (← e.toMessageData.toString)

unsafe def goalsAt (c : ContextInfo) (mctx : MetavarContext) (goals : List MVarId) : BaseIO String := do
  textOf (← run (headerAt c []) "" 0 (coreAt c 0) { mctx := mctx } {} do return joined (← goalTexts goals))

unsafe def usedIn (mctx : MetavarContext) : List MVarId → NameSet → Array Name → MetaM (Array Name)
  | [], _, acc => pure acc
  | g :: r, seen, acc => do
    let e ← instantiateMVars (.mvar g)
    let (seen, acc) := add e.getUsedConstants 0 seen acc
    usedIn mctx r seen acc
where add (a : Array Name) (i : Nat) (seen : NameSet) (acc : Array Name) : NameSet × Array Name :=
  if h : i < a.size then
    if seen.contains a[i] then add a (i + 1) seen acc else add a (i + 1) (seen.insert a[i]) (acc.push a[i])
  else (seen, acc)

unsafe def usedConstants (c : ContextInfo) (mctx : MetavarContext) (goals : List MVarId) : BaseIO (Array Name) := do
  let r ← run (headerAt c []) "" 0 (coreAt c 0) { mctx := mctx } {} (usedIn mctx goals {} #[])
  match r.result with
  | .ok a => return a
  | .error _ => return #[]

-- ### The text of a tactic, cut out of its file

/-- The column of a place: characters since the line began. -/
unsafe def columnOf (s : String) (p : String.Pos.Raw) : Nat :=
  if p.byteIdx == 0 then 0 else
  let q := p.prev s
  if q.get s == '\n' then 0 else columnOf s q + 1

unsafe def spacesFrom (s : String) (p : String.Pos.Raw) (n : Nat) : Nat :=
  if p.atEnd s then n else if p.get s == ' ' then spacesFrom s (p.next s) (n + 1) else n

unsafe def lineEnd (s : String) (p : String.Pos.Raw) : String.Pos.Raw :=
  if p.atEnd s || p.get s == '\n' then p else lineEnd s (p.next s)

/-- Whether each line after the first that is not blank begins with `n` spaces. -/
unsafe def indentedBy (s : String) (n : Nat) (p : String.Pos.Raw) : Bool :=
  let e := lineEnd s p
  if e.atEnd s then true else
  let b := e.next s
  let k := spacesFrom s b 0
  if k < n && b.byteIdx + k != (lineEnd s b).byteIdx then false else indentedBy s n b

unsafe def dedentLines (s : String) (n : Nat) (p : String.Pos.Raw) (acc : String) : String :=
  let e := lineEnd s p
  let acc := acc ++ String.Pos.Raw.extract s p e
  if e.atEnd s then acc else
  let b := e.next s
  let k := spacesFrom s b 0
  dedentLines s n ⟨b.byteIdx + (if k < n then k else n)⟩ (acc ++ "\n")

/-- A piece of a file as it would be written at the margin. -/
unsafe def cutOut (text : String) (b e : String.Pos.Raw) : String :=
  let s := String.Pos.Raw.extract text b e
  let n := columnOf text b
  if n == 0 || !(indentedBy s n 0) then s else dedentLines s n 0 ""

/-- An entry that was made already: the same text run on goals that look the same, to the same effect. -/
unsafe def isRepeated (a : Array (Nat × Nat × String × String)) (x : Nat × Nat × String × String) (i : Nat) : Bool :=
  if h : i < a.size then
    let y := a[i]
    if y.1 == x.1 && y.2.1 == x.2.1 && y.2.2.1 == x.2.2.1 && y.2.2.2 == x.2.2.2 then true else isRepeated a x (i + 1)
  else false

unsafe def sameGoals : List MVarId → List MVarId → Bool
  | [], [] => true
  | a :: r, b :: s => a == b && sameGoals r s
  | _, _ => false

unsafe def levelsOf (u : FileUnit) (c : ContextInfo) : List Name :=
  let outer := (scopeOf u.after).levelNames
  match c.parentDecl? with
  | none => outer
  | some n => match u.after.env.find? n, c.env.find? n with
    | some i, _ => names i.levelParams outer
    | none, some i => names i.levelParams outer
    | none, none => outer

unsafe def invocationsFrom (sv : Server) (u : FileUnit) (text : String) (states : Bool) (a : Array Found) (i : Nat) (env : Option (USize × Environment)) (seen : Array (Nat × Nat × String × String)) (acc : Array Json) : IO (Array Json) := do
  if h : i < a.size then
    let f := a[i]
    match f.info with
    | .ofTacticInfo ti =>
      match writtenAt ti.stx with
      | none => invocationsFrom sv u text states a (i + 1) env seen acc
      | some (b, e) =>
        -- A tactic that failed leaves its goals as they were; inside `first` or `try` that is all there is to see.
        if f.tried && sameGoals ti.goalsBefore ti.goalsAfter then invocationsFrom sv u text states a (i + 1) env seen acc else
        let before ← goalsAt f.ctx ti.mctxBefore ti.goalsBefore
        let after ← goalsAt f.ctx ti.mctxAfter ti.goalsAfter
        let key := (b.byteIdx, e.byteIdx, before, after)
        if isRepeated seen key 0 then invocationsFrom sv u text states a (i + 1) env seen acc else
        let used ← usedConstants f.ctx ti.mctxAfter ti.goalsBefore
        let conv := !(inCategory f.ctx.env `tactic ti.stx.getKind)
        let here := ptrAddrUnsafe f.ctx.env
        let known := match env with | some (p, _) => p == here | none => false
        let env ← if !states || known then pure env else do pure (some (here, ← envInside u f.ctx))
        let kept ← if !states || conv then pure [] else
          match ti.goalsBefore with
          | [] => pure []
          | g :: _ => do
            let inside := match env with | some (_, e) => e | none => f.ctx.env
            let h := { headerAt f.ctx (levelsOf u f.ctx) with env := inside }
            let s : GoalState := { header := h, core := { coreAt f.ctx (u.after.nextMacroScope + 1) with env := inside }, metas := { mctx := ti.mctxBefore }, term := { levelNames := h.levels }, goals := ti.goalsBefore, root := g }
            pure [("stateId", num (← remember sv s))]
        let mode := if conv then [("mode", Json.str "conv")] else []
        let j := Json.mkObj (("goalBefore", .str before) :: ("goalAfter", .str after) :: ("tactic", .str (cutOut text b e)) ::
          ("usedConstants", .arr (nameArray used 0 #[])) :: ("range", .arr #[num b.byteIdx, num e.byteIdx]) :: cat kept mode)
        invocationsFrom sv u text states a (i + 1) env (seen.push key) (acc.push j)
    | _ => invocationsFrom sv u text states a (i + 1) env seen acc
  else return acc

/-- One entry for each tactic that a person wrote in this command. With `states`, each carries a state that it can be run on again. -/
unsafe def invocations (sv : Server) (u : FileUnit) (text : String) (states : Bool) : IO (Array Json) :=
  invocationsFrom sv u text states (gatherAll isInvocation none false u.after.infoState.trees #[]) 0 none #[] #[]

/-- `goal.text` (ours): the goals of a state as Lean prints them. -/
unsafe def goalText (sv : Server) (p : Json) : IO Json :=
  withState sv p fun s => do
    reply (← runAt s do return Json.mkObj [("text", .str (joined (← goalTexts s.goals)))])

unsafe def unitsJson (sv : Server) (p : Json) (a : Array FileUnit) (text : String) (i : Nat) (acc : Array Json) : IO (Array Json) := do
  if h : i < a.size then
    let u := a[i]
    let made := if flag p "newConstants" then [("newConstants", Json.arr (nameArray (userNames u.after.env (newConstants u.before.env u.after.env) 0 #[]) 0 #[]))] else []
    let traced ← match field? p "invocations" with
      | none | some (.bool false) => pure made
      | some _ => do
        let js ← invocations sv u text (flag p "states")
        pure (("nInvocations", num js.size) :: ("invocations", .arr js) :: made)
    let j := Json.mkObj (("boundary", .arr #[num u.start, num u.stop]) :: ("messages", .arr (← messagesOf u.after)) :: traced)
    unitsJson sv p a text (i + 1) (acc.push j)
  else return acc

unsafe def frontendProcess (sv : Server) (p : Json) : IO Json := do
  match str? p "fileName", str? p "file" with
  | none, some text =>
    match ← runFile sv text (flag p "readHeader") with
    | .error j => return j
    | .ok r =>
      if flag p "inheritEnv" then
        rebase sv (headerOf r.last) "frontend.process" (Json.mkObj [("file", .str text), ("readHeader", .bool (flag p "readHeader")), ("inheritEnv", .bool true)])
      return Json.mkObj [("units", .arr (← unitsJson sv p r.units text 0 #[]))]
  | some _, none => return failure "io" "the embedded server reads no files: send the text as `file` (`burnqed lean serve` and burnqed's client read `fileName` for you)"
  | _, _ => return failure "arguments" "Exactly one of {fileName, file} must be supplied"

