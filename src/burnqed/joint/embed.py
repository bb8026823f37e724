"""Computing the embeddings of pairs: each distinct text once, in shards, going on where a killed run stopped.

What the folder looks like stands in :mod:`burnqed.joint.embeddings`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
import torch
from safetensors.torch import save
from torch import Tensor

from burnqed.core.encoder_card import EncoderCard
from burnqed.core.errors import BadInput, ModelError
from burnqed.data.manifest import FileCard, Manifest
from burnqed.data.pace import Progress
from burnqed.data.printed_states import printed_state
from burnqed.joint.embeddings import (
    INDEX,
    PLAN,
    Index,
    Plan,
    StoredAs,
    StoredText,
    as_json,
    digest,
    names,
    read,
    text_hash,
)
from burnqed.joint.pairs import Group
from burnqed.models.encoder import CUT as CUT_TEXT
from burnqed.models.encoder import Encoder
from burnqed.prompts.fit import CUT as CUT_STATE
from burnqed.train.journal import make_folder
from burnqed.trajectory.files import whole_file, whole_lines, write_text

EMBED = "embed"
"""The stage under which texts are dropped here."""
UNREADABLE = "state that cannot be read back"
REFUSED = "text that the encoder refuses"
FAILED = "text that the model cannot embed"
OVERFLOW = "vector that float16 cannot hold"


def texts_of(groups: Iterable[Group]) -> list[str]:
    """Every state and goal that an energy is asked of, each once, in the order in which they come."""
    found: dict[str, None] = {}
    for group in groups:
        found[group.goal] = found[group.positive] = None
        for negative in group.negatives:
            found[negative.goal] = found[negative.state] = None
    return list(found)


def embed_texts(
    texts: Sequence[str],
    encoder: Encoder,
    out: Path,
    *,
    reading: Manifest,
    shard_texts: int = 4096,
    stored_as: StoredAs = "float32",
    progress: Callable[[Progress], None] = lambda _: None,
) -> Manifest:
    """Embed distinct texts of states into a folder; what an earlier run finished there is not computed again.

    Each text becomes a state and is put to the encoder as serving does. Texts without a vector are counted with the reason
    in the manifest, which also tells of ``reading``, the account of the files that the texts come from. Raises BadInput for no
    texts, and for a folder that holds other texts; ModelMismatch for one that holds vectors of another encoder; ModelError when
    the model fails on everything; RunError when the disk refuses.
    """
    if not texts:
        raise BadInput("there is no text to embed: the files of pairs hold no pair that can be used")
    plan = Plan(asdict(encoder.card), digest(texts), len(texts), shard_texts, stored_as)
    _begin(out, plan)
    began = time.monotonic()
    before = 0
    for number in range(plan.shards):
        some = texts[number * shard_texts : (number + 1) * shard_texts]
        if names(out, number)[1].exists():
            before += len(some)
        else:
            _embed_shard(out, number, some, encoder, stored_as)
        done = number * shard_texts + len(some)
        progress(Progress(done, plan.count, before, time.monotonic() - began))
    return _finish(out, plan, reading)


def _begin(out: Path, plan: Plan) -> None:
    """Make the folder this plan's. Raises when it is another's."""
    path = out / PLAN
    if path.exists():
        found = read(path, Plan)
        EncoderCard.from_json(found.card, source=str(path)).require(
            EncoderCard.from_json(plan.card, source="the encoder"), what=f"the folder of embeddings {out}"
        )
        if found != plan:
            what = [n for n in ("texts", "count", "shard_texts", "stored_as") if getattr(found, n) != getattr(plan, n)]
            raise BadInput(f"{out} was begun for something else ({', '.join(what)} differ); choose another --out")
    elif any(out.glob("vectors-*")):
        raise BadInput(f"{out} holds vectors but no {PLAN} that says of what; choose another --out")
    else:
        make_folder(out)
        write_text(path, as_json(plan))


def _embed_shard(out: Path, number: int, texts: Sequence[str], encoder: Encoder, stored_as: StoredAs) -> None:
    dtype = getattr(torch, stored_as)
    prompts = [_prompt(text, encoder) for text in texts]
    rows = [i for i, prompt in enumerate(prompts) if prompt.ids]
    found = encoder.embed_each([prompts[i].ids for i in rows])
    vectors: list[Tensor] = []
    lines = [StoredText(t, text_hash(t), None, p.dropped, p.detail, p.cut) for t, p in zip(texts, prompts, strict=True)]
    for i, vector in zip(rows, found, strict=True):
        if isinstance(vector, ModelError):
            lines[i] = msgspec.structs.replace(lines[i], dropped=FAILED, detail=str(vector))
        elif not torch.isfinite(stored := vector.to(dtype)).all():
            lines[i] = msgspec.structs.replace(lines[i], dropped=OVERFLOW)
        else:
            lines[i] = msgspec.structs.replace(lines[i], row=len(vectors))
            vectors.append(stored)
    matrix = torch.stack(vectors) if vectors else torch.empty(0, encoder.card.dim, dtype=dtype)
    texts_path, vectors_path = names(out, number)
    write_text(texts_path, "".join(msgspec.json.encode(line).decode() + "\n" for line in lines))
    with whole_file(vectors_path) as part:
        part.write_bytes(save({"vectors": matrix}, metadata={"card": encoder.card.digest}))


@dataclass(frozen=True)
class _Prompt:
    """The tokens of a text, or why it has none."""

    ids: list[int]
    dropped: str = ""
    detail: str = ""
    cut: bool = False


def _prompt(text: str, encoder: Encoder) -> _Prompt:
    state = printed_state(text)
    if state is None:
        return _Prompt([], UNREADABLE)
    counts = encoder.tally.counts
    before = counts[CUT_STATE] + counts[CUT_TEXT]
    try:
        ids = encoder.tokens(encoder.text(state))
    except (BadInput, ModelError) as error:
        return _Prompt([], REFUSED, str(error))
    return _Prompt(ids, cut=counts[CUT_STATE] + counts[CUT_TEXT] > before)


def _finish(out: Path, plan: Plan, reading: Manifest) -> Manifest:
    """The account of all shards, whichever run made them, and the index that makes the folder whole."""
    manifest = Manifest(step="embed", command=reading.command, inputs=reading.inputs, rows_made=plan.count)
    for reasons in reading.dropped.values():
        for reason, count in reasons.items():
            manifest.noted[f"pair dropped: {reason}"] = count
    for number in range(plan.shards):
        texts_path, vectors_path = names(out, number)
        lines = [msgspec.json.decode(line, type=StoredText) for line in whole_lines(texts_path)]
        for line in lines:
            if line.row is None:
                manifest.drop(EMBED, line.dropped, line.detail or line.text)
            elif line.cut:
                manifest.note(CUT_STATE, line.text)
        kept = sum(line.row is not None for line in lines)
        manifest.rows_out += kept
        manifest.outputs += [
            FileCard.of(texts_path, shown=texts_path.name, rows=len(lines)),
            FileCard.of(vectors_path, shown=vectors_path.name, rows=kept),
        ]
    manifest.settings = {"stored_as": plan.stored_as, "shard_texts": plan.shard_texts, "dim": plan.card["dim"]}
    manifest.write(out)
    write_text(out / INDEX, as_json(Index(plan, manifest.rows_out, plan.count)))
    return manifest
