"""`burnqed prove`."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import secrets
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from burnqed import __version__
from burnqed.cli.install_bar import ensure_lean
from burnqed.cli.screen import ProveScreen
from burnqed.core.errors import BadInput
from burnqed.lean.config import LeanConfig
from burnqed.lean.embedded.install import EmbeddedLean
from burnqed.lean.embedded.server import spawner
from burnqed.lean.pool import WorkerPool
from burnqed.observe.fan_out import FanOut
from burnqed.policy.menu import MenuPolicy, Rule, load_menu
from burnqed.run.folder import RunFolder
from burnqed.run.prove import Prover
from burnqed.run.result import TheoremResult, exit_status
from burnqed.search.config import SearchConfig
from burnqed.theorems.read import Entry, read_input
from burnqed.value.size import SizeValue
from burnqed.verify.gate import FreshProcessGate

_DEFAULT = SearchConfig()


class MonotonicClock:
    """The Clock port over the machine's own clock."""

    def now_s(self) -> float:
        """Seconds; never goes back."""
        return time.monotonic()


def prove(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="A statement, a .lean file with `theorem … := by sorry`, or a .jsonl file (`name`, `statement`).",
        ),
    ],
    seconds: Annotated[float, typer.Option(min=0.1, help="Wall time for each theorem.")] = _DEFAULT.max_seconds,
    nodes: Annotated[int, typer.Option(min=1, help="States to expand for each theorem.")] = _DEFAULT.max_nodes,
    workers: Annotated[
        int, typer.Option(min=0, help="Lean processes at once; 0 = ¾ of the cores, as memory allows.")
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of everything random.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Run folder; default runs/DATE.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    menu: Annotated[Path | None, typer.Option(help="A tactic menu of your own instead of the built-in one.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a theorem as it ends, nothing else.")
    ] = False,
) -> None:
    """Search for proofs, check them in a fresh Lean process, print them.

    Exit status: 0 all proved, 1 some not, 2 bad input, 130 after Ctrl-C. What was found is in the run folder.

    Examples:
      burnqed prove "∀ n : Nat, n + 0 = n"

      burnqed prove examples/tour.lean --seconds 30

      burnqed prove examples/core.jsonl --json --out runs/core

    """
    entries = read_input(what)
    rules = load_menu(menu)
    if resume and out is None:
        raise BadInput("--resume needs --out with the folder of the run to go on with")
    config = SearchConfig(max_nodes=nodes, max_seconds=seconds, seed=seed)
    path = out or Path("runs") / f"{datetime.datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    settings = {
        "burnqed": __version__,
        "input": what,
        "search": config.model_dump(),
        "policy": f"menu {menu or ''}".strip(),
        "value": "size",
    }
    lean = ensure_lean()  # before the folder: an installation that fails leaves no empty run behind
    folder = RunFolder.resume(path, settings) if resume else RunFolder.create(path, settings)
    results, interrupted = asyncio.run(
        _run(entries, rules, config, LeanConfig(workers=workers), lean, folder, as_json=as_json)
    )
    if not as_json:
        _summary(results, len(entries), folder.path)
    if interrupted:
        hint = f"; `burnqed prove {what!r} --out {folder.path} --resume` (with the same options) goes on"
        print(f"burnqed: stopped, {len(results)} of {len(entries)} theorems are done{hint}", file=sys.stderr)
        raise typer.Exit(130)
    raise typer.Exit(exit_status(results))


async def _run(
    entries: Sequence[Entry],
    rules: Sequence[Rule],
    config: SearchConfig,
    lean_config: LeanConfig,
    lean: EmbeddedLean,
    folder: RunFolder,
    *,
    as_json: bool,
) -> tuple[list[TheoremResult], bool]:
    """Build the parts and run them. Returns what is done, and whether it was interrupted."""
    results: list[TheoremResult] = []
    screen = ProveScreen(len(entries), enabled=not as_json and sys.stderr.isatty())
    spawn = spawner(lean, lean_config)

    def on_result(result: TheoremResult) -> None:
        results.append(result)
        screen.result(result)
        if as_json:
            print(result.line(), flush=True)
        else:
            screen.show(result)

    async with WorkerPool(spawn, lean_config) as pool, FreshProcessGate(spawn) as gate:
        gate.prepare()
        prover = Prover(
            pool=pool,
            gate=gate,
            policy=MenuPolicy(rules),
            value=SizeValue(),
            config=config,
            events=FanOut(folder.trajectory, screen),
            clock=MonotonicClock(),
            folder=folder,
        )
        with screen:
            task = asyncio.ensure_future(prover.prove_all(entries, on_result))
            with _cancelled_by_ctrl_c(task), contextlib.suppress(asyncio.CancelledError):
                await task
    return results, task.cancelled()


@contextlib.contextmanager
def _cancelled_by_ctrl_c(task: asyncio.Future[Any]) -> Any:
    """Let Ctrl-C and SIGTERM cancel the task, so that everything is closed in order."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    for s in signals:
        loop.add_signal_handler(s, task.cancel)
    try:
        yield
    finally:
        for s in signals:
            loop.remove_signal_handler(s)


def _summary(results: Sequence[TheoremResult], total: int, folder: Path) -> None:
    proved = sum(r.status == "proved" for r in results)
    errors = sum(r.status == "error" for r in results)
    bad = f", {errors} could not be tried" if errors else ""
    print(f"{proved} of {total} proved{bad}. On record in {folder}", file=sys.stderr)
