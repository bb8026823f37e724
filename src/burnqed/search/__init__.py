"""Search over one graph of proof states, with several rules for what comes next. Read :mod:`burnqed.search.engine` first."""
