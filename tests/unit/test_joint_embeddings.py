"""Embeddings of pairs: what a vector is, the files, what is dropped, and a run that goes on where it was killed."""

from __future__ import annotations

import dataclasses
import json
import resource
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import torch

from burnqed.core.errors import BadInput, ModelError, ModelMismatch, RunError
from burnqed.core.state import ProofState
from burnqed.data.manifest import Manifest
from burnqed.data.printed_states import printed_state
from burnqed.joint.embed import EMBED, OVERFLOW, UNREADABLE, embed_texts, texts_of
from burnqed.joint.embeddings import INDEX, Embeddings
from burnqed.joint.pairs import Group, Negative
from burnqed.models.encoder import Encoder
from burnqed.models.language_model import LanguageModel
from burnqed.prompts.fit import CUT
from burnqed.prompts.formats import prompt_format
from burnqed.testing.tiny_model import make_tiny_model
from burnqed.value.head import HeadValue

TEXTS = [f"n m : Nat\nh : n ≤ {i}\n⊢ n + {i} = m" for i in range(10)] + [
    "case zero\n⊢ 0 = 0\n\ncase succ\nk : Nat\n⊢ k = k"
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return LanguageModel.load(make_tiny_model(tmp_path_factory.mktemp("tiny") / "model"))


def encoder(model: LanguageModel, **settings: int) -> Encoder:
    return Encoder(model, prompt_format("markers"), **settings)


def embedded(texts, model, out, *, shard_texts=4, stored_as="float32", **settings) -> Manifest:
    return embed_texts(
        texts,
        encoder(model, **settings),
        out,
        reading=Manifest(step="test"),
        shard_texts=shard_texts,
        stored_as=stored_as,
    )


class Seen:
    """Stands where the head would, and keeps what it is given."""

    def energies(self, z_state, z_goal):
        self.z_state, self.z_goal = z_state, z_goal
        return torch.zeros(len(z_state))


async def test_vectors_are_those_that_the_value_of_a_search_sees(model, tmp_path):
    embedded(TEXTS, model, tmp_path / "e")
    states = [printed_state(text) for text in TEXTS]
    assert all(isinstance(state, ProofState) for state in states)
    head = Seen()
    await HeadValue(encoder(model), head, run=model.run).energies([(s, states[0]) for s in states])
    found = Embeddings.open(tmp_path / "e", model.card(prompt_format("markers"))).vectors(TEXTS)
    assert found.shape == (11, 32)
    torch.testing.assert_close(found, head.z_state, atol=1e-6, rtol=0)
    torch.testing.assert_close(found[:1].expand(11, -1), head.z_goal, atol=1e-6, rtol=0)


def test_states_and_goals_of_a_pair_are_embedded_once_each():
    negatives = (Negative("u", "⊢ u", "⊢ n", 1, "easy"), Negative("t", "⊢ t", "⊢ n", 1, "hard"))
    groups = [Group("t", "⊢ t", "⊢ p", 1, 1, "train", negatives), Group("t", "⊢ t", "⊢ q", 1, 1, "train", ())]
    assert sorted(texts_of(groups)) == ["⊢ n", "⊢ p", "⊢ q", "⊢ t", "⊢ u"]


def test_a_text_comes_back_whatever_the_order(model, tmp_path):
    embedded(TEXTS, model, tmp_path / "e")
    found = Embeddings.open(tmp_path / "e")
    assert len(found) == 11
    assert torch.equal(found.vectors(TEXTS[::-1]), found.vectors(TEXTS).flip(0))
    assert "⊢ other" not in found


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(model, tmp_path):
    class Killed(Exception):
        pass

    def stop(progress):
        if progress.done >= 8:
            raise Killed

    whole, torn = tmp_path / "whole", tmp_path / "torn"
    embedded(TEXTS, model, whole)
    with pytest.raises(Killed):
        embed_texts(TEXTS, encoder(model), torn, reading=Manifest(step="test"), shard_texts=4, progress=stop)
    with pytest.raises(BadInput, match="not finished"):
        Embeddings.open(torn)
    (torn / "texts-00002.jsonl").write_text("half of a sh")
    before = {p.name: p.stat().st_mtime_ns for p in torn.glob("vectors-*")}
    manifest = embedded(TEXTS, model, torn)
    assert {p.name: p.stat().st_mtime_ns for p in torn.glob("vectors-*") if p.name in before} == before
    assert {p.name for p in torn.iterdir()} == {p.name for p in whole.iterdir()}
    for path in whole.iterdir():
        assert (torn / path.name).read_bytes() == path.read_bytes()
    assert manifest.rows_out == 11


def test_what_cannot_be_read_back_is_dropped_and_counted(model, tmp_path):
    manifest = embedded([*TEXTS, "no turnstile here", "⊢ a\nb"], model, tmp_path / "e")
    assert manifest.rows_out == 11
    assert manifest.dropped_for(EMBED, UNREADABLE) == 2
    found = Embeddings.open(tmp_path / "e")
    assert found.why_not("no turnstile here") == UNREADABLE
    with pytest.raises(BadInput, match=UNREADABLE):
        found.vectors(["no turnstile here"])
    with pytest.raises(BadInput, match="not among the texts"):
        found.vectors(["⊢ unknown"])


def test_states_that_are_shortened_are_counted_over_all_runs(model, tmp_path):
    long = "\n".join(f"h{i} : n = {i}" for i in range(40)) + "\n⊢ False"
    embedded([*TEXTS, long], model, tmp_path / "e", max_tokens=120)
    (tmp_path / "e" / INDEX).unlink()
    assert embedded([*TEXTS, long], model, tmp_path / "e", max_tokens=120).noted[CUT].count == 1


def test_half_precision_is_near_and_half_as_large(model, tmp_path):
    embedded(TEXTS, model, tmp_path / "full")
    embedded(TEXTS, model, tmp_path / "half", stored_as="float16")
    full, half = Embeddings.open(tmp_path / "full"), Embeddings.open(tmp_path / "half")
    assert half.dtype == torch.float16
    torch.testing.assert_close(half.vectors(TEXTS), full.vectors(TEXTS), atol=2e-3, rtol=1e-3)


def test_a_vector_beyond_float16_is_dropped_and_counted(model, tmp_path):
    class Large:
        """The tiny model with vectors a million times as long."""

        def __getattr__(self, name):
            return getattr(model, name)

        def embed(self, prompts, *, keep=False):
            return model.embed(prompts, keep=keep) * 1e6

    manifest = embedded(TEXTS, Large(), tmp_path / "e", stored_as="float16")
    assert manifest.dropped_for(EMBED, OVERFLOW) == 11


def test_vectors_of_another_encoder_are_refused(model, tmp_path):
    embedded(TEXTS, model, tmp_path / "e")
    other = dataclasses.replace(model.card(prompt_format("markers")), dtype="bfloat16")
    with pytest.raises(ModelMismatch, match="dtype is bfloat16"):
        Embeddings.open(tmp_path / "e", other)
    with pytest.raises(ModelMismatch, match="max_tokens"):
        embedded(TEXTS, model, tmp_path / "e", max_tokens=64)


def test_a_shard_of_another_encoder_does_not_get_in(model, tmp_path):
    embedded(TEXTS, model, tmp_path / "e")
    embedded(TEXTS, model, tmp_path / "other", max_tokens=64)
    name = "vectors-00001.safetensors"
    (tmp_path / "e" / name).write_bytes((tmp_path / "other" / name).read_bytes())
    with pytest.raises(ModelMismatch, match="the other shards"):
        Embeddings.open(tmp_path / "e")


def test_a_folder_of_other_texts_is_refused(model, tmp_path):
    embedded(TEXTS, model, tmp_path / "e")
    with pytest.raises(BadInput, match="something else"):
        embedded(TEXTS[:5], model, tmp_path / "e")


def test_a_folder_that_cannot_be_made_is_named(model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"file cannot be made .*; choose another --out"):
        embedded(TEXTS, model, tmp_path / "file")


def test_no_texts_are_bad_input(model, tmp_path):
    with pytest.raises(BadInput, match="no text to embed"):
        embedded([], model, tmp_path / "e")
    with pytest.raises(BadInput, match="holds no embeddings"):
        Embeddings.open(tmp_path / "e")


def test_damaged_numbers_are_named(model, tmp_path):
    from safetensors.torch import load_file, save_file

    embedded(TEXTS, model, tmp_path / "e")
    path = tmp_path / "e" / "vectors-00000.safetensors"
    vectors = load_file(path)["vectors"].clone()
    vectors[2, 5] = float("nan")
    save_file({"vectors": vectors}, path, metadata={"card": model.card(prompt_format("markers")).digest})
    with pytest.raises(ModelError, match="n ≤ 2"):
        Embeddings.open(tmp_path / "e").vectors(TEXTS)
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(BadInput, match="cannot be read"):
        Embeddings.open(tmp_path / "e")


def test_a_full_disk_leaves_no_half_shard(model, tmp_path):
    """In a process that may write files of 4 KB at most; the vectors take more."""
    folder = make_tiny_model(tmp_path / "model")
    code = f"""
import resource, signal, sys
from pathlib import Path
from burnqed.core.errors import RunError
from burnqed.data.manifest import Manifest
from burnqed.joint.embed import embed_texts
from burnqed.models.encoder import Encoder
from burnqed.models.language_model import LanguageModel
from burnqed.prompts.formats import prompt_format
encoder = Encoder(LanguageModel.load(Path({str(folder)!r})), prompt_format("markers"))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, {resource.getrlimit(resource.RLIMIT_FSIZE)[1]}))
try:
    embed_texts([f"⊢ {{i}} = 0" for i in range(40)], encoder, Path({str(tmp_path / "e")!r}), reading=Manifest(step="t"))
except RunError as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "could not be written" in said
    assert "vectors-00000" in said or "texts-00000" in said
    assert not list(Path(tmp_path / "e").glob("*part*")) + list(Path(tmp_path / "e").glob("vectors-*"))


def test_the_command_embeds_a_file_of_pairs(model, tmp_path):
    folder = make_tiny_model(tmp_path / "model")
    row = {
        "tier": "hard",
        "why": "refuted",
        "theorem": "t",
        "goal": "n : Nat\n⊢ n = n",
        "positive": "⊢ 1 = 1",
        "depth": 1,
        "remaining": 1,
        "negative_theorem": "t",
        "negative_goal": "n : Nat\n⊢ n = n",
        "negative": "⊢ 1 = 2",
        "negative_depth": 1,
        "parent": "",
        "split": "train",
        "searches": ["a", "b"],
    }
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_bytes(msgspec.json.encode(row) + b"\n{\n")
    out = tmp_path / "out"
    from burnqed.cli.embed import embed

    embed([pairs], folder, out, batch_tokens=256, shard_texts=2)
    found = Embeddings.open(out)
    assert len(found) == 3
    assert found.card == model.card(prompt_format("markers"))
    noted = json.loads((out / "manifest.json").read_text())["noted"]
    assert noted["pair dropped: truncated JSON"]["count"] == 1
