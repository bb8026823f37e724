"""The shortest proof that is known of each theorem, over all iterations, in one file.

HTPS (Lample et al., 2022) trains its policy on the minimal proofs of a replay buffer, and not on whatever the last search found.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from burnqed.core.errors import RunError
from burnqed.core.tally import Tally
from burnqed.data.labels import label
from burnqed.data.labels_proof import proof_records
from burnqed.data.labels_reading import recorded_searches
from burnqed.data.manifest import Manifest
from burnqed.data.records import TacticRecord
from burnqed.run.folder import RunFolder
from burnqed.trajectory.files import whole_file

CHANGED = "proof of a statement that has changed since, replaced"
"""What the buffer counts when it gives up a proof for one of another statement of the same name."""


class KnownProof(msgspec.Struct, frozen=True, kw_only=True):
    """A proof of a theorem, as tactics with the states around them.

    ``source`` is the Lean source that the gate accepted, which may still be of a longer proof until this one is ``minimised``,
    that is, went through :func:`burnqed.iterate.minimise.minimise`. ``iteration`` is the one whose search found it.
    """

    theorem: str
    digest: str
    steps: tuple[TacticRecord, ...]
    source: str
    iteration: int
    minimised: bool = False

    @property
    def tactics(self) -> tuple[str, ...]:
        """The steps' texts."""
        return tuple(step.tactic for step in self.steps)

    @property
    def size(self) -> tuple[int, int, tuple[str, ...]]:
        """By what proofs are compared: fewest steps, then fewest characters, then the order of the texts."""
        return len(self.steps), sum(map(len, self.tactics)), self.tactics


class ReplayBuffer:
    """One proof a theorem. ``tally`` counts proofs that were given up because the statement changed."""

    def __init__(self, tally: Tally | None = None) -> None:
        self.tally = tally or Tally()
        self._proofs: dict[str, KnownProof] = {}

    def __len__(self) -> int:
        return len(self._proofs)

    def __iter__(self) -> Iterator[KnownProof]:
        """The proofs, in order of name."""
        return (self._proofs[name] for name in sorted(self._proofs))

    def get(self, theorem: str, digest: str) -> KnownProof | None:
        """The proof of this very statement, if one is known."""
        known = self._proofs.get(theorem)
        return known if known is not None and known.digest == digest else None

    def offer(self, proof: KnownProof) -> bool:
        """Take a proof if it is shorter than the known one, or the first of its statement; says whether anything changed.

        Of two equal ones the older stays. If only the newer is minimised, its states and source are taken, and the iteration of
        the older stays. A proof of another statement under the same name takes the old one's place whatever its length.
        """
        known = self._proofs.get(proof.theorem)
        if known is not None and known.digest != proof.digest:
            self.tally.count(CHANGED, proof.theorem)
        elif known is not None and proof.size == known.size:
            if known.minimised or not proof.minimised:
                return False
            proof = msgspec.structs.replace(proof, iteration=known.iteration)
        elif known is not None and proof.size > known.size:
            return False
        self._proofs[proof.theorem] = proof
        return True

    def records(self) -> Iterator[TacticRecord]:
        """The steps of all proofs, theorem by theorem in order of name."""
        return (step for proof in self for step in proof.steps)

    def write(self, path: Path) -> None:
        """Write the file whole, a line a theorem in order of name: its bytes depend on the proofs alone. Raises RunError."""
        with whole_file(path) as part:
            part.write_bytes(b"".join(msgspec.json.encode(proof) + b"\n" for proof in self))

    @classmethod
    def read(cls, path: Path, tally: Tally | None = None) -> ReplayBuffer:
        """The buffer in a file; an empty one where there is none yet. Raises RunError for a damaged file."""
        buffer = cls(tally)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return buffer
        except OSError as error:
            raise RunError(f"the replay buffer {path} cannot be read: {error.strerror or error}") from error
        *lines, rest = content.split(b"\n")
        if rest:
            raise RunError(f"{path}:{len(lines) + 1} is damaged: the line has no end; restore the file, or remove it")
        for number, line in enumerate(lines, start=1):
            try:
                proof = msgspec.json.decode(line, type=KnownProof)
            except msgspec.DecodeError as error:
                raise RunError(f"{path}:{number} is damaged: {error}; restore the file, or remove it") from error
            if proof.theorem in buffer._proofs:
                raise RunError(f"{path}:{number} is damaged: {proof.theorem} stands there twice; restore or remove it")
            buffer._proofs[proof.theorem] = proof
        return buffer


def found_proofs(folder: Path, manifest: Manifest, *, iteration: int, split: str = "") -> Iterator[KnownProof]:
    """The shortest proof that each successful search of a run knows of, with the source that the gate accepted.

    Raises BadInput when the folder is no run's, and RunError for a damaged one.
    """
    results = RunFolder(folder).finished()
    for search in recorded_searches(folder, manifest):
        result = results.get(search.graph.theorem)
        if result is None or result.proof is None:
            continue
        steps = tuple(proof_records(label(search.graph), split=split))
        if not steps:
            manifest.note("proved theorem whose proof is not in the record", f"{folder.name}: {result.name}")
            continue
        yield KnownProof(
            theorem=result.name, digest=result.digest, steps=steps, source=result.proof, iteration=iteration
        )
