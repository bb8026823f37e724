"""`burnqed prove`."""

from __future__ import annotations

import asyncio
import datetime
import json
import os
import secrets
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from burnqed import __version__
from burnqed.assemble.effective import effective_config
from burnqed.assemble.native_side import NativeSide
from burnqed.cli.install_bar import ensure_lean
from burnqed.cli.proving import Outcome, ProofRun, fill_file, prove_entries
from burnqed.cli.search_options import (
    Assignments,
    ConfigFile,
    Menu,
    MixMenu,
    Nodes,
    Pantograph,
    Policy,
    Project,
    PromptFormat,
    Samples,
    Seconds,
    Strategy,
    Value,
    Workers,
    search_flags,
)
from burnqed.core.errors import BadInput
from burnqed.lean.config import native_lean_config
from burnqed.lean.embedded.programs import COMPLETE, PROVER
from burnqed.policy.menu_rules import load_menu
from burnqed.run.fill import FilledFile
from burnqed.run.folder import RunFolder
from burnqed.run.result import exit_status
from burnqed.theorems.read import Entry, in_style_of, read_file_text, read_input
from burnqed.trajectory.files import write_text


def prove(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="A statement, a .lean file with `sorry` in it, or a .jsonl file (`name`, `statement`).",
        ),
    ],
    seconds: Seconds = None,
    nodes: Nodes = None,
    workers: Workers = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of everything random.", show_default="0")] = None,
    policy: Policy = None,
    prompt_format: PromptFormat = None,
    samples: Samples = None,
    mix_menu: MixMenu = None,
    value: Value = None,
    strategy: Strategy = None,
    menu: Menu = None,
    config_file: ConfigFile = None,
    assignments: Assignments = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; default runs/DATE.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    write: Annotated[
        bool,
        typer.Option("--write", help="Put the proofs into the .lean file itself; else a copy is in the run folder."),
    ] = False,
    project: Project = None,
    pantograph: Pantograph = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a theorem as it ends, nothing else.")
    ] = False,
) -> None:
    """Search for proofs, check them in a fresh Lean process, print them.

    Of a .lean file every `sorry` is proved where it stands, also inside proofs; nothing else in it is changed.

    Without --policy the default prover of `burnqed models list` proposes and judges, with its own settings below all others.
    Settings come from --config, then BURNQED_SECTION__KEY in the environment, then flags; the later wins.

    Exit status: 0 all proved, 1 some not, 2 bad input, 130 after Ctrl-C. What was found is in the run folder.

    Examples:
      burnqed prove "∀ n : Nat, n + 0 = n"

      burnqed prove examples/tour.lean --seconds 30

      burnqed prove examples/core.jsonl --json --out runs/core

      burnqed prove examples/core.jsonl --policy models/mine --value models/mine/head --mix-menu 0.2

      burnqed prove examples/core.jsonl --policy sglang:http://127.0.0.1:30000 --prompt-format deepseek-tactic

    """
    native = NativeSide.found(project, pantograph) if project or pantograph else None
    text = None if native else read_file_text(what)
    entries: list[Entry] = [] if text is not None else read_input(what)
    if resume and out is None:
        raise BadInput("--resume needs --out with the folder of the run to go on with")
    if write and text is None:
        raise BadInput("--write needs a .lean file whose sorries are to be filled")
    flags = search_flags(
        seconds=seconds,
        nodes=nodes,
        workers=workers,
        policy=policy,
        prompt_format=prompt_format,
        samples=samples,
        mix_menu=mix_menu,
        value=value,
        strategy=strategy,
        menu=menu,
        search__seed=seed,
    )
    effective = effective_config(
        file=config_file, environment=os.environ, flags=flags, assignments=assignments or (), policy=policy
    )
    config = effective.config
    rules = load_menu(config.policy.menu)
    path = out or Path("runs") / f"{datetime.datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    settings: dict[str, Any] = {"burnqed": __version__, "input": what, "config": config.model_dump(mode="json")}
    settings |= effective.told
    if native:
        settings["lean"] = native.told
        entries = native.with_imports(entries)
        config = config.model_copy(update={"lean": native_lean_config(config.lean.workers)})
    if effective.notice:
        print(f"burnqed: {effective.notice}", file=sys.stderr)
    # Before the folder: an installation that fails leaves no empty run behind.
    lean = native or ensure_lean(programs=[PROVER if text is None else COMPLETE])
    run = ProofRun(
        rules=rules,
        config=config,
        lean=lean,
        open_folder=lambda about: (RunFolder.resume if resume else RunFolder.create)(path, settings | about),
        as_json=as_json,
    )
    outcome = asyncio.run(prove_entries(run, entries) if text is None else fill_file(run, text, what))
    if not as_json:
        _summary(outcome)
    if outcome.interrupted:
        hint = f"; `burnqed prove {what!r} --out {outcome.folder} --resume` (with the same options) goes on"
        print(f"burnqed: stopped, {len(outcome.results)} of {outcome.total} theorems are done{hint}", file=sys.stderr)
        raise typer.Exit(130)
    status = exit_status(outcome.results)
    if (
        text is not None
        and outcome.filled is not None
        and not _keep(outcome.filled, Path(what), text, outcome.folder, write=write, as_json=as_json)
    ):
        status = max(status, 1)
    raise typer.Exit(status)


def _summary(outcome: Outcome) -> None:
    proved = sum(r.status == "proved" for r in outcome.results)
    errors = sum(r.status == "error" for r in outcome.results)
    bad = f", {errors} could not be tried" if errors else ""
    print(f"{proved} of {outcome.total} proved{bad}. On record in {outcome.folder}", file=sys.stderr)
    if outcome.troubles:
        print(f"Survived on the way: {outcome.troubles} ({outcome.folder}/troubles.json)", file=sys.stderr)


def _keep(filled: FilledFile, source: Path, before: str, folder: Path, *, write: bool, as_json: bool) -> bool:
    """Write the filled file and say what it is worth. Returns whether every proof that was found is in it."""
    target = source if write else folder / source.name
    if filled.kept:
        if read_file_text(str(source)) != before:
            raise BadInput(f"{source} was changed while its proofs were searched; they are in {folder}/results.jsonl")
        write_text(target, in_style_of(source, filled.text))
    done = [d for d in filled.verdict.declarations if not d.sorry]
    left = [d.name for d in filled.verdict.declarations if d.sorry]
    if as_json:
        line = {
            "file": str(source),
            "written": str(target) if filled.kept else None,
            "sorries": filled.sorries,
            "filled": list(filled.kept),
            "dropped": list(filled.dropped),
            "accepted": bool(filled.kept) and filled.verdict.accepted,
            "reason": filled.verdict.reason,
            "declarations": [asdict(d) for d in filled.verdict.declarations],
        }
        print(json.dumps(line, ensure_ascii=False), flush=True)
        return not filled.dropped
    if filled.kept:
        rest = f"; still on sorry: {', '.join(left)}" if left else ""
        print(
            f"{target}: {len(filled.kept)} of {filled.sorries} sorries filled, checked as a whole by a fresh Lean; "
            f"{len(done)} declarations without sorry{rest}",
            file=sys.stderr,
        )
    for name in filled.dropped:
        print(f"{name}: proved alone, but the file as a whole is refused: {filled.verdict.reason}", file=sys.stderr)
    return not filled.dropped
