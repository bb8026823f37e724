"""The gate: a proof counts only if a process that no search has touched accepts its source."""
