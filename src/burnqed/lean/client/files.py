"""Whole files and pieces of them, in PyPantograph's words."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from burnqed.lean.client.asking import Asking, absolute
from burnqed.lean.client.background import blocking
from burnqed.lean.client.data import CheckTrackResult, CompilationUnit, SearchTarget
from burnqed.lean.client.message import Message


class FileMethods(Asking):
    """Methods about Lean source text."""

    async def tactic_invocations_async(self, file_name: str | Path, tree_info: bool = False) -> list[CompilationUnit]:
        """A file's commands, with every tactic in them and the goals before and after it."""
        payload: dict[str, Any] = {"fileName": absolute(file_name), "readHeader": True}
        payload |= {"inheritEnv": False, "newConstants": False}
        if tree_info:
            payload["invocationTreeInfo"] = True
        with tempfile.TemporaryDirectory() as folder:
            found = Path(folder) / "invocations.json"
            units = (await self._ask("frontend.process", {**payload, "invocations": str(found)}))["units"]
            traced = msgspec.json.decode(found.read_bytes())["units"]
        return [CompilationUnit.parse(u, t["invocations"]) for u, t in zip(units, traced, strict=True)]

    tactic_invocations = blocking(tactic_invocations_async)

    async def load_header_async(self, header: str) -> None:
        """Take the environment from a file's head; meant for a server with no imports of its own."""
        await self._process(header, read_header=True, inherit=True)

    load_header = blocking(load_header_async)

    async def load_definitions_async(self, snippet: str) -> None:
        """Go on from the environment after some Lean text. States that are there already stay in theirs."""
        await self._process(snippet, inherit=True)

    load_definitions = blocking(load_definitions_async)

    async def check_compile_async(
        self, code: str, new_constants: bool = False, read_header: bool = False
    ) -> list[CompilationUnit]:
        """The commands of some Lean text, with their messages. No error there is not yet a proof: see ``check_track``."""
        reply = await self._process(code, new_constants=new_constants, read_header=read_header)
        return [CompilationUnit.parse(unit) for unit in reply["units"]]

    check_compile = blocking(check_compile_async)

    async def load_sorry_async(
        self, src: str, binder_name: str | None = None, ignore_values: bool = False
    ) -> list[SearchTarget]:
        """The ``sorry``s of some Lean text as goals."""
        payload: dict[str, Any] = {"file": src, "ignoreValues": ignore_values}
        if binder_name is not None:
            payload["binderName"] = binder_name
        reply = await self._ask("frontend.distil", payload)
        return [SearchTarget(self._state(target["stateId"], target["goals"], [])) for target in reply["targets"]]

    load_sorry = blocking(load_sorry_async)

    async def check_track_async(self, src: str, dst: str) -> CheckTrackResult:
        """Whether ``dst`` states and proves what ``src`` promises with its ``sorry``s."""
        reply = await self._ask("frontend.track", {"src": src, "dst": dst})
        return CheckTrackResult(
            [Message.parse(m) for m in reply["srcMessages"]],
            [Message.parse(m) for m in reply["dstMessages"]],
            reply.get("failure"),
        )

    check_track = blocking(check_track_async)

    async def refactor_search_target_async(self, code: str, core_options: Sequence[str] = ()) -> str:
        """Text in which several ``sorry``s have become one."""
        reply = await self._ask("frontend.refactor", {"file": code, "coreOptions": list(core_options)})
        return str(reply["file"])

    refactor_search_target = blocking(refactor_search_target_async)

    async def _process(
        self, text: str, *, read_header: bool = False, inherit: bool = False, new_constants: bool = False
    ) -> dict[str, Any]:
        payload = {"file": text, "newConstants": new_constants, "readHeader": read_header, "inheritEnv": inherit}
        return await self._ask("frontend.process", payload)
