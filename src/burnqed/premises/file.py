"""The library's premises as one compressed file; that of Init and Std comes with burnqed."""

from __future__ import annotations

import lzma
from functools import cache
from pathlib import Path

import msgspec

from burnqed.core.errors import BadInput, RunError
from burnqed.premises.index import Known, Premises

SHIPPED = Path(__file__).parent / "library.json.xz"


class _File(msgspec.Struct, frozen=True, kw_only=True):
    """Theorems as (name, module, symbols), the latter two by number."""

    lean: str
    modules: list[str]
    imports: list[list[int]]
    symbols: list[str]
    theorems: list[tuple[str, int, list[int]]]


def write_premises(path: Path, premises: Premises, *, lean: str) -> None:
    """Write them, the same bytes for the same premises. Raises RunError when the disk does not take it."""
    modules = sorted({*premises.imports, *(m for each in premises.imports.values() for m in each)})
    number = {module: i for i, module in enumerate(modules)}
    words = sorted({symbol for known in premises.theorems for symbol in known.symbols})
    place = {symbol: i for i, symbol in enumerate(words)}
    content = _File(
        lean=lean,
        modules=modules,
        imports=[[number[m] for m in premises.imports.get(module, ())] for module in modules],
        symbols=words,
        theorems=[(k.name, number[k.module], sorted(place[s] for s in k.symbols)) for k in premises.theorems],
    )
    try:
        path.write_bytes(lzma.compress(msgspec.json.encode(content), preset=9))
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror or error}") from error


def read_premises(path: Path) -> Premises:
    """Read them. Raises BadInput when the file is not there, or damaged."""
    try:
        content = msgspec.json.decode(lzma.decompress(path.read_bytes()), type=_File)
        theorems = [
            Known(name, content.modules[module], frozenset(content.symbols[s] for s in said))
            for name, module, said in content.theorems
        ]
        imports = {
            module: tuple(content.modules[i] for i in found)
            for module, found in zip(content.modules, content.imports, strict=True)
        }
    except (OSError, lzma.LZMAError, msgspec.DecodeError, IndexError, ValueError) as error:
        raise BadInput(f"{path} holds no premises that can be read: {error}") from error
    return Premises(theorems, imports)


@cache
def library() -> Premises:
    """The premises of Init and Std that come with burnqed; read once, which takes about half a second."""
    return read_premises(SHIPPED)
