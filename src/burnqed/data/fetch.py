"""Fetch a public set, or take it from this machine: its files checked, its rows as records, and a manifest that says what it is.

In the set's folder stand ``files/`` with what was fetched, ``theorems.jsonl`` and ``tactics.jsonl`` with the records (those that
the set has), and ``manifest.json``, written last.
"""

from __future__ import annotations

import contextlib
import shutil
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from burnqed.core.errors import BadInput, FetchError
from burnqed.data.download import Progress, Silent, client, download
from burnqed.data.intake import take_in
from burnqed.data.locate import Hosts, first_match, hint_for, locate, matches
from burnqed.data.manifest import FileCard, Manifest, Origin
from burnqed.data.reading import SUFFIXES, pick_schema
from burnqed.data.records import Record, TheoremRecord, line
from burnqed.data.sources.any_file import source_of
from burnqed.data.sources.source import GitHub, Source
from burnqed.trajectory.files import whole_file

THEOREMS, TACTICS = "theorems.jsonl", "tactics.jsonl"
_LARGEST_MEMBER = 4 << 20  # bytes of one Lean file in an archive; more is no Lean file


@dataclass(frozen=True)
class Wanted:
    """What to fetch. ``origin`` is a file or folder to take instead of the network, ``sha256`` what the one file must be."""

    source: Source
    revision: str = ""
    origin: Path | None = None
    sha256: str = ""
    command: str = ""


@dataclass(frozen=True)
class Network:
    """How the network is used; tests put a server of their own here."""

    hosts: Hosts = field(default_factory=Hosts)
    progress: Progress = field(default_factory=Silent)
    pause: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class _Files:
    """What the loader reads, and what the manifest says about it."""

    paths: tuple[Path, ...]
    cards: tuple[FileCard, ...]
    location: str
    revision: str


def fetch(wanted: Wanted, out: Path, network: Network | None = None) -> tuple[Path, Manifest]:
    """Fetch a set into ``out/NAME``; returns that folder and the manifest.

    Raises FetchError (host, checksum), BadInput (wrong file or schema) or RunError (disk). The records of an earlier fetch stay
    as they are until the new ones are whole; a refusal leaves no empty folder, and what was downloaded to be gone on with.
    """
    folder = out / wanted.source.name
    with _made(folder):
        return folder, _fetched(wanted, folder, network or Network())


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[None]:
    """The folder of a set, with those above it. On a failure those that were not there before go again where they are empty."""
    new = [path for path in (folder / "files", folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder} cannot be made: {error.strerror or error}; choose another --out") from error
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # the first that is not empty ends it
            for path in new:
                if path.exists():
                    path.rmdir()
        raise


def _fetched(wanted: Wanted, folder: Path, network: Network) -> Manifest:
    source = wanted.source
    files = _local(wanted) if wanted.origin is not None else _remote(wanted, folder, network)
    for path in files.paths:
        if source.schemas and path.is_file():
            _check_schema(path, source)
    manifest = Manifest(
        step="fetch",
        command=wanted.command,
        origins=[
            Origin(
                name=source.name,
                location=files.location,
                revision=files.revision,
                licence=source.licence,
                lean=source.lean,
                notes=source.notes,
            )
        ],
        inputs=list(files.cards),
        settings={"benchmark": source.benchmark, "rows_expected": source.rows},
    )
    loaded = (entry for path in files.paths for entry in source.load(path))
    write_records(take_in(loaded, source, manifest), folder, manifest)
    manifest.write(folder)
    return manifest


def _check_schema(path: Path, source: Source) -> None:
    """Raises BadInput for a file with other columns than the set's, with the name of the set that has them, if one does."""
    try:
        pick_schema(path, source.schemas, name=source.title)
    except BadInput as error:
        try:
            name = source_of(path).name
        except BadInput:
            raise error from None
        raise BadInput(f"{error}; its columns are those of {name}" if name else str(error)) from error


def write_records(records: Iterator[Record], folder: Path, manifest: Manifest) -> None:
    """Write theorems and tactics into their files of a folder, whole, and put the files that have rows into the manifest.

    Raises BadInput, and leaves the folder as it was, when there is no record at all.
    """
    counts = {THEOREMS: 0, TACTICS: 0}
    with contextlib.ExitStack() as stack:
        parts = {name: stack.enter_context(whole_file(folder / name)) for name in counts}
        handles: dict[str, BinaryIO] = {name: stack.enter_context(part.open("wb")) for name, part in parts.items()}
        for record in records:
            name = THEOREMS if isinstance(record, TheoremRecord) else TACTICS
            handles[name].write(line(record))
            counts[name] += 1
        if not any(counts.values()):
            raise BadInput(f"{folder}: nothing to write, since no row is usable; {manifest.told()}")
    for name, rows in counts.items():
        if rows:
            manifest.outputs.append(FileCard.of(folder / name, shown=name, rows=rows))
        else:
            (folder / name).unlink(missing_ok=True)


def _local(wanted: Wanted) -> _Files:
    assert wanted.origin is not None
    path, hint = wanted.origin, "give the file that was meant"
    if path.is_dir():
        if wanted.sha256:
            raise BadInput(f"{path} is a folder, and --sha256 is for a file")
        paths = _rows_below(path, wanted.source) or (path,)
        cards = tuple(FileCard.of(p) for p in paths if p.is_file())
        return _Files(paths, cards, str(path), wanted.revision)
    if not path.exists():
        raise BadInput(f"{path}: no such file")
    card = FileCard.of(path)
    if wanted.sha256 and card.sha256 != wanted.sha256:
        raise BadInput(f"{path} is another file than it should be: its SHA-256 is {card.sha256}; {hint}")
    return _Files((path,), (card,), str(path), wanted.revision)


def _rows_below(folder: Path, source: Source) -> tuple[Path, ...]:
    """The files of rows of a set in a folder, by the names that they have on its host; none of a set of Lean files."""
    if not source.schemas:
        return ()
    names = {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.suffix in SUFFIXES}
    return tuple(names[name] for name in sorted(first_match(source.home.files, list(names)) or names))


def _remote(wanted: Wanted, folder: Path, network: Network) -> _Files:
    source = wanted.source
    hint = hint_for(source)
    with client() as http:
        located = locate(http, source, revision=wanted.revision, hosts=network.hosts, pause=network.pause)
        if wanted.sha256 and len(located.files) != 1:
            raise BadInput(f"{source.name} is {len(located.files)} files, and --sha256 is for a single one")
        paths: list[Path] = []
        cards: list[FileCard] = []
        for remote in located.files:
            target = folder / "files" / PurePosixPath(remote.name).as_posix().replace("/", "__")
            digest = download(
                http,
                remote.url,
                target,
                hint=hint,
                sha256=wanted.sha256 or remote.sha256,
                size_bytes=remote.size_bytes,
                progress=network.progress,
                pause=network.pause,
            )
            paths.append(target)
            cards.append(FileCard(path=remote.url, size_bytes=target.stat().st_size, sha256=digest))
    if isinstance(source.home, GitHub) and source.home.archive:
        paths = [_unpacked(paths[0], source.home.files, folder / "files" / "lean")]
    return _Files(tuple(paths), tuple(cards), source.address, located.revision)


def _unpacked(archive: Path, patterns: tuple[str, ...], folder: Path) -> Path:
    """The files of an archive that match, below a folder that holds nothing else. Raises FetchError."""
    shutil.rmtree(folder, ignore_errors=True)
    taken = 0
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                # Names begin with a folder that the host makes up.
                inside = "/".join(PurePosixPath(member.name).parts[1:])
                wanted = any(matches(pattern, inside) for pattern in patterns)
                if not (member.isfile() and wanted and member.size <= _LARGEST_MEMBER) or ".." in inside.split("/"):
                    continue
                data = tar.extractfile(member)
                assert data is not None
                target = folder / inside
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data.read())
                taken += 1
    except (tarfile.TarError, EOFError, OSError) as error:
        raise FetchError(f"{archive} cannot be unpacked: {error}; delete it and fetch again") from error
    if not taken:
        raise FetchError(f"{archive} has no file like {' or '.join(patterns)}; its makers may have moved them")
    return folder
