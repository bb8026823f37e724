"""What `--policy` and `--value` say in a word, as settings."""

from __future__ import annotations

from pathlib import Path

from burnqed.assemble.provers import Provers
from burnqed.core.errors import BadInput
from burnqed.value.trivial import TRIVIAL

_URL = ("http://", "https://")
POLICY_FORMS = "menu, menu:FILE, a prover (its name or folder), a model folder, sglang:URL or openai:URL"
VALUE_FORMS = f"{', '.join(TRIVIAL)}, a head folder, or server:URL"


def policy_settings(text: str, provers: Provers | None = None) -> dict[str, object]:
    """Settings for one of :data:`POLICY_FORMS`. Raises BadInput for anything else.

    Of a prover this is its model; what else it says lies below all other settings (:mod:`burnqed.assemble.effective`).
    """
    kind, _, rest = text.partition(":")
    if text == "menu":
        return {"policy.kind": "menu"}
    if kind == "menu":
        return {"policy.kind": "menu", "policy.menu": rest}
    if kind in ("sglang", "openai") and rest.startswith(_URL):
        return {"policy.kind": kind, "policy.url": rest}
    if text.startswith(_URL):
        raise BadInput(f"--policy {text}: say which kind of server it is, sglang:{text} or openai:{text}")
    provers = provers or Provers.here()
    if provers.is_one(text) and (prover := provers.find(text)) is not None:
        return {"policy.kind": "model", "policy.model": str(prover.model)}
    if Path(text).is_dir():
        return {"policy.kind": "model", "policy.model": text}
    raise BadInput(f"--policy {text}: there is no such prover or folder; a policy is {POLICY_FORMS}")


def value_settings(text: str) -> dict[str, object]:
    """Settings for one of :data:`VALUE_FORMS`. Raises BadInput for anything else."""
    kind, _, rest = text.partition(":")
    if text in TRIVIAL:
        return {"value.kind": text}
    if kind == "server" and rest.startswith(_URL):
        return {"value.kind": "server", "value.url": rest}
    if text.startswith(_URL):
        return {"value.kind": "server", "value.url": text}
    if Path(text).is_dir():
        return {"value.kind": "head", "value.head": text}
    raise BadInput(f"--value {text}: there is no such folder; a value is {VALUE_FORMS}")
