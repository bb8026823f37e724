import Lean.Elab.Frontend
import Lean.Elab.Tactic.BuiltinTactic
import Lean.Compiler.IR.CompilerM
/-
Compiles a server program, `source.lean`, into a module that Lean can run without elaborating anything.

`lean --run` elaborates a program's source and then interprets its intermediate representation (IR). What is needed of all that
is the IR. This program elaborates the source once, takes the IR of its declarations and the IR signatures of what they
call in Lean's library (native code does the rest), and prints them as a module file. A program that merely says
`import Server` then starts at once: no source to elaborate, no library to import for it.

The module's "constants" are stand-ins of no meaning; Lean looks an IR declaration up through the constant of its name.
-/
open Lean Elab IR

mutual
unsafe def calledIn (b : FnBody) (acc : NameSet) : NameSet :=
  match b with
  | .vdecl _ _ e b => calledIn b (match e with | .fap f _ => acc.insert f | .pap f _ => acc.insert f | _ => acc)
  | .jdecl _ _ v b => calledIn b (calledIn v acc)
  | .case _ _ _ cs => calledInAll cs 0 acc
  | .set _ _ _ b => calledIn b acc
  | .setTag _ _ b => calledIn b acc
  | .uset _ _ _ b => calledIn b acc
  | .sset _ _ _ _ _ b => calledIn b acc
  | .inc _ _ _ _ b => calledIn b acc
  | .dec _ _ _ _ b => calledIn b acc
  | .del _ b => calledIn b acc
  | _ => acc
unsafe def calledInAll (cs : Array Alt) (i : Nat) (acc : NameSet) : NameSet :=
  if h : i < cs.size then
    match cs[i] with
    | .ctor _ b => calledInAll cs (i + 1) (calledIn b acc)
    | .default b => calledInAll cs (i + 1) (calledIn b acc)
  else acc
end

/-- The functions that these declarations call. -/
unsafe def called : List Decl → NameSet → NameSet
  | [], acc => acc
  | .fdecl _ _ _ b _ :: r, acc => called r (calledIn b acc)
  | _ :: r, acc => called r acc

unsafe def declared : List Decl → NameSet → NameSet
  | [], acc => acc
  | d :: r, acc => declared r (acc.insert d.name)

unsafe def join : List Name → List Name → List Name
  | [], b => b
  | x :: a, b => join a (x :: b)

unsafe def found (env : Environment) (n : Name) (acc : List Decl) : List Decl :=
  match findEnvDecl env n true with
  | some d => d :: acc
  | none => acc

unsafe def pushAll : List Decl → Array Decl → Array Decl
  | [], acc => acc
  | d :: r, acc => pushAll r (acc.push d)

/-- What the library declares of these names, and of what these call in turn: where it has kept a body, Lean interprets that. -/
unsafe def libraryDecls (env : Environment) (seen : NameSet) (todo : List Name) (acc : Array Decl) : Array Decl :=
  match todo with
  | [] => acc
  | n :: r =>
    if seen.contains n then libraryDecls env seen r acc else
    let ds := found env n (found env (.str n "_boxed") [])
    libraryDecls env (seen.insert n) (join (called ds {}).toList r) (pushAll ds acc)

-- Lean finds entries by binary search, so they are sorted as it compares names.

unsafe def halves : List Decl → List Decl → List Decl → List Decl × List Decl
  | [], a, b => (a, b)
  | x :: r, a, b => halves r (x :: b) a

/-- Two lists in order as one in reverse order. -/
unsafe def merged (a b acc : List Decl) : List Decl :=
  match a, b with
  | [], [] => acc
  | x :: a, [] => merged a [] (x :: acc)
  | [], y :: b => merged [] b (y :: acc)
  | x :: a', y :: b' => if Name.quickLt x.name y.name then merged a' b (x :: acc) else merged a b' (y :: acc)

unsafe def reversed : List Decl → List Decl → List Decl
  | [], acc => acc
  | x :: r, acc => reversed r (x :: acc)

unsafe def sorted : List Decl → List Decl
  | [] => []
  | [x] => [x]
  | l =>
    let (a, b) := halves l [] []
    reversed (merged (sorted a) (sorted b) []) []

unsafe def listFrom (a : Array Decl) (i : Nat) (acc : List Decl) : List Decl :=
  if h : i < a.size then listFrom a (i + 1) (a[i] :: acc) else acc

unsafe def namesOf : List Decl → Array Name → Array Name
  | [], acc => acc
  | d :: r, acc => namesOf r (acc.push d.name)

/-- The names under which native code exports functions, where that is not the mangled name. -/
unsafe def exported (env : Environment) (a : Array Name) (i : Nat) (acc : Array (Name × Name)) : Array (Name × Name) :=
  if h : i < a.size then
    exported env a (i + 1) (match getExportNameFor? env a[i] with | some e => acc.push (a[i], e) | none => acc)
  else acc

unsafe def standIns (a : Array Name) (i : Nat) (acc : Array ConstantInfo) : Array ConstantInfo :=
  if h : i < a.size then
    standIns a (i + 1) (acc.push (.axiomInfo { name := a[i], levelParams := [], type := .sort .zero, isUnsafe := true }))
  else acc

unsafe def hexDigit (n : Nat) : Char := Char.ofNat (if n < 10 then 48 + n else 87 + n)

unsafe def hexText (b : ByteArray) (i stop : Nat) (acc : String) : String :=
  if i < stop then
    let v := (b.get! i).toNat
    hexText b (i + 1) stop ((acc.push (hexDigit (v / 16))).push (hexDigit (v % 16)))
  else acc

unsafe def printBytes (out : IO.FS.Stream) (b : ByteArray) (i : Nat) : IO Unit := do
  if i < b.size then
    let stop := if i + 4096 < b.size then i + 4096 else b.size
    out.putStrLn ("bytes " ++ hexText b i stop "")
    printBytes out b stop

unsafe def printErrors (out : IO.FS.Stream) : List Message → IO Unit
  | [] => pure ()
  | m :: r => do
    match m.severity with
    | .error =>
      let s ← m.serialize
      out.putStrLn ("error " ++ (toJson s).compress)
    | _ => pure ()
    printErrors out r

/-- The source's imports, as far as its first command. -/
unsafe def importsOf (src : String) : IO (Array Import) := do
  let (imports, _, _) ← parseImports src (some "source.lean")
  return imports

/-- Elaborates up to `2 ^ depth` commands, one by one; whether the last one was among them. Recursion that deepens with each command
would leave too little of the stack for the later ones, and `IO.processCommands` chains tasks, whose stacks are smaller still. -/
unsafe def elaborate (ictx : Parser.InputContext) (state : IO.Ref Frontend.State) (depth : Nat) : IO Bool := do
  match depth with
  | 0 =>
    let s ← state.get
    -- Nothing of earlier commands is needed but what they declare; kept, it would fill the 2 GB that there are.
    let before := { s.commandState with infoState := {}, snapshotTasks := #[], traceState := {}, messages := {} }
    let ref ← IO.mkRef { s with cmdPos := s.parserState.pos, commandState := before, commands := #[] }
    -- `Frontend.processCommand` loses what the parser says.
    let scope := match before.scopes with
      | sc :: _ => sc
      | [] => { header := "" }
    let (_, _, parsed) := Parser.parseCommand ictx {
      env := before.env, options := scope.opts, currNamespace := scope.currNamespace, openDecls := scope.openDecls } s.parserState {}
    printErrors (← IO.getStdout) parsed.toList
    let done ← Frontend.processCommand { inputCtx := ictx } ref
    let after ← ref.get
    printErrors (← IO.getStdout) after.commandState.messages.toList
    state.set after
    return done
  | depth + 1 => if ← elaborate ictx state depth then return true else elaborate ictx state depth

public unsafe def main : IO Unit := do
  enableInitializersExecution
  let out ← IO.getStdout
  let src ← IO.FS.readFile "/program/source.lean"
  let ictx : Parser.InputContext := {
    inputString := src, fileName := "source.lean", fileMap := FileMap.ofString src, endPos := src.rawEndPos, endPos_valid := by simp }
  let (_, ps, messages) ← Parser.parseHeader ictx
  printErrors out messages.toList
  let env ← importModules (loadExts := true) (← importsOf src) {} 1
  let options := (({} : Options).setBool `linter.all false).setBool `Elab.async false
  let state ← IO.mkRef ({
    commandState := Command.mkState (env.setMainModule `Server) {} options, parserState := ps, cmdPos := ps.pos } : Frontend.State)
  discard (elaborate ictx state 16)
  let env := (← state.get).commandState.env
  let own := getDecls env
  let decls := sorted (listFrom (pushAll own (libraryDecls env (declared own {}) (called own {}).toList #[])) 0 [])
  let names := namesOf decls #[]
  saveModuleData "/Server.olean" `Server {
    isModule := true, imports := #[], extraConstNames := #[]
    constNames := names, constants := standIns names 0 #[]
    entries := #[
      (declMapExt.name, unsafeCast (pushAll decls #[])),
      (exportAttr.ext.name, unsafeCast (exported env names 0 #[]))] }
  printBytes out (← IO.FS.readBinFile "/Server.olean") 0 -- the file was in memory only
  out.putStrLn "compiled"
  out.flush
