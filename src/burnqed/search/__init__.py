"""Best-first search over one graph of proof states. Read :mod:`burnqed.search.engine` first."""
