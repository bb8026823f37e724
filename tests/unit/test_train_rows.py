"""Rows as tokens: what is learned is the tactic and its end, and every row is accounted for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from burnqed.core.errors import BadInput
from burnqed.data.manifest import Manifest
from burnqed.data.rows import TrainingRow
from burnqed.testing.tiny_model import LEAN_LINES, make_tokenizer
from burnqed.train.lm_loss import loss_places
from burnqed.train.rows import NO_COMPLETION, TOO_LONG, read_training_rows, require_rows, row_files, tokenized


def row(state: str = "n : ℕ\n⊢ n + 0 = n", tactic: str = "simp", **other: object) -> TrainingRow:
    known: dict[str, object] = {"task": "tactic", "split": "train", "prompt_format": "markers", "theorem": "foo"}
    known |= {"source": "test", "depth": 0, "prompt": f"[GOAL]{state}[PROOFSTEP]", "completion": tactic}
    return msgspec.convert(known | other, TrainingRow)


STATES, TACTICS = LEAN_LINES[:5], LEAN_LINES[5:]
ROWS = [row(state, tactic) for state in STATES for tactic in TACTICS]


def write(path: Path, rows: list[TrainingRow], *junk: str) -> Path:
    path.write_bytes(b"".join(msgspec.json.encode(r) + b"\n" for r in rows) + "".join(f"{j}\n" for j in junk).encode())
    return path


def manifest_of(rows: list[TrainingRow]) -> Manifest:
    return Manifest(step="test", rows_in=len(rows))


@pytest.mark.parametrize("bos", [False, True])
@pytest.mark.parametrize("markers", [False, True])
def test_the_loss_is_on_the_tactic_and_its_end_and_on_nothing_else(bos, markers):
    """The labels are read back as text, with a tokenizer that knows nothing of starts and places."""
    tokenizer = make_tokenizer(bos=bos, markers=markers)
    found = tokenized(ROWS, tokenizer, max_tokens=500, manifest=manifest_of(ROWS))
    assert len(found) == len(ROWS)
    places = list(zip(*loss_places([r.start for r in found], [len(r.ids) for r in found]), strict=True))
    for number, (original, made) in enumerate(zip(ROWS, found, strict=True)):
        columns = [column for r, column in places if r == number]
        labels = [made.ids[column + 1] for column in columns]
        assert tokenizer.decode(labels) == original.completion + tokenizer.eos_token
        unlearned = [i for at, i in enumerate(made.ids) if at - 1 not in columns]
        assert tokenizer.decode(unlearned) == (tokenizer.bos_token if bos else "") + original.prompt
        # A label is predicted from the place before it, the first one from the prompt's last token.
        assert columns == list(range(made.start - 1, len(made.ids) - 1))


@pytest.mark.parametrize("bos", [False, True])
def test_of_a_whole_row_everything_is_learned_but_the_first_token(bos):
    (made,) = tokenized([row()], make_tokenizer(bos=bos), max_tokens=500, manifest=manifest_of([row()]))
    assert made.first_label == made.start > 1
    whole = replace(made, whole=True)
    assert whole.first_label == 1
    assert (whole.ids, whole.prompt) == (made.ids, made.prompt), "it is the same row"
    _, columns = loss_places([whole.first_label], [len(whole.ids)])
    assert [whole.ids[column + 1] for column in columns] == list(made.ids[1:])


def test_every_row_stays_or_is_counted_under_its_reason():
    rows = [row(), row(tactic=""), row("⊢ " + "a ∧ " * 200 + "b"), row(task="premise"), row(tactic="omega")]
    manifest = manifest_of(rows)
    found = tokenized(rows, make_tokenizer(), max_tokens=100, manifest=manifest, tasks=["tactic"])
    assert [r.task for r in found] == ["tactic", "tactic"]
    manifest.check()
    assert manifest.rows_out == 2
    assert manifest.dropped_for("train", TOO_LONG) == 1
    assert manifest.dropped_for("train", NO_COMPLETION) == 1
    assert manifest.dropped_for("train", "task premise not wanted") == 1


def test_a_row_as_long_as_the_limit_stays():
    (made,) = tokenized([row()], make_tokenizer(), max_tokens=500, manifest=manifest_of([row()]))
    for limit, stays in ((len(made.ids), 1), (len(made.ids) - 1, 0)):
        assert len(tokenized([row()], make_tokenizer(), max_tokens=limit, manifest=manifest_of([row()]))) == stays


def test_files_are_read_by_split_and_bad_lines_are_counted_with_their_place(tmp_path):
    path = write(
        tmp_path / "sft_train.jsonl", [row(), row(split="valid"), row(tactic="omega")], '{"prompt": 1}', "junk"
    )
    manifest = Manifest(step="test")
    found = read_training_rows([path], manifest, split="train")
    assert [r.completion for r in found] == ["simp", "omega"]
    assert (manifest.rows_in, manifest.rows_dropped) == (4, 2)
    assert [card.path for card in manifest.inputs] == [str(path)]
    (examples,) = {tuple(c.examples) for reasons in manifest.dropped.values() for c in list(reasons.values())[:1]}
    assert f"{path}:4" in examples[0]
    tokenized(found, make_tokenizer(), max_tokens=100, manifest=manifest)
    manifest.check()


def test_rows_of_different_formats_are_not_mixed(tmp_path):
    files = [
        write(tmp_path / "a.jsonl", [row()]),
        write(tmp_path / "b.jsonl", [row(prompt_format="marker-text")]),
    ]
    with pytest.raises(BadInput, match=r"markers \(.*a\.jsonl:1\), marker-text \(.*b\.jsonl:1\)"):
        read_training_rows(files, Manifest(step="test"), split="train")


def test_of_a_folder_the_files_of_the_split_are_taken(tmp_path):
    for name in ("sft_train.jsonl", "sft_train_2.jsonl", "sft_valid.jsonl", "other.jsonl"):
        write(tmp_path / name, [row()])
    assert [p.name for p in row_files([tmp_path], "train")] == ["sft_train.jsonl", "sft_train_2.jsonl"]
    assert [p.name for p in row_files([tmp_path / "other.jsonl", tmp_path], "valid")] == [
        "other.jsonl",
        "sft_valid.jsonl",
    ]
    with pytest.raises(BadInput, match="no file or folder"):
        row_files([tmp_path / "missing"], "train")


def test_nothing_left_is_an_error_that_says_why():
    manifest = manifest_of([row(tactic="")])
    found = tokenized([row(tactic="")], make_tokenizer(), max_tokens=100, manifest=manifest)
    with pytest.raises(BadInput, match=f"nothing to train on in data/rows.*{NO_COMPLETION}"):
        require_rows(found, manifest, what="data/rows")


def test_a_tokenizer_without_an_end_is_refused():
    tokenizer = make_tokenizer()
    tokenizer.eos_token = None
    with pytest.raises(BadInput, match="no end-of-text token"):
        tokenized([row()], tokenizer, max_tokens=100, manifest=manifest_of([row()]))
