-- ## Environment --------------------------------------------------------------------------------------

unsafe def kindLetter (env : Environment) (n : Name) (c : ConstantInfo) : String :=
  match c with
  | .axiomInfo _ => if isAxiom env n c then "a" else "t"
  | .defnInfo _ => "d"
  | .thmInfo _ => "t"
  | .opaqueInfo _ => "o"
  | .quotInfo _ => "q"
  | .inductInfo _ => "i"
  | .ctorInfo _ => "c"
  | .recInfo _ => "r"

unsafe def catalogModule (env : Environment) (d : ModuleData) (i : Nat) (acc : Array Json) : Array Json :=
  if h : i < d.constants.size then
    let c := d.constants[i]
    let acc := if c.isUnsafe || c.name.isInternal then acc else acc.push (.str (kindLetter env c.name c ++ nameText true c.name))
    catalogModule env d (i + 1) acc
  else acc

unsafe def catalog (env : Environment) (wanted : Name → Bool) (i : Nat) (acc : Array Json) : Array Json :=
  if h : i < env.header.moduleData.size then
    let acc := if wanted env.header.moduleNames[i]! then catalogModule env env.header.moduleData[i] 0 acc else acc
    catalog env wanted (i + 1) acc
  else acc

unsafe def rules (l : List RecursorRule) (acc : Array Json) : MetaM (Array Json) := do
  match l with
  | [] => return acc
  | r :: rest => rules rest (acc.push (Json.mkObj [("ctor", .str (nameStr r.ctor)), ("nFields", num r.nfields), ("rhs", ← expression r.rhs)]))

unsafe def inspect (env : Environment) (n : Name) (c : ConstantInfo) (p : Json) : MetaM Json := do
  let mut fields := [("type", ← expression c.type), ("isUnsafe", Json.bool c.isUnsafe)]
  match env.getModuleIdxFor? n with
  | some i => fields := ("module", Json.str (nameStr env.header.moduleNames[i.toNat]!)) :: fields
  | none => pure ()
  match privateToUserName? n with
  | some u => fields := ("publicName", Json.str (nameStr u)) :: fields
  | none => pure ()
  if flag p "value" then
    match c.value? (allowOpaque := true) with
    | some v => fields := ("value", ← expression v) :: fields
    | none => pure ()
  if flag p "dependency" then
    fields := ("typeDependency", Json.arr (nameArray c.type.getUsedConstants 0 #[])) :: fields
    match c.value? (allowOpaque := true) with
    | some v => fields := ("valueDependency", Json.arr (nameArray v.getUsedConstants 0 #[])) :: fields
    | none => pure ()
  match c with
  | .inductInfo v => fields := ("inductInfo", Json.mkObj [("numParams", num v.numParams), ("numIndices", num v.numIndices),
      ("all", .arr (nameList v.all #[])), ("ctors", .arr (nameList v.ctors #[])), ("isRec", .bool v.isRec),
      ("isReflexive", .bool v.isReflexive), ("isNested", .bool v.isNested)]) :: fields
  | .ctorInfo v => fields := ("constructorInfo", Json.mkObj [("induct", .str (nameStr v.induct)), ("cidx", num v.cidx),
      ("numParams", num v.numParams), ("numFields", num v.numFields)]) :: fields
  | .recInfo v => fields := ("recursorInfo", Json.mkObj [("all", .arr (nameList v.all #[])), ("numParams", num v.numParams),
      ("numIndices", num v.numIndices), ("numMotives", num v.numMotives), ("numMinors", num v.numMinors),
      ("rules", .arr (← rules v.rules #[])), ("k", .bool v.k)]) :: fields
  | _ => pure ()
  return Json.mkObj fields
