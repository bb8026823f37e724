"""A system in words and hashes: who proposes tactics, who judges states, and what a file of settings says of both."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from burnqed.assemble.config import RunConfig
from burnqed.assemble.lean_side import LeanSide
from burnqed.assemble.native_side import NativeSide
from burnqed.core.errors import BadInput
from burnqed.evaluate.record import Budget, System
from burnqed.models.fingerprint import folder_hash

Preset = Literal["A", "B", "C"]
PRESETS: dict[Preset, str] = {
    "A": "the earlier iteration's model with the head trained on its embeddings",
    "B": "the later iteration's model with a head trained on its embeddings",
    "C": "the later iteration's model with the head that was trained jointly with it",
}
MODEL, HEAD, JOINT_HEAD = "model", "head", "joint_head"
"""What an iteration's folder holds."""
_FREE = ("lean.workers",)
"""Settings that decide nothing about which theorems are proved."""


def preset_settings(preset: Preset, iterations: Path, *, earlier: int = 0, later: int = 1) -> dict[str, object]:
    """The settings of one of :data:`PRESETS`, from folders of iterations. Raises BadInput for a folder that is not there."""
    folder = iterations / f"iter_{earlier if preset == 'A' else later}"
    head = folder / (JOINT_HEAD if preset == "C" else HEAD)
    for path in (folder / MODEL, head):
        if not path.is_dir():
            raise BadInput(f"--preset {preset} is {PRESETS[preset]}, and there is no {path}")
    return {
        "policy.kind": "model",
        "policy.model": str(folder / MODEL),
        "value.kind": "head",
        "value.head": str(head),
    }


def system_of(config: RunConfig, about: Mapping[str, Any]) -> System:
    """The system behind opened parts; ``about`` is what they say of their models (``Parts.about``).

    Its settings are without the seed, which is the evaluation's.
    """
    models = dict(about.get("models", {}))
    policy = config.policy
    if policy.kind == "menu" or policy.menu_share:
        models["menu"] = _menu_hash(policy.menu)
    if config.value.head is not None:
        models["head"] = folder_hash(config.value.head, ("head.json", "head.safetensors"))
    settings = config.model_dump(mode="json")
    del settings["search"]["seed"]
    return System(
        policy=_policy(config),
        value=_value(config),
        prompt_format=models.get("policy", {}).get("prompt_format", ""),
        models=models,
        config=settings,
    )


def what_changed(before: System, now: System) -> str:
    """One phrase on the first thing that makes two systems different ones, the gravest first; empty when they are the same."""
    if before.prompt_format != now.prompt_format:
        return f"the prompt format is {now.prompt_format or 'none'}, not {before.prompt_format or 'none'}"
    was, is_ = dict(_flat(before.config)), dict(_flat(now.config))
    for key in sorted(was.keys() | is_.keys()):
        if was.get(key) != is_.get(key) and key not in _FREE and ".endpoint." not in key:
            return f"{key} is {_shown(is_.get(key))}, not {_shown(was.get(key))}"
    was, is_ = dict(_flat(before.models)), dict(_flat(now.models))
    for key in sorted(was.keys() | is_.keys()):
        if was.get(key) != is_.get(key):
            part = key.partition(".")[0]
            return f"the {part} is another one under the same path, its hash is {is_.get(key)}, not {was.get(key)}"
    return ""


def _shown(value: Any) -> str:
    return "not set" if value is None else str(value)


def budget_of(config: RunConfig) -> Budget:
    """What one search may spend."""
    search = config.search
    return Budget(
        nodes=search.max_nodes, seconds=search.max_seconds, tactics=search.max_tactics, tokens=search.max_tokens
    )


def lean_told(lean: LeanSide) -> str:
    """Which Lean it is."""
    return lean.told if isinstance(lean, NativeSide) else f"{lean.lean_version}, embedded"


def _policy(config: RunConfig) -> str:
    policy = config.policy
    if policy.kind == "menu":
        return f"the menu {policy.menu}" if policy.menu else "the menu that comes with burnqed"
    of = f"model {policy.model}" if policy.kind == "model" else f"{policy.kind} server {policy.url}"
    share = f", {policy.menu_share:.0%} of the menu" if policy.menu_share else ""
    return f"{of}, {policy.sampling.samples} samples a state{share}"


def _value(config: RunConfig) -> str:
    value = config.value
    if value.kind == "head":
        return f"head {value.head}"
    if value.kind == "server":
        return f"server {value.url}" + (f" with head {value.head}" if value.head else "")
    return value.kind


def _menu_hash(path: Path | None) -> str:
    if path is None:
        text = resources.files("burnqed.policy").joinpath("menu.txt").read_bytes()
    else:
        try:
            text = path.read_bytes()
        except OSError as error:
            raise BadInput(f"{path}: the tactic menu cannot be read: {error.strerror or error}") from error
    return hashlib.sha256(text).hexdigest()[:16]


def _flat(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value
