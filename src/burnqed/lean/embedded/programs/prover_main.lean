public unsafe def main (args : List String) : IO Unit :=
  serve dispatch args (fun _ => pure ())
