"""The configuration that a run has in effect, with the default prover's settings laid under everything that was said."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from burnqed.assemble.config import RunConfig
from burnqed.assemble.prover_folder import ProverFolder
from burnqed.assemble.provers import Provers
from burnqed.assemble.sources import given_keys, load_settings

_SAYS_WHO = frozenset({"policy.kind", "policy.model", "policy.url", "policy.menu"})
"""Whoever sets one of these has said who proposes; then no default prover comes in."""
_SAYS_VALUE = frozenset({"value.kind", "value.head", "value.url"})
_OF_VALUE = frozenset({"search.value_weight", "search.value_ramp_depth"})
"""Settings of a search that belong to a value, as all of the section ``value`` do."""
_NEEDED = ("torch", "transformers", "tokenizers", "safetensors", "numpy")


@dataclass(frozen=True)
class Effective:
    """``prover`` is the one whose settings lie below; None when none does. ``notice`` is a sentence for the user, or empty."""

    config: RunConfig
    prover: ProverFolder | None = None
    notice: str = ""

    @property
    def told(self) -> dict[str, object]:
        """For the record of a run: which prover it was."""
        if self.prover is None:
            return {}
        return {"prover": {"name": self.prover.name, "digest": self.prover.digest}}


def effective_config(
    *,
    environment: Mapping[str, str],
    file: Path | None = None,
    flags: Mapping[str, object] | None = None,
    assignments: Sequence[str] = (),
    policy: str | None = None,
    provers: Provers | None = None,
) -> Effective:
    """Settings as :func:`burnqed.assemble.sources.load_config` finds them, over those of a prover.

    It is the prover that ``policy`` names; else, when nothing says who proposes, the default one. A value that was chosen takes
    the place of all that the prover says of values. Without the packages that models need, the default is the menu, and the
    notice says so. Raises BadInput for settings, or a default prover, that cannot be used.
    """
    provers = provers or Provers.here(environment)
    given = given_keys(file=file, environment=environment, flags=flags or {}, assignments=assignments)
    prover, notice = None, ""
    if policy is not None and provers.is_one(policy):
        prover = provers.find(policy)
    elif not given & _SAYS_WHO:
        prover = provers.default()
        if prover is not None and (missing := missing_packages()):
            notice = (
                f"the menu proves: the model {prover.name} needs {', '.join(missing)}; "
                "install what it needs with: pip install 'burnqed[models]'"
            )
            prover = None
    below = dict(prover.settings) if prover is not None else {}
    if given & _SAYS_VALUE:
        below = {key: value for key, value in below.items() if not key.startswith("value.") and key not in _OF_VALUE}
    config = load_settings(
        RunConfig,
        file=file,
        environment=environment,
        flags=flags or {},
        assignments=assignments,
        defaults=below,
        defaults_from=f"the prover {prover.name}" if prover is not None else "",
    )
    return Effective(config, prover, notice)


def missing_packages() -> list[str]:
    """What models in this process need and this Python does not have."""
    return [name for name in _NEEDED if importlib.util.find_spec(name) is None]
