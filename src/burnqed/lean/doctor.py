"""What `burnqed lean doctor` finds out: which Lean, whether it is whole, how fast, whether it says no when it must."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass

import psutil

from burnqed.core.errors import BadInput, BurnqedError, LeanError
from burnqed.core.outcome import Stepped
from burnqed.core.theorem import Theorem
from burnqed.lean.config import WORKER_MB, LeanConfig, NativeConfig
from burnqed.lean.embedded.install import find_node, installed, verify
from burnqed.lean.embedded.server import spawner
from burnqed.lean.native.find import PANTOGRAPH_VARIABLE, PROJECT_VARIABLE, configured, find_native
from burnqed.lean.native.sandbox import probe
from burnqed.lean.pool import WorkerPool

SELF_TEST = Theorem("self_test", "theorem self_test (n : Nat) (h : 3 < n) : n * 0 + 4 ≤ n")
CANARY = Theorem("canary", "theorem canary : (1 + 1 : Nat) = 3")


@dataclass(frozen=True)
class Finding:
    """One line of the report; ``cure`` says what to do when it is not well."""

    what: str
    found: str
    well: bool = True
    cure: str = ""


async def examine(native: NativeConfig | None = None) -> list[Finding]:
    """Everything there is to say, in order: the machine, the embedded Lean, a native one."""
    embedded = await _embedded()
    return [*embedded, *await asyncio.to_thread(native_findings, native)]


async def _embedded() -> list[Finding]:
    """What there is to say of the embedded Lean; stops where nothing further can be told."""
    findings = [_machine()]
    try:
        findings.append(Finding("node", str(find_node())))
        lean = installed()
    except BurnqedError as error:
        return [*findings, Finding("node", "missing", False, str(error))]
    if lean is None:
        return [*findings, Finding("lean", "not installed", False, "run `burnqed lean install`")]
    findings.append(Finding("lean", f"Lean {lean.lean_version}, embedded (WebAssembly), {lean.root}"))
    damage = verify(lean)
    findings.append(
        Finding(
            "files",
            "; ".join(damage) or "all as installed",
            not damage,
            "run `burnqed lean install --force`" if damage else "",
        )
    )
    if damage:
        return findings
    return [*findings, *await _self_test(LeanConfig(workers=1))]


async def _self_test(config: LeanConfig) -> list[Finding]:
    """Start the server, prove a true statement, fail to prove a false one."""
    lean = installed()
    assert lean is not None
    try:
        async with WorkerPool(spawner(lean, config), config) as pool, pool.lease() as session:
            findings = [
                Finding("start", f"ready after {session.process.ready_after_s:.1f} s"),
                Finding("memory", f"{session.process.rss_mb():.0f} MB a worker"),
            ]
            ref, _ = await session.start(SELF_TEST)
            (outcome,) = await session.apply(ref, ["omega"])
            proved = isinstance(outcome, Stepped) and (await session.verdict(outcome.ref)).accepted
            findings.append(
                Finding("proves", SELF_TEST.signature, proved, "" if proved else "run `burnqed lean install --force`")
            )
            ref, _ = await session.start(CANARY)
            tricks = ["omega", "sorry", "decide", "native_decide", "exact test", "apply?"]
            refused = True
            for trick in await session.apply(ref, tricks):
                refused &= not (
                    isinstance(trick, Stepped) and trick.state.finished and (await session.verdict(trick.ref)).accepted
                )
            findings.append(
                Finding(
                    "refuses", CANARY.signature, refused, "" if refused else "do not trust this installation; report it"
                )
            )
            return findings
    except LeanError as error:
        return [
            Finding(
                "start",
                str(error),
                False,
                "run `burnqed lean install --force`; if that does not help, report the line above",
            )
        ]


def _machine() -> Finding:
    free_mb = psutil.virtual_memory().available // 2**20
    workers = LeanConfig().worker_count()
    enough = free_mb >= WORKER_MB
    cure = "" if enough else f"a worker takes up to {WORKER_MB} MB: close something or add memory"
    return Finding(
        "machine", f"{os.cpu_count()} cores, {free_mb} MB free, so {workers} worker{'s' * (workers > 1)}", enough, cure
    )


def native_findings(config: NativeConfig | None, environ: Mapping[str, str] = os.environ) -> list[Finding]:
    """What there is to say of a native Lean, and of the sandbox that it would run in."""
    try:
        config = config or configured(environ=environ)
    except BadInput as error:
        return [Finding("native", "cannot be used", False, str(error))]
    asked = config.pantograph or config.project or environ.get(PANTOGRAPH_VARIABLE) or environ.get(PROJECT_VARIABLE)
    try:
        native = find_native(config, environ)
    except BadInput as error:
        if asked:
            return [Finding("native", "cannot be used", False, str(error))]
        lake = shutil.which("lake", path=environ.get("PATH"))
        there = f"{lake} is there, but no Pantograph" if lake else "no native Lean found"
        return [Finding("native", f"{there}; none is needed, docs/native.md tells how to use one")]
    versions = native.versions
    told = f"Pantograph {versions.pantograph or 'of unknown release'}, {native.executable}"
    fits = f"Lean {versions.project_lean or 'of unknown version'} in {native.project or 'no project'}"
    if not (versions.project_lean and versions.pantograph_lean):
        fits += "; whether it is Pantograph's cannot be told before it starts"
    findings = [Finding("native", told), Finding("versions", fits)]
    findings.append(Finding("replay", str(native.leanchecker) if native.leanchecker else native.replay_note))
    return [*findings, _sandbox(config)]


def _sandbox(config: NativeConfig) -> Finding:
    if config.sandbox == "off":
        return Finding("sandbox", "switched off: a tactic can do what you can do", False, "leave `sandbox` at auto")
    sandbox, trouble = probe()
    if trouble:
        return Finding("sandbox", "none: a tactic can do what you can do", False, trouble)
    return Finding("sandbox", f"{sandbox.bwrap} works: no network, nothing writable but scratch")
