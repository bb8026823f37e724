"""Terms and the environment, in PyPantograph's words."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from burnqed.lean.client.asking import Asking, absolute
from burnqed.lean.client.background import blocking
from burnqed.lean.client.expr import Expr, parse_expr
from burnqed.lean.client.message import ParseError, ServerError


class EnvironmentMethods(Asking):
    """Methods about terms and constants. What changes the environment changes it for every worker."""

    async def expr_type_async(self, expr: Expr) -> Expr:
        """The type of a term."""
        return parse_expr((await self._ask("expr.echo", {"expr": expr}))["type"])

    expr_type = blocking(expr_type_async)

    async def env_add_async(self, name: str, levels: Sequence[str], t: Expr, v: Expr, is_theorem: bool = True) -> None:
        """Add a theorem or definition; the kernel checks it."""
        payload = {"name": name, "levels": list(levels), "type": t, "value": v, "isTheorem": is_theorem}
        await self._ask("env.add", payload)

    env_add = blocking(env_add_async)

    async def env_catalog_async(self, module_prefix: str | None = None, invert_filter: bool = False) -> list[str]:
        """Every constant, a letter for its kind before its name; of modules with a prefix, or of all others."""
        payload: dict[str, Any] = {"invertFilter": invert_filter}
        if module_prefix is not None:
            payload["modulePrefix"] = module_prefix
        if self._open_workers.ours:
            return list((await self._ask("env.catalog", payload))["symbols"])
        with tempfile.NamedTemporaryFile("r", encoding="utf-8") as file:
            reply = await self._ask("env.catalog", {**payload, "filename": file.name})
            return reply["symbols"] if "symbols" in reply else [line.strip() for line in file]

    env_catalog = blocking(env_catalog_async)

    async def env_inspect_async(
        self, name: str, print_value: bool = False, print_dependency: bool = False
    ) -> dict[str, Any]:
        """A constant's type and what else is asked for, as the protocol has it."""
        payload = {"name": name, "value": print_value, "dependency": print_dependency, "source": True}
        return await self._ask("env.inspect", payload)

    env_inspect = blocking(env_inspect_async)

    async def env_module_read_async(self, module: str) -> dict[str, Any]:
        """A module's imports and constants, as the protocol has it."""
        return await self._ask("env.module_read", {"module": module})

    env_module_read = blocking(env_module_read_async)

    async def env_parse_async(self, src: str, category: str = "tactic") -> tuple[str, str]:
        """The first element of a syntax category, and the rest. Raises ParseError when there is none."""
        try:
            stop = (await self._ask("env.parse", {"input": src, "category": category}))["pos"]
        except ServerError as error:
            if error.kind == "parse":
                raise ParseError(error.args[0]["desc"]) from error
            raise
        data = src.encode()
        return data[:stop].decode(), data[stop:].decode()

    env_parse = blocking(env_parse_async)

    async def env_save_async(self, path: str | Path) -> None:
        """Keep the environment in a file."""
        await self._ask("env.save", {"path": absolute(path)})

    env_save = blocking(env_save_async)

    async def env_load_async(self, path: str | Path) -> None:
        """Take the environment from a file that :meth:`env_save` made."""
        await self._ask("env.load", {"path": absolute(path)})

    env_load = blocking(env_load_async)
