"""Theorems from a command-line statement, a ``.lean`` file or a ``.jsonl`` file.

One bad entry does not stop the others: it comes back as a :class:`BadEntry` with one sentence that says where and why.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path

import msgspec

from burnqed.core.errors import BadInput
from burnqed.core.theorem import CORE_ROOTS, DEFAULT_IMPORTS, Theorem
from burnqed.theorems.lean_text import body_start, command_starts, is_sorry, masked

_DECLARATION = re.compile(r"^(?:(?:private|protected|nonrec)\s+)*(theorem|lemma|example)\b\s*", re.DOTALL)
_NAME = re.compile(r"[^\s:({\[⦃.]+(?:\.[^\s:({\[⦃.]+)*")
_IMPORT = re.compile(r"^(?:public\s+)?import\s+(.+)$", re.MULTILINE)
_PRELUDE = re.compile(r"^prelude\b.*$", re.MULTILINE)


@dataclass(frozen=True)
class BadEntry:
    """An entry that cannot become a theorem."""

    name: str
    reason: str


Entry = Theorem | BadEntry


def read_file_text(what: str) -> str | None:
    """The text of a .lean file with sorries; None when ``what`` is something else. Raises BadInput for one without."""
    if not _names_file(what) or not what.endswith(".lean"):
        return None
    content = read_lean_file(Path(what))
    if re.search(r"\bsorry\b", masked(content)) is None:
        raise BadInput(f"{what}: no `sorry` in it, so there is nothing to prove")
    return content


def read_lean_file(path: Path) -> str:
    """The text of a Lean file, with Unix line ends. Raises BadInput."""
    content = _content(path)
    if not content.strip():
        raise BadInput(f"{path}: the file is empty")
    return content


def in_style_of(path: Path, text: str) -> str:
    """A text with the line ends of the file ``path``, and with its byte order mark if it has one."""
    before = path.read_bytes().decode()
    mark = "\ufeff" if before.startswith("\ufeff") else ""
    return mark + (text.replace("\n", "\r\n") if "\r\n" in before else text)


def read_input(text: str) -> list[Entry]:
    """What the user gave on the command line: the path of a .jsonl file, or a statement.

    Raises BadInput when there is nothing to prove at all.
    """
    if _names_file(text):
        path = Path(text)
        content = _content(path)
        return read_lean(content, source=str(path)) if path.suffix == ".lean" else read_jsonl(content, source=str(path))
    if _is_file(text):
        raise BadInput(f"{text}: a file of theorems ends in .lean or .jsonl")
    if not text.isascii() and text.encode(errors="replace").decode() != text:
        raise BadInput("the statement is not UTF-8 text")
    if not text.strip():
        raise BadInput(
            "the statement is empty; give a proposition such as '∀ n : Nat, n + 0 = n', or the path of a .lean or .jsonl file"
        )
    return [_statement(text, name="statement", header="", imports=DEFAULT_IMPORTS, source="")]


def _names_file(text: str) -> bool:
    return text.endswith((".lean", ".jsonl")) and "\n" not in text


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read as UTF-8 text: {error}") from error


def _is_file(text: str) -> bool:
    """Whether a statement is more likely a path that somebody mistyped."""
    return len(text) < 200 and "\n" not in text and "\0" not in text and Path(text).is_file()


def read_jsonl(content: str, *, source: str) -> list[Entry]:
    """One object a line: ``statement`` (``theorem … := by sorry`` or a proposition); ``name`` and ``header`` optional.

    ``imports``, a list of modules, is optional too; without it the header's import lines say.
    """
    entries: list[Entry] = []
    seen: dict[str, int] = {}
    # Not splitlines(): U+2028 and its like may stand inside a JSON text.
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{source}:{number}"
        entry = _json_entry(line, where, default_name=f"line_{number}")
        name = entry.name
        if name in seen:
            entry = BadEntry(f"{name}@{number}", f"{where}: the name {name} was already used in line {seen[name]}")
        else:
            seen[name] = number
        entries.append(entry)
    if not entries:
        raise BadInput(f'{source}: the file is empty; a line is {{"name": …, "statement": …}}')
    return entries


def read_lean(content: str, *, source: str) -> list[Entry]:
    """The theorems of a file whose proof is ``sorry``. What stands before one is its header."""
    if not content.strip():
        raise BadInput(f"{source}: the file is empty")
    starts, pieces = _commands(content)
    imports = _imports(masked(content))
    header: list[str] = []
    entries: list[Entry] = []
    pending = ""  # doc comments and attributes that belong to the next declaration
    for start, piece in zip(starts, pieces, strict=True):
        if piece.startswith(("/--", "@[")) and _declaration_in(piece) is None:
            pending += piece
            continue
        at = _declaration_in(piece)
        where = f"{source}:{content.count(chr(10), 0, start) + 1}"
        body = body_start(piece) if at is not None else None
        if at is not None and body is not None and is_sorry(piece[body + 2 :]):
            entries.append(
                _statement(
                    piece[at : body + 2] + " by sorry",
                    name=f"example_{len(entries) + 1}",
                    header="".join(header),
                    imports=imports,
                    source=where,
                )
            )
        elif not piece.startswith(("import ", "public import ", "/-!")):
            header.append(pending + piece)
        pending = ""
    if not entries:
        raise BadInput(f"{source}: no theorem with `:= by sorry` in it, so there is nothing to prove")
    return _unique(entries)


def exported_proof(content: str, *, source: str) -> tuple[Theorem, str]:
    """A file as a run writes it, its last theorem taken from its proof: the statement in its header, and its source.

    Raises BadInput when the file does not end in a theorem with a proof.
    """
    starts, pieces = _commands(content)
    at = next((i for i in reversed(range(len(pieces))) if re.match(r"(?:theorem|lemma)\b", pieces[i])), None)
    body = body_start(pieces[at]) if at is not None else None
    if at is None or body is None or at != len(pieces) - 1:
        raise BadInput(
            f"{source}: a native Lean checks files that end in a theorem with its proof, as `burnqed prove` writes them"
        )
    statement = _statement(
        f"{pieces[at][:body]}:= by sorry", name="theorem", header="", imports=DEFAULT_IMPORTS, source=source
    )
    assert isinstance(statement, Theorem)
    limit = re.search(r"set_option maxHeartbeats \d+ in\s*\Z", content[: starts[at]])
    begin = limit.start() if limit else starts[at]
    before = content[:begin]
    imports = _imports(masked(before))
    header = _without_imports(before)
    proof = content[begin:].strip().replace(pieces[at][:body].rstrip(), statement.signature, 1)
    return dataclasses.replace(statement, header=header, imports=imports), proof


def _commands(content: str) -> tuple[list[int], list[str]]:
    """Where the commands of a file begin, and each up to the next one's beginning."""
    starts = command_starts(content)
    return starts, [content[a:b] for a, b in zip(starts, [*starts[1:], len(content)], strict=True)]


def _imports(text: str) -> tuple[str, ...]:
    """The modules that a text imports; the usual ones when it says nothing.

    A file imports ``Init`` by itself unless it says ``prelude``. What is not Lean's own brings it along.
    """
    modules = tuple(m for line in _IMPORT.findall(text) for m in line.split())
    if not modules:
        return DEFAULT_IMPORTS
    silent = "Init" not in modules and all(m.split(".")[0] in CORE_ROOTS for m in modules)
    return ("Init", *modules) if silent and not _PRELUDE.search(text) else modules


def _without_imports(header: str) -> str:
    """A header without its import lines, which are kept apart."""
    return _IMPORT.sub("", _PRELUDE.sub("", header)).strip()


def _declaration_in(piece: str) -> int | None:
    """Where the theorem, lemma or example of a piece begins, if it holds one."""
    m = re.compile(
        r"^(?:@\[[^\]]*\]\s*)?((?:private |protected |nonrec )*(?:theorem|lemma|example)\b)", re.DOTALL
    ).match(piece)
    return m.start(1) if m else None


def _json_entry(line: str, where: str, *, default_name: str) -> Entry:
    try:
        row = msgspec.json.decode(line)
    except msgspec.DecodeError as error:
        return BadEntry(default_name, f"{where}: not a JSON object: {error}")
    if not isinstance(row, dict):
        return BadEntry(default_name, f"{where}: not a JSON object but {type(row).__name__}")
    name, statement, header = row.get("name", default_name), row.get("statement"), row.get("header", "")
    if not isinstance(name, str) or not name.strip():
        return BadEntry(default_name, f"{where}: `name` must be a text")
    if not isinstance(statement, str) or not statement.strip():
        return BadEntry(name, f"{where}: `statement` is missing or not a text")
    if not isinstance(header, str):
        return BadEntry(name, f"{where}: `header` must be a text")
    try:
        imports = msgspec.convert(row["imports"], tuple[str, ...]) if "imports" in row else _imports(header)
    except msgspec.ValidationError:
        return BadEntry(name, f"{where}: `imports` must be a list of module names")
    if not imports or not all(imports):
        return BadEntry(name, f"{where}: `imports` must name at least one module")
    header = _without_imports(header)
    return _statement(statement, name=name, header=header, imports=imports, source=where, keep_name=True)


def _statement(
    text: str, *, name: str, header: str, imports: tuple[str, ...], source: str, keep_name: bool = False
) -> Entry:
    """A theorem from a whole declaration or a bare proposition."""
    text = text.strip()
    prefix = f"{source}: " if source else ""
    m = _DECLARATION.match(text)
    if m is None:
        if body_start(text) is not None:
            return BadEntry(name, f"{prefix}give a theorem, lemma or example, or a bare proposition without `:=`")
        return Theorem(name, f"theorem {_identifier(name)} : {text}", header, imports, source)
    body = body_start(text)
    if body is not None and not is_sorry(text[body + 2 :]):
        return BadEntry(name, f"{prefix}the proof is not `sorry`, so there is nothing to prove; write `:= by sorry`")
    rest = text[m.end() : body].rstrip()
    if m[1] == "example":
        return Theorem(name, f"theorem {_identifier(name)} {rest}", header, imports, source)
    named = _NAME.match(rest)
    if named is None:
        return BadEntry(name, f"{prefix}`{m[1]}` needs a name")
    return Theorem(name if keep_name else named[0], f"theorem {rest}", header, imports, source)


def _identifier(name: str) -> str:
    """The name as a Lean identifier."""
    return name if re.fullmatch(r"[A-Za-z_][\w'.!?]*", name) else f"«{name.replace('«', '').replace('»', '')}»"


def _unique(entries: list[Entry]) -> list[Entry]:
    """Names that occur twice get a number, since results are filed under them."""
    seen: dict[str, int] = {}
    out: list[Entry] = []
    for entry in entries:
        seen[entry.name] = seen.get(entry.name, 0) + 1
        if seen[entry.name] > 1 and isinstance(entry, Theorem):
            entry = Theorem(
                f"{entry.name}_{seen[entry.name]}", entry.signature, entry.header, entry.imports, entry.source
            )
        out.append(entry)
    return out
