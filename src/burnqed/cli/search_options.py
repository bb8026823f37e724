"""The options that say how theorems are searched, the same in every command that searches."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from burnqed.assemble.shorthand import POLICY_FORMS, VALUE_FORMS, policy_settings, value_settings
from burnqed.prompts.formats import FORMATS
from burnqed.search.config import SearchConfig

_DEFAULT = SearchConfig()

Seconds = Annotated[
    float | None,
    typer.Option(min=0.1, help="Wall time for each theorem.", show_default=f"{_DEFAULT.max_seconds:g}"),
]
Nodes = Annotated[
    int | None, typer.Option(min=1, help="States to expand for each theorem.", show_default=str(_DEFAULT.max_nodes))
]
Workers = Annotated[
    int | None,
    typer.Option(min=0, help="Lean processes at once; 0 = ¾ of the cores, as memory allows.", show_default="0"),
]
Policy = Annotated[
    str | None, typer.Option(help=f"Who proposes tactics: {POLICY_FORMS}.", show_default="see `burnqed models list`")
]
PromptFormat = Annotated[
    str | None,
    typer.Option(
        help=f"How states are put to a model: {', '.join(FORMATS)}.", show_default="the model's own, or markers"
    ),
]
Samples = Annotated[
    int | None,
    typer.Option(min=1, help="Completions that a model draws for a state.", show_default="the prover's, or 16"),
]
MixMenu = Annotated[
    float | None,
    typer.Option(
        min=0.0, max=0.99, help="Share of the menu's candidates beside a model's.", show_default="the prover's, or 0"
    ),
]
Value = Annotated[
    str | None, typer.Option(help=f"Who judges states: {VALUE_FORMS}.", show_default="the prover's, or size")
]
Strategy = Annotated[str | None, typer.Option(help="best-first, puct or and-or.", show_default=_DEFAULT.strategy)]
Menu = Annotated[
    Path | None,
    typer.Option(help="A tactic menu of your own instead of the built-in one; without --policy it proves alone."),
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="A TOML file with settings; `burnqed config` prints them all.")
]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any setting, such as search.max_depth=20.")
]
Project = Annotated[
    Path | None, typer.Option(help="A Lake project: prove with its Lean and its modules (docs/native.md).")
]
Pantograph = Annotated[Path | None, typer.Option(help="Pantograph's executable for it; looked for when left out.")]


def search_flags(
    *,
    seconds: float | None,
    nodes: int | None,
    workers: int | None,
    policy: str | None,
    prompt_format: str | None,
    samples: int | None,
    mix_menu: float | None,
    value: str | None,
    strategy: str | None,
    menu: Path | None,
    **more: object,
) -> dict[str, object]:
    """The options that were given as dotted keys of a configuration; ``more`` are other settings, ``__`` standing for the dot.

    Raises BadInput for a policy or a value that is none.
    """
    flags: dict[str, object] = {
        "search.max_seconds": seconds,
        "search.max_nodes": nodes,
        "search.strategy": strategy,
        "lean.workers": workers,
        "policy.menu": menu,
        "policy.menu_share": mix_menu,
        "policy.prompt_format": prompt_format,
        "policy.sampling.samples": samples,
        **{key.replace("__", "."): given for key, given in more.items()},
        **(policy_settings(policy) if policy else {}),
        **(value_settings(value) if value else {}),
    }
    return {key: given for key, given in flags.items() if given is not None}
