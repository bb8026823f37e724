import Lean.AddDecl
import Lean.Data.Json
import Lean.Util.FoldConsts
/-
Reads two compiled files and says whether the second proves what the first states. It runs nothing that stands in them.

Arguments: a nonce, the folder of the challenge (header, statement, `sorry`), the folder of the solution (header, statement,
proof), the theorem's name as written. Prints one line of JSON that carries the nonce.

The challenge is imported: it is ours. What the solution has beyond it goes through the kernel again, in the challenge's
environment and one constant after the other, so that nothing needs to be believed that the solution's compilation did.
Written so that every Lean can interpret it, see lean/embedded/programs/base.lean for the dialect.
-/
open Lean

structure Walk where
  seen : NameSet := {}
  axioms : Array Name := #[]
  own : Array ConstantInfo := #[] -- what only the solution has, each after those it uses

unsafe def nameStr : Name → String
  | .anonymous => "[anonymous]"
  | .str .anonymous s => s
  | .num .anonymous n => toString n
  | .str p s => nameStr p ++ "." ++ s
  | .num p n => nameStr p ++ "." ++ toString n

unsafe def nameArray (a : Array Name) (i : Nat) (acc : Array Json) : Array Json :=
  if h : i < a.size then nameArray a (i + 1) (acc.push (.str (nameStr a[i]))) else acc

/-- In a library that holds no proofs its theorems come as axioms; Lean remembers what they were. -/
unsafe def isAxiom (env : Environment) (n : Name) : ConstantInfo → Bool
  | .axiomInfo _ => match getOriginalConstKind? env n with
    | some .axiom => true
    | some _ => false
    | none => true
  | _ => false

mutual
unsafe def walkName (challenge solution : Environment) (n : Name) (w : Walk) : Walk :=
  if w.seen.contains n then w else
  let w := { w with seen := w.seen.insert n }
  let known := challenge.contains n
  let env := if known then challenge else solution
  match env.find? n with
  | none => { w with axioms := w.axioms.push n }
  | some c =>
    let w := if isAxiom env n c then { w with axioms := w.axioms.push n } else w
    let w := walkArray challenge solution c.type.getUsedConstants 0 w
    let w := match c.value? (allowOpaque := true) with
      | some v => walkArray challenge solution v.getUsedConstants 0 w
      | none => w
    if known then w else { w with own := w.own.push c }
unsafe def walkArray (challenge solution : Environment) (a : Array Name) (i : Nat) (w : Walk) : Walk :=
  if h : i < a.size then walkArray challenge solution a (i + 1) (walkName challenge solution a[i] w) else w
end

unsafe def replay (env : Environment) (own : Array ConstantInfo) (i : Nat) : Except String Environment :=
  if h : i < own.size then
    let add (d : Declaration) : Except String Environment :=
      match env.addDeclCore 0 d none with
      | .ok env => replay env own (i + 1)
      | .error _ => .error ("the kernel rejects the auxiliary constant " ++ nameStr own[i].name)
    match own[i] with
    | .thmInfo v => add (.thmDecl v)
    | .defnInfo v => if v.safety == .safe then add (.defnDecl v) else .error ("the proof uses the unsafe or partial constant " ++ nameStr v.name)
    | .opaqueInfo v => if v.isUnsafe then .error ("the proof uses the unsafe constant " ++ nameStr v.name) else add (.opaqueDecl v)
    | c => .error ("the proof declares " ++ nameStr c.name ++ ", which is neither a theorem nor a definition")
  else .ok env

/-- Statements are the same when they are so after their universe parameters are named by position. -/
unsafe def fresh : List Name → Nat → List Level
  | [], _ => []
  | _ :: r, i => .param (.num `p i) :: fresh r (i + 1)

unsafe def count : List Name → Nat
  | [] => 0
  | _ :: r => count r + 1

unsafe def isSuffix (part whole : Name) : Bool :=
  if part == whole then true else match part, whole with
  | .anonymous, _ => true
  | .str p s, .str q t => s == t && isSuffix p q
  | .num p s, .num q t => s == t && isSuffix p q
  | _, _ => false

/-- The challenge's theorems of that name whose proof is `sorry`. -/
unsafe def targets (env : Environment) (written : Name) (a : Array Name) (i : Nat) (acc : Array Name) : Array Name :=
  if h : i < a.size then
    let acc := if !(isSuffix written a[i]) then acc else match env.find? a[i] with
      | some (.thmInfo v) => if v.value.hasSorry then acc.push a[i] else acc
      | _ => acc
    targets env written a (i + 1) acc
  else acc

unsafe def namesOf (env : Environment) (module : Name) : Array Name :=
  match env.getModuleIdx? module with
  | some i => match env.header.moduleData[i.toNat]? with
    | some d => d.constNames
    | none => #[]
  | none => #[]

/-- An axiom that the solution declares, used or not. -/
unsafe def newAxiom (challenge solution : Environment) (a : Array Name) (i : Nat) : Option Name :=
  if h : i < a.size then
    if challenge.contains a[i] then newAxiom challenge solution a (i + 1) else
    match solution.find? a[i] with
    | some c => if isAxiom solution a[i] c then some a[i] else newAxiom challenge solution a (i + 1)
    | none => newAxiom challenge solution a (i + 1)
  else none

structure Answer where
  reason : String
  axioms : Array Name := #[]

unsafe def judge (challenge solution : Environment) (target : Name) (inSolution : Array Name) : Answer :=
  match challenge.find? target, solution.find? target with
  | some c, some (.thmInfo v) =>
    let asked := c.type.instantiateLevelParams c.levelParams (fresh c.levelParams 0)
    let proved := v.type.instantiateLevelParams v.levelParams (fresh v.levelParams 0)
    if count c.levelParams != count v.levelParams || asked != proved then { reason := "the file's theorem does not state what was asked" } else
    match newAxiom challenge solution inSolution 0 with
    | some a => { reason := "the file declares the axiom " ++ nameStr a }
    | none =>
    let w := walkArray challenge solution v.value.getUsedConstants 0 (walkArray challenge solution c.type.getUsedConstants 0 {})
    if w.seen.contains target then { reason := "the proof uses the theorem itself", axioms := w.axioms } else
    if w.seen.contains ``sorryAx then { reason := "the proof uses sorry", axioms := w.axioms } else
    if w.seen.contains ``Lean.reduceBool || w.seen.contains ``Lean.reduceNat || w.seen.contains `Lean.trustCompiler then
      { reason := "the proof rests on compiled code", axioms := w.axioms } else
    if v.value.hasExprMVar || v.value.hasLevelMVar || v.value.hasFVar then { reason := "the proof is not closed", axioms := w.axioms } else
    match replay challenge w.own 0 with
    | .error e => { reason := e, axioms := w.axioms }
    | .ok env =>
      let d : TheoremVal := { name := `burnqed.candidate, levelParams := v.levelParams, type := v.type, value := v.value }
      match env.addDeclCore 0 (.thmDecl d) none with
      | .error _ => { reason := "the kernel rejects the proof", axioms := w.axioms }
      | .ok _ => { reason := "", axioms := w.axioms }
  | some _, some _ => { reason := nameStr target ++ " is not a theorem in the file" }
  | _, _ => { reason := "the file does not define " ++ nameStr target }

unsafe def candidate : Name := `BurnqedCandidate

/-- The candidate in a folder, with everything that it imports. No initialiser of it runs. -/
unsafe def load (folder : String) : IO Environment := do
  let path ← searchPathRef.get
  searchPathRef.set (folder :: path)
  let env ← importModules #[{ module := candidate }] {} (trustLevel := 0)
  searchPathRef.set path
  return env

unsafe def answer (first second written : String) : IO Answer := do
  let challenge ← load first
  let found := targets challenge written.toName (namesOf challenge candidate) 0 #[]
  if h : found.size = 1 then
    let solution ← load second
    return judge challenge solution found[0] (namesOf solution candidate)
  if found.size == 0 then return { reason := "the challenge does not state " ++ written }
  return { reason := "the challenge has more than one unproved theorem " ++ written }

unsafe def main (args : List String) : IO Unit := do
  match args with
  | [nonce, first, second, written] =>
    let a ← answer first second written
    IO.println (Json.mkObj [("nonce", .str nonce), ("accepted", .bool (a.reason == "")), ("reason", .str a.reason),
      ("axioms", .arr (nameArray a.axioms 0 #[]))]).compress
  | _ => throw (IO.userError "give a nonce, the two modules and a name")
