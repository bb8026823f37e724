-- ## Printing, as a proof search needs it ----------------------------------------------------------------

unsafe def expression (e : Expr) : MetaM Json := do
  return Json.mkObj [("pp", .str (← ppExpr e).pretty)]

/-- Whether goals show variables that they hide unless they are asked for. -/
unsafe def shows (_ : Name) : MetaM Bool := pure false
