"""The folder of a run: ``run.json``, ``results.jsonl``, ``proofs/NAME.lean``, ``trajectory/*.parquet``.

A theorem's trajectory and proof are written before its line in ``results.jsonl``; a theorem is done when that line
stands. So a run that was killed loses the searches in flight and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from burnqed.core.errors import BadInput, RunError
from burnqed.core.files import Target
from burnqed.core.tally import Tally
from burnqed.core.theorem import Theorem, import_lines
from burnqed.run.result import TheoremResult
from burnqed.trajectory.files import append_line, drop_torn_line, whole_lines, write_text
from burnqed.trajectory.writer import TrajectoryWriter, part_name

ADDED = {"after_proof": 0, "without_premises": 0.0, "off_path": False, "runs": []}
"""Settings that runs and iterations of earlier versions do not know, with the value that means what there was before them."""


class RunFolder:
    """Open it with :meth:`create` or :meth:`resume`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trajectory = TrajectoryWriter(path / "trajectory")

    @classmethod
    def create(cls, path: Path, settings: dict[str, Any]) -> RunFolder:
        """Start a new run. Raises BadInput when the folder holds one already."""
        if (path / "run.json").exists():
            raise BadInput(f"{path} holds a run already; add --resume to go on with it, or choose another --out")
        _make_parts(path)
        write_text(path / "run.json", msgspec.json.format(msgspec.json.encode(settings)).decode() + "\n")
        return cls(path)

    @classmethod
    def resume(cls, path: Path, settings: dict[str, Any]) -> RunFolder:
        """Go on with a run. Raises BadInput when there is none, or when it was started with other settings."""
        try:
            before = msgspec.json.decode((path / "run.json").read_bytes(), type=dict[str, Any])
        except FileNotFoundError:
            raise BadInput(f"{path} holds no run to resume; leave --resume out to start one") from None
        except (OSError, msgspec.DecodeError) as error:
            raise RunError(f"{path / 'run.json'} is damaged: {error}") from error
        was, now = _decisive(before), _decisive(msgspec.json.decode(msgspec.json.encode(settings)))
        # The prover first: where it is another one, so are its settings.
        for key in sorted(was.keys() | now.keys(), key=lambda key: (key != "prover", key)):
            if was.get(key) != now.get(key) and not (key not in was and as_before(key.rpartition(".")[2], now[key])):
                raise BadInput(
                    f"{path} was started with {key} = {was.get(key)}, not {now.get(key)}; resume it with the same settings"
                )
        _make_parts(path)  # of a run that was brought from elsewhere without its trajectories
        drop_torn_line(path / "results.jsonl")
        return cls(path)

    def finished(self) -> dict[str, TheoremResult]:
        """The results on record that are final, by name. Errors are not: they are tried again."""
        return {name: r for name, r in self.last_results().items() if r.status != "error"}

    def last_results(self) -> dict[str, TheoremResult]:
        """The results on record, errors too, by name; the last one counts. Raises RunError for a damaged line."""
        results: dict[str, TheoremResult] = {}
        for number, line in enumerate(whole_lines(self.path / "results.jsonl"), start=1):
            try:
                result = msgspec.json.decode(line, type=TheoremResult)
            except msgspec.DecodeError as error:
                raise RunError(f"{self.path / 'results.jsonl'}:{number} is damaged: {error}") from error
            results[result.name] = result
        return results

    def tell_troubles(self, tally: Tally) -> None:
        """Put on record what was survived. Raises RunError when the disk does not take it."""
        if tally.counts:
            troubles = {kind: {"count": n, "example": tally.examples.get(kind, "")} for kind, n in tally.counts.items()}
            write_text(self.path / "troubles.json", msgspec.json.format(msgspec.json.encode(troubles)).decode() + "\n")

    def record(self, result: TheoremResult, theorem: Target | None = None) -> None:
        """Put a theorem's outcome on record. Raises RunError when the disk does not take it."""
        if theorem is not None:
            self.trajectory.write(theorem.name)
            if result.proof is not None and isinstance(theorem, Theorem):
                write_text(self.path / "proofs" / f"{part_name(theorem.name)}.lean", lean_file(theorem, result.proof))
        append_line(self.path / "results.jsonl", result.line())


def _make_parts(path: Path) -> None:
    try:
        for folder in ("proofs", "trajectory"):
            (path / folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"the run folder {path} cannot be made: {error.strerror or error}") from error


def as_before(setting: str, value: object) -> bool:
    """Whether a setting, by the last part of its name, came later and has the value at which everything is as it was."""
    return setting in ADDED and type(value) is type(ADDED[setting]) and value == ADDED[setting]


def _decisive(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that decide what a search does, as one flat table. The input may grow between two starts.

    How patiently a server is asked, and how many processes there are, does not decide anything.
    """
    config = settings.get("config")
    decisive = {key: config.get(key) for key in ("search", "policy", "value")} if isinstance(config, dict) else {}
    flat = {key: value for key, value in _flat(decisive, "") if ".endpoint." not in key}
    if isinstance(prover := settings.get("prover"), dict):
        flat["prover"] = f"{prover.get('name')} ({prover.get('digest')})"
    return flat


def _flat(tree: dict[str, Any], above: str) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def lean_file(theorem: Theorem, proof: str) -> str:
    """A whole Lean file: imports, header, theorem."""
    imports = import_lines(theorem.imports)
    header = f"{theorem.header.strip()}\n\n" if theorem.header.strip() else ""
    return f"{imports}\n{header}{proof}\n"
