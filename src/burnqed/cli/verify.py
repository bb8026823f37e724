"""`burnqed verify`."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from burnqed.assemble.native_side import NativeSide
from burnqed.cli.install_bar import ensure_lean
from burnqed.core.errors import BadInput
from burnqed.core.files import Declaration
from burnqed.lean.config import LeanConfig
from burnqed.lean.embedded.install import EmbeddedLean
from burnqed.lean.embedded.package import PINS
from burnqed.lean.embedded.programs import COMPLETE
from burnqed.lean.embedded.server import spawner
from burnqed.theorems.read import exported_proof, read_lean_file
from burnqed.verify.gate import FreshProcessGate
from burnqed.verify.native_gate import NativeGate
from burnqed.verify.recheck import Recheck, faults, recheck


def verify(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="Lean files with finished proofs.")],
    against: Annotated[
        Path | None,
        typer.Option(help="The same file with its sorries: everything but the proofs must be as it is there."),
    ] = None,
    project: Annotated[
        Path | None, typer.Option(help="A Lake project: check with its Lean instead (docs/native.md).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a file.")] = False,
) -> None:
    """Check finished proofs again, in a fresh Lean process that has seen nothing else.

    Every declaration of the file is given to the kernel once more; the axioms that it rests on are listed. With --project a
    native Lean does it, for files that end in a theorem as `burnqed prove` writes them; it looks into the library's proofs too.

    Exit status: 0 all proved, 1 some not, 2 bad input.

    Examples:
      burnqed verify runs/20261121-120000-ab12/proofs/odd_sum.lean

      burnqed verify Solved.lean --against Original.lean

    """
    if against is not None and len(files) != 1:
        raise BadInput("--against goes with one file")
    texts = {path: read_lean_file(path) for path in files}
    original = read_lean_file(against) if against is not None else None
    if project is not None:
        if original is not None:
            raise BadInput("--against is answered by the embedded Lean only; leave --project out")
        results, kernel, trusted = asyncio.run(_natively(project, texts))
    else:
        lean = ensure_lean(programs=[COMPLETE])
        results, kernel, trusted = asyncio.run(_recheck_all(lean, texts, original)), _kernel(lean), _trusted()
    for path, result in results.items():
        if as_json:
            print(json.dumps(_as_object(path, result, kernel, trusted), ensure_ascii=False))
        else:
            _show(path, result)
    if not as_json:
        print(f"kernel: {kernel}", file=sys.stderr)
        print(f"trusted: {trusted}", file=sys.stderr)
    raise typer.Exit(0 if all(r.good for r in results.values()) else 1)


async def _natively(project: Path, texts: dict[Path, str]) -> tuple[dict[Path, Recheck], str, str]:
    """Each file's last theorem by the gate for a native Lean; also which kernel that was, and what was trusted."""
    side = NativeSide.found(project, None)
    proofs = {path: exported_proof(text, source=str(path)) for path, text in texts.items()}
    results: dict[Path, Recheck] = {}
    async with NativeGate(side.native, side.config) as gate:
        for path, (theorem, source) in proofs.items():
            verdict = await gate.check(theorem, source)
            found = (Declaration(theorem.name, "theorem", False, verdict.axioms),)
            results[path] = Recheck(verdict.accepted, verdict.reason, found)
        return results, gate.kernel, f"the compiled files of what is imported, in {project} and its toolchain"


async def _recheck_all(lean: EmbeddedLean, texts: dict[Path, str], original: str | None) -> dict[Path, Recheck]:
    config = LeanConfig(workers=1)
    spawn = spawner(lean, config, program=COMPLETE)
    async with FreshProcessGate(spawn, timeout_s=600, keep_spare=len(texts) > 1) as gate:
        return {path: await recheck(gate, text, original) for path, text in texts.items()}


def _kernel(lean: EmbeddedLean) -> str:
    return f"Lean {lean.lean_version}, embedded (WebAssembly), a fresh process a file; every declaration replayed"


def _trusted() -> str:
    return (
        f"the statements of Init and Std as {PINS.name} {PINS.version} ships them (their proofs are not in it); "
        "a check by a native Lean removes that"
    )


def _as_object(path: Path, result: Recheck, kernel: str, trusted: str) -> dict[str, object]:
    return {
        "file": str(path),
        "good": result.good,
        "holds": result.holds,
        "reason": result.reason,
        "declarations": [asdict(d) for d in result.declarations],
        "kernel": kernel,
        "trusted": trusted,
    }


def _show(path: Path, result: Recheck) -> None:
    console = Console(highlight=False, emoji=False, soft_wrap=True)
    if not result.holds:
        console.print(f"[red]✗[/] {escape(str(path))}: {escape(result.reason)}")
        return
    console.print(f"[green]✓[/] {escape(str(path))} compiles, and the kernel takes every declaration")
    for d in result.declarations:
        fault = faults(d)
        mark = "[red]✗[/]" if fault else "[green]✓[/]"
        axioms = f"axioms {', '.join(d.axioms)}" if d.axioms else "no axioms"
        console.print(f"  {mark} {d.kind} [bold]{escape(d.name)}[/]: {escape(fault or axioms)}")
