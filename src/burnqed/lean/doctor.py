"""What `burnqed lean doctor` finds out: which Lean, whether it is whole, how fast, whether it says no when it must."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass

import psutil

from burnqed.core.errors import BurnqedError, LeanError
from burnqed.core.outcome import Stepped
from burnqed.core.theorem import Theorem
from burnqed.lean.config import WORKER_MB, LeanConfig
from burnqed.lean.embedded.install import find_node, installed, verify
from burnqed.lean.embedded.server import spawner
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


async def examine() -> list[Finding]:
    """Everything there is to say, in order; stops where nothing further can be told."""
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
    return [*findings, *await _self_test(LeanConfig(workers=1)), _native()]


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


def _native() -> Finding:
    lake = shutil.which("lake")
    return Finding(
        "native", f"{lake} is there, and is not used yet" if lake else "no native Lean found, and none is needed"
    )
