"""Expert iteration: search, label, train, evaluate, and again."""
