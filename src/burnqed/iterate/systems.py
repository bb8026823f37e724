"""Which policy and value a step of an iteration uses: those that an iteration finished with, or what the recipe says."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from burnqed.assemble.config import RunConfig
from burnqed.core.calibration import Calibration
from burnqed.core.errors import BadInput
from burnqed.iterate.digests import ABSENT, of_input, of_model, of_settings
from burnqed.iterate.place import Place
from burnqed.value.config import ValueConfig

Head = Literal["joint", "decoupled"]


def with_models(config: RunConfig, model: Path, head: Path | None) -> RunConfig:
    """The configuration with this model as policy, and this head as value; without a head the value stays a trivial one."""
    value = config.value
    if head is not None:
        value = value.model_copy(update={"kind": "head", "head": head, "encoder": None})
    elif value.kind in ("head", "server"):
        value = ValueConfig(kind="none")
    return with_policy(config, model).model_copy(update={"value": value})


def with_policy(config: RunConfig, model: Path) -> RunConfig:
    """The configuration with this model as policy, and the value as it is."""
    policy = config.policy.model_copy(update={"kind": "model", "model": model})
    return config.model_copy(update={"policy": policy})


def deciding(config: RunConfig) -> dict[str, object]:
    """The settings that decide what a search finds; files and models are known by their hashes (:func:`model_inputs`)."""
    return config.model_dump(
        mode="json",
        exclude={
            "lean": {"workers", "worker_mb", "sweep_every"},
            "policy": {"model", "menu", "device", "endpoint"},
            "value": {"head", "encoder", "device", "endpoint"},
        },
    )


def head_of(place: Place, which: str) -> Path | None:
    """The head of an iteration: the one asked for, or the other where that is not there."""
    order = (place.joint_head, place.head) if which == "joint" else (place.head, place.joint_head)
    return next((head for head in order if head.is_dir()), None)


def heads_of(place: Place) -> dict[Head, Path]:
    """All heads of an iteration, by how they were trained."""
    named: dict[Head, Path] = {"decoupled": place.head, "joint": place.joint_head}
    return {name: head for name, head in named.items() if head.is_dir()}


def model_inputs(config: RunConfig) -> dict[str, str]:
    """Hashes of menu and models that a configuration names, with the calibration that is stored with the head.

    Raises BadInput for one that is not there.
    """
    found = menu_input(config)
    if config.policy.model is not None:
        found["policy model"] = _present(config.policy.model, key="prove.policy.model")
    if config.value.head is not None:
        found["value head"] = _present(config.value.head, key="prove.value.head") + calibration_in(config.value.head)
    if config.value.encoder is not None:
        found["value encoder"] = _present(config.value.encoder, key="prove.value.encoder")
    return found


def menu_input(config: RunConfig) -> dict[str, str]:
    """The hash of a menu of the user's own, by name; nothing where there is none. Raises BadInput when it is not there."""
    menu = config.policy.menu
    return {"menu": of_input(menu, key="prove.policy.menu")} if menu is not None else {}


def _present(folder: Path, *, key: str) -> str:
    if (found := of_model(folder)) == ABSENT:
        raise BadInput(f"{key}: there is no model in {folder}; put it back, or name another")
    return found


def calibration_in(head: Path) -> str:
    """The hash of what a head's folder says of its calibration; empty when there is none."""
    calibration = calibration_of(head)
    return f", {of_settings(asdict(calibration))}" if calibration else ""


def calibration_of(head: Path | None) -> Calibration | None:
    """The calibration that is stored with a head; None without a head or a calibration."""
    if head is None:
        return None
    try:
        stored = json.loads((head / "head.json").read_text(encoding="utf-8")).get("calibration")
        return Calibration(**stored) if stored else None
    except (OSError, ValueError, TypeError, AttributeError):
        return None  # whoever uses the head says what is wrong with it
