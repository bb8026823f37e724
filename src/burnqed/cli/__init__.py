"""The command line. Composition roots: they build the parts, call them, print; no logic of their own."""
