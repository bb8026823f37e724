"""The Lean side: processes, the protocol they speak, sessions that outlive them, and the embedded Lean."""
