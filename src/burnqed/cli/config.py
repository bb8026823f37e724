"""`burnqed config`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from burnqed.assemble.effective import effective_config
from burnqed.assemble.sources import as_toml


def config(
    file: Annotated[Path | None, typer.Option("--config", help="A TOML file whose settings are taken in.")] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any setting, such as search.max_depth=20.")
    ] = None,
) -> None:
    """Print every setting of a run, with its meaning and its value, as a TOML file; those of the default prover are in it.

    Keep the lines that you change, and give them to `burnqed prove --config FILE`. A key that does not exist is an error.
    In the environment the setting search.max_depth is BURNQED_SEARCH__MAX_DEPTH.

    Examples:
      burnqed config > run.toml

      burnqed config --config run.toml --set search.strategy=puct

    """
    effective = effective_config(file=file, environment=os.environ, assignments=assignments or ())
    if effective.notice:
        print(f"burnqed: {effective.notice}", file=sys.stderr)
    print(as_toml(effective.config), end="")
