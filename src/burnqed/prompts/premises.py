"""Names of the library's theorems before a prompt, so that a model may choose among them instead of recalling them."""

from __future__ import annotations

from collections.abc import Sequence


def premise_line(names: Sequence[str]) -> str:
    """The line that stands before the prompt; empty without names."""
    return f"#premises {' '.join(names)}\n" if names else ""
