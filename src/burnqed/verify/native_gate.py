"""The gate for a native Lean: two fresh compilations and one or two checkers, none of which runs the proof's code.

    challenge   header and statement with `sorry`, compiled by itself; what was asked
    solution    header, statement and proof, compiled in a sandbox that can write its own folder only
    checker     native_checker.lean: reads both compiled files, compares the statements, walks to the axioms, and
                lets the kernel check the proof again in the challenge's environment
    leanchecker the toolchain's own replay of the whole solution, where there is one (Lean 4.28 and newer)

Compiling a proof may run any code. So nothing that the compiler prints or returns counts, but that it ended with a
compiled file; and the checker's answer counts by a number that was made after the compiler had ended.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from burnqed.core.errors import BadInput, CanaryProved
from burnqed.core.files import FileVerdict
from burnqed.core.outcome import Verdict
from burnqed.core.theorem import Theorem, import_lines
from burnqed.lean.config import NativeConfig
from burnqed.lean.native.find import NativeLean
from burnqed.lean.native.launch import Scratch, limits
from burnqed.lean.native.run import Ended, run_to_end
from burnqed.lean.native.sandbox import choose
from burnqed.verify.one_theorem import declared_name, objection

MODULE = "BurnqedCandidate"
"""Both files are modules of this name, each in a folder of its own, so that private names in them are the same."""

_CANARY = Theorem("burnqed_canary", "theorem burnqed_canary : (1 + 1 : Nat) = 3", imports=("Init",))
_CANARY_EVERY = 50

_CHECKER = Path(__file__).with_name("native_checker.lean")


class _Answer(msgspec.Struct, frozen=True):
    """The checker's line."""

    nonce: str
    accepted: bool
    reason: str
    axioms: list[str]


class _Complaint(msgspec.Struct, frozen=True):
    """A message of ``lean --json``."""

    data: str = ""
    severity: str = ""


@dataclass(frozen=True)
class _Compiled:
    """The folder of a compiled statement, and a hash of what was compiled."""

    folder: Path
    digest: str


class NativeGate:
    """The Gate port over a native Lean. An async context manager; it keeps the compiled statement of the last theorem."""

    def __init__(
        self, native: NativeLean, config: NativeConfig, *, timeout_s: float = 600.0, memory_mb: int = 16_384
    ) -> None:
        if native.sysroot is None or not (native.sysroot / "bin" / "lean").is_file():
            raise BadInput(
                "the gate needs the toolchain's `lean`, which was not found: give --project, or install elan"
            )
        self._lean = native.sysroot / "bin" / "lean"
        self._native = native
        self._config = config
        self._timeout_s = timeout_s
        self._memory_mb = memory_mb
        self._sandbox = choose(config.sandbox)
        self._scratch = Scratch()
        self._numbers = itertools.count()
        self._turn = asyncio.Lock()  # each check takes as much memory as a worker
        self._challenge: tuple[str, _Compiled] | None = None
        self._accepted = 0

    async def __aenter__(self) -> NativeGate:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._scratch.close()

    @property
    def kernel(self) -> str:
        """Whose word a verdict is: one line for a report."""
        version = self._native.versions.project_lean or "of unknown version"
        replay = "replayed by leanchecker" if self._native.leanchecker else f"not replayed ({self._native.replay_note})"
        shut_in = "compiled in a sandbox" if self._sandbox.bwrap else "compiled without a sandbox"
        return f"native Lean {version}, {shut_in}, checked again by its kernel in a second process, {replay}"

    def prepare(self) -> None:
        """Nothing is started ahead."""

    async def check(self, theorem: Theorem, source: str) -> Verdict:
        """Judge a theorem's source. What goes wrong on the way is a refusal that says so.

        Raises CanaryProved when something false is accepted as well.
        """
        if reason := objection(theorem, source):
            return Verdict(False, reason)
        name = declared_name(theorem)
        if not name:
            return Verdict(False, "the statement has no name")
        async with self._turn:
            verdict = await self._checked(theorem, source, name)
            if verdict.accepted:
                await self._canary()
            return verdict

    async def check_file(self, original: str, filled: str) -> FileVerdict:
        """Files with several sorries are not judged natively yet."""
        return FileVerdict(False, "the native gate judges theorems, not files with several sorries")

    async def _canary(self) -> None:
        """After the first accepted proof and then every so many: a false statement, which must be refused."""
        due = self._accepted % _CANARY_EVERY == 0
        self._accepted += 1
        if not due:
            return
        folder = self._scratch.folder(f"canary-{next(self._numbers)}")
        try:
            compiled = await self._compile(folder, _file(_CANARY, _CANARY.sorried))
            if isinstance(compiled, str):
                return  # it takes nothing at all for a proof
            answer = await self._compare(
                compiled, compiled, _CANARY.name, self._scratch.folder(f"{folder.name}/checker")
            )
            if isinstance(answer, _Answer) and answer.accepted:
                raise CanaryProved(
                    f"the native Lean {self._lean} accepts `{_CANARY.sorried}`: nothing that it says counts"
                )
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def _checked(self, theorem: Theorem, source: str, name: str) -> Verdict:
        folder = self._scratch.folder(f"check-{next(self._numbers)}")
        try:
            return await self._check(theorem, source, name, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def _check(self, theorem: Theorem, source: str, name: str, folder: Path) -> Verdict:
        challenge = await self._challenge_of(theorem)
        if isinstance(challenge, str):
            return Verdict(False, f"the statement does not compile: {challenge}")
        solution = await self._compile(folder / "solution", _file(theorem, source))
        if isinstance(solution, str):
            return Verdict(False, solution)
        if _digest(challenge.folder) != challenge.digest:
            return Verdict(False, "the compiled statement was changed while the proof was compiled")
        answer = await self._compare(challenge.folder, solution, name, self._scratch.folder(f"{folder.name}/checker"))
        if isinstance(answer, str):
            return Verdict(False, answer)
        verdict = Verdict(answer.accepted and not answer.reason, answer.reason, tuple(answer.axioms))
        if verdict.accepted and verdict.forbidden_axioms:
            return Verdict(False, f"the proof rests on {', '.join(verdict.forbidden_axioms)}", verdict.axioms)
        if verdict.accepted and self._native.leanchecker:
            replayed = await self._run(
                [str(self._native.leanchecker), MODULE],
                self._scratch.folder(f"{folder.name}/replay"),
                modules=solution,
                readable=[solution],
            )
            if not replayed.well:
                return Verdict(False, f"leanchecker refuses the proof: {replayed.last_words}", verdict.axioms)
        return verdict

    async def _challenge_of(self, theorem: Theorem) -> _Compiled | str:
        """The compiled statement. The one of the last theorem is kept: a proof is often tried in several forms."""
        if self._challenge is not None and self._challenge[0] == theorem.digest:
            return self._challenge[1]
        folder = self._scratch.folder(f"challenge-{next(self._numbers)}")
        compiled = await self._compile(folder, _file(theorem, theorem.sorried))
        if isinstance(compiled, str):
            shutil.rmtree(folder, ignore_errors=True)
            return compiled
        if self._challenge is not None:
            shutil.rmtree(self._challenge[1].folder, ignore_errors=True)
        self._challenge = (theorem.digest, _Compiled(compiled, _digest(compiled)))
        return self._challenge[1]

    async def _compile(self, folder: Path, text: str) -> Path | str:
        """Compile a text to an olean in its folder; Lean's first error if it does not."""
        source, olean = folder / f"{MODULE}.lean", folder / f"{MODULE}.olean"
        _write(source, text)
        options = [f"-D{option}" for option in self._config.options]
        argv = [str(self._lean), *options, "--json", "-R", str(folder), "-o", str(olean), str(source)]
        ended = await self._run(argv, folder, writable=folder)
        if ended.trouble:
            return f"compiling the file: {ended.trouble}"
        # What a hostile compilation left behind is not opened here: it may be a pipe, a link, or endless.
        if not ended.well or olean.is_symlink() or not olean.is_file():
            return _first_error(ended)
        return folder

    async def _compare(self, challenge: Path, solution: Path, name: str, home: Path) -> _Answer | str:
        nonce = secrets.token_hex(16)
        argv = [str(self._lean), "--run", str(_CHECKER), nonce, str(challenge), str(solution), name]
        ended = await self._run(argv, home, readable=[challenge, solution, _CHECKER.parent])
        for line in ended.out.splitlines():
            try:
                answer = msgspec.json.decode(line, type=_Answer)
            except msgspec.DecodeError:
                continue
            if answer.nonce == nonce:
                return answer
        return f"the checker did not answer: {ended.last_words}"

    async def _run(
        self,
        argv: Sequence[str],
        home: Path,
        *,
        modules: Path | None = None,
        readable: Sequence[Path] = (),
        writable: Path | None = None,
    ) -> Ended:
        """Run a program of the toolchain with a home of its own; ``modules`` comes first in LEAN_PATH."""
        env = self._native.environment(home)
        if modules is not None:
            env["LEAN_PATH"] = os.pathsep.join(p for p in (str(modules), self._native.lean_path) if p)
        cwd = self._native.project or home
        shown = (*self._native.readable, *self._config.readable, *readable)
        return await run_to_end(
            self._sandbox.wrap(argv, readable=shown, writable=(writable or home,), cwd=cwd),
            env=env,
            cwd=str(cwd),
            prepare=limits(self._config),
            timeout_s=self._timeout_s,
            memory_mb=self._memory_mb,
        )


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _file(theorem: Theorem, declaration: str) -> str:
    """The text of a whole file."""
    return f"{import_lines(theorem.imports)}\n{theorem.header.strip()}\n\n{declaration}\n"


def _digest(folder: Path) -> str:
    """A hash of everything compiled in a folder."""
    total = hashlib.sha256()
    for path in sorted(folder.glob(f"{MODULE}.olean*")):
        total.update(path.name.encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _first_error(ended: Ended) -> str:
    """Lean's first error, for telling."""
    for line in ended.out.splitlines():
        try:
            complaint = msgspec.json.decode(line, type=_Complaint)
        except msgspec.DecodeError:
            continue
        if complaint.severity == "error":
            return complaint.data
    return f"lean made no compiled file: {ended.last_words}"
