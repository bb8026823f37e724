"""Hashes of what goes into a step and of what comes out, without what differs from run to run, as times do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel

from burnqed.core.errors import BadInput
from burnqed.models.fingerprint import file_hash
from burnqed.run.folder import RunFolder, as_before
from burnqed.trajectory.reader import read_edges, read_nodes

_SHORT = 16
ABSENT = "absent"


def of_text(text: str) -> str:
    """Of a text."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:_SHORT]


def of_file(path: Path) -> str:
    """Of a file's bytes; :data:`ABSENT` when it is not there."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except FileNotFoundError:
        return ABSENT
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror or error}") from error
    return digest.hexdigest()[:_SHORT]


def of_input(path: Path, *, key: str) -> str:
    """Of a file that a recipe names; of a folder, of all its files. Raises BadInput with the recipe's key when it is missing."""
    if path.is_dir():
        return of_files(sorted(p for p in path.rglob("*") if p.is_file()), below=path)
    if not path.is_file():
        raise BadInput(f"{key}: {path} is not there; paths in a recipe start where you are when you run it")
    return of_file(path)


def of_files(paths: Iterable[Path], *, below: Path) -> str:
    """Of several files, with their names."""
    return of_text("\n".join(f"{p.relative_to(below).as_posix()}\0{of_file(p)}" for p in paths))


def of_model(folder: Path) -> str:
    """Of a model's or a head's weights, tokenizer and settings, not of its card, which has times and paths in it.

    :data:`ABSENT` when there is nothing of them. Large files are read once, and again when size or time has changed.
    """
    kept = sorted(p for p in folder.glob("*") if p.is_file() and (p.suffix in _WEIGHTS or p.name in _DECISIVE))
    return of_text("\n".join(f"{p.name}\0{file_hash(p)}" for p in kept)) if kept else ABSENT


_WEIGHTS = (".safetensors", ".bin")
_DECISIVE = ("config.json", "tokenizer.json", "tokenizer.model", "burnqed.json")


def of_settings(*settings: BaseModel | object) -> str:
    """Of settings, whatever the order of their keys; one that came later does not count while all is as it was before it."""
    plain = [_as_before(s.model_dump(mode="json") if isinstance(s, BaseModel) else s) for s in settings]
    return of_text(json.dumps(plain, sort_keys=True, ensure_ascii=False, default=str))


def _as_before(tree: object) -> object:
    if not isinstance(tree, Mapping):
        return tree
    return {key: _as_before(value) for key, value in tree.items() if not as_before(key, value)}


def of_run(folder: Path) -> str:
    """Of what a run of searches found: outcomes, proofs, and every state and tactic of its trajectories.

    Several steps ask for it, and trajectories are large, so it is remembered as long as the record is not touched.
    """
    stamp = _stamp(folder)
    if (known := _RUNS.get(folder)) is None or known[0] != stamp:
        known = _RUNS[folder] = (stamp, _of_run(folder))
    return known[1]


_Stamp = tuple[tuple[int, int], ...]
_RUNS: dict[Path, tuple[_Stamp, str]] = {}


def _stamp(folder: Path) -> _Stamp:
    """When the record was last written to, and how large it is."""
    paths = (folder / "results.jsonl", folder / "trajectory")
    return tuple((p.stat().st_mtime_ns, p.stat().st_size) for p in paths if p.exists())


def _of_run(folder: Path) -> str:
    results = RunFolder(folder).last_results()
    lines = [
        f"{name}\0{r.digest}\0{r.status}\0{r.ended}\0{r.proof}\0{r.nodes}\0{r.tactics}\0{r.tokens}"
        for name, r in sorted(results.items())
    ]
    digest = hashlib.sha256("\n".join(lines).encode(errors="surrogatepass"))
    trajectory = folder / "trajectory"
    for table in (read_nodes(trajectory), read_edges(trajectory).drop_columns(["lean_ms"])):
        for row in table.to_pylist():
            # A column that a record of an earlier version lacks reads as null.
            known = {name: value for name, value in row.items() if value is not None}
            digest.update(json.dumps(known, ensure_ascii=False).encode(errors="surrogatepass"))
    return digest.hexdigest()[:_SHORT]


def key_of(inputs: Mapping[str, str]) -> str:
    """The key of a step: a hash of all that goes into it."""
    return of_text("\n".join(f"{name}\0{value}" for name, value in sorted(inputs.items())))
