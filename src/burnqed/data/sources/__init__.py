"""Public sets, a module each: their row types, their quirks, and how they become records."""
