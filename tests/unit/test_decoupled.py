"""Training an energy head on frozen embeddings: that it learns, what it leaves, how it resumes, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn.utils import parametrize

from burnqed.core.encoder_card import EncoderCard
from burnqed.core.errors import BadInput, ModelError, ModelMismatch, RunError
from burnqed.core.tally import Tally
from burnqed.data.manifest import Manifest
from burnqed.joint.decoupled import NOTHING_HELD_OUT, SMALL, HeadTraining
from burnqed.joint.decoupled_config import DecoupledConfig
from burnqed.joint.ebm_head import GoalConditionedEnergyHead, HeadConfig
from burnqed.joint.embed import texts_of
from burnqed.joint.embeddings import INDEX, PLAN, Embeddings, Index, Plan, StoredText, as_json, text_hash
from burnqed.joint.energy_head import load_head
from burnqed.joint.head_data import CROSSING, NO_VECTOR, OTHER_SPLIT, Epochs, GroupTable, Vectors, divided
from burnqed.joint.head_report import leave
from burnqed.joint.head_step import Batch, batch_energies, spectral_norms
from burnqed.joint.losses import chance
from burnqed.joint.pairs import Group, Negative, read_groups
from burnqed.joint.red_lines import Rule
from burnqed.train.journal import read_journal

DIM = 16
CARD = EncoderCard(model="m", tokenizer="t", prompt_format="markers", dim=DIM, max_tokens=512)
QUICK = {
    "hidden": (32, 16),
    "groups": 16,
    "negatives": 3,
    "steps": 60,
    "eval_every": 10,
    "log_every": 10,
    "device": "cpu",
    "optimizer": {"head_lr": 2e-2, "weight_decay": 0.01},
}


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Such small products only wait for each other on several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def made_groups(theorems=30, *, splits=True) -> list[Group]:
    """Groups of texts; a third of the theorems is held out."""
    groups = []
    for t in range(theorems):
        split = "valid" if splits and t % 3 == 0 else "train"
        others = [f"t{u}" for u in range(theorems) if u != t and (not splits or u % 3 == t % 3 or (u % 3 and t % 3))]
        negatives = [Negative(f"t{t}", f"⊢ t{t}", f"⊢ bad {t} {i}", i, "hard") for i in range(3)]
        negatives += [Negative(u, f"⊢ {u}", f"⊢ bad {u[1:]} 0", 0, "easy") for u in others[:2]]
        groups += [Group(f"t{t}", f"⊢ t{t}", f"⊢ good {t} {p}", p, 3 - p, split, tuple(negatives)) for p in range(2)]
    return groups


def write_embeddings(folder: Path, texts, vectors: torch.Tensor, card=CARD) -> Embeddings:
    """A finished folder of one shard, as `burnqed embed` leaves it."""
    folder.mkdir(parents=True)
    plan = Plan(dataclasses.asdict(card), "x", len(texts), max(1, len(texts)), "float32")
    lines = [msgspec.json.encode(StoredText(t, text_hash(t), i)) for i, t in enumerate(texts)]
    (folder / "texts-00000.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    save_file({"vectors": vectors}, folder / "vectors-00000.safetensors", metadata={"card": card.digest})
    (folder / PLAN).write_text(as_json(plan))
    (folder / INDEX).write_text(as_json(Index(plan, len(texts), len(texts))))
    return Embeddings.open(folder)


def vectors_of(texts, *, signal=2.0, seed=0) -> torch.Tensor:
    """Noise, and on top of it a direction that bad states have."""
    z = torch.randn(len(texts), DIM, generator=torch.Generator().manual_seed(seed))
    z[:, 0] += torch.tensor([signal if "bad" in t else -signal for t in texts])
    return z


@pytest.fixture
def groups() -> list[Group]:
    return made_groups()


@pytest.fixture
def embeddings(groups, tmp_path) -> Embeddings:
    texts = texts_of(groups)
    return write_embeddings(tmp_path / "embedded", texts, vectors_of(texts))


def training(groups, embeddings, out, *, resume=False, stop=lambda: False, tally=None, **settings) -> HeadTraining:
    config = DecoupledConfig(**{**QUICK, **settings})
    return HeadTraining(groups, embeddings, config, out, resume=resume, stop=stop, tally=tally)


def table_of(groups) -> tuple[GroupTable, torch.Tensor]:
    texts = texts_of(groups)
    with tempfile.TemporaryDirectory() as folder:
        embeddings = write_embeddings(Path(folder) / "e", texts, vectors_of(texts))
        vectors = Vectors(texts, embeddings, torch.device("cpu"))
    return GroupTable(groups, {"hard": 2, "easy": 1}, vectors, seed=0, tally=Tally()), vectors.matrix


def plain(head, matrix, batch: Batch) -> torch.Tensor:
    states, goals = batch.states[batch.state_of.flatten()], batch.goals[batch.goal_of.flatten()]
    return head(matrix[states], matrix[goals]).view(batch.state_of.shape)


# --- the step


@pytest.mark.parametrize("hidden", [(32, 16, 8), (24,)])
def test_energies_in_blocks_are_those_of_the_head_with_their_gradients(groups, hidden):
    table, matrix = table_of(groups)
    batch = table.batch(np.arange(12), table.sampler, 3, step=0)
    torch.manual_seed(0)
    head = GoalConditionedEnergyHead(HeadConfig(dim=DIM, hidden=hidden)).double().eval()
    matrix = matrix.double()
    found = {}
    for name, work in (("blocks", batch_energies), ("plain", plain)):
        head.zero_grad()
        with parametrize.cached():
            energies = work(head, matrix, batch)
        energies.square().sum().backward()
        found[name] = (energies.detach().float(), [p.grad.clone() for p in head.parameters()])
    torch.testing.assert_close(found["blocks"][0], found["plain"][0], atol=1e-5, rtol=1e-5)
    for mine, theirs in zip(found["blocks"][1], found["plain"][1], strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-4)


def test_the_first_column_is_the_positive_with_its_goal(groups):
    table, _ = table_of(groups)
    batch = table.batch(np.array([5, 0, 9]), table.sampler, 3, step=4)
    texts = texts_of(groups)
    positives = [texts[i] for i in batch.states[batch.state_of[:, 0]]]
    goals = [[texts[i] for i in row] for row in batch.goals[batch.goal_of]]
    states = [[texts[i] for i in row] for row in batch.states[batch.state_of]]
    assert positives == [groups[i].positive for i in (5, 0, 9)]
    assert all("bad" in state for row in states for state in row[1:])
    theorem_of = [[state.split()[2] for state in row] for row in states]
    assert [[goal.removeprefix("⊢ t") for goal in row] for row in goals] == theorem_of
    assert batch.remaining.tolist() == [groups[i].remaining for i in (5, 0, 9)]


def test_what_is_dropped_out_comes_from_the_generator_alone(groups):
    table, matrix = table_of(groups)
    batch = table.batch(np.arange(8), table.sampler, 3, step=0)
    head = GoalConditionedEnergyHead(HeadConfig(dim=DIM, hidden=(32, 16), dropout=0.5)).train()
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(int(time.time_ns()) % 1000)
        with parametrize.cached(), torch.no_grad():
            before = {name: t.clone() for name, t in head.state_dict().items()}
            found.append(batch_energies(head, matrix, batch, generator=torch.Generator().manual_seed(seed)))
            head.load_state_dict(before)
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_every_group_comes_once_in_an_epoch():
    epochs = Epochs(10, 4, seed=0)
    assert epochs.steps == 3
    first, second = (np.concatenate([epochs.numbers(step) for step in steps]) for steps in (range(3), range(3, 6)))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first.tolist() != second.tolist()
    assert epochs.numbers(1).tolist() == first[4:8].tolist()


# --- what is learned


def test_a_head_learns_to_tell_states_of_held_out_theorems_apart(groups, embeddings, tmp_path):
    run = training(groups, embeddings, tmp_path / "run", steps=200)
    ended = run.run()
    assert ended.why in ("finished", "early")
    assert ended.chance == pytest.approx(chance(3))
    assert ended.metrics["valid.loss"] < 0.3 * ended.chance
    assert ended.metrics["ebm.rank_1"] >= 0.85
    rows = read_journal(tmp_path / "run")
    assert all(row["loss.chance"] == pytest.approx(math.log(4)) for row in rows)
    assert all(row["temperature"] > 0 for row in rows)
    assert rows[0]["valid.loss"] > rows[-1]["valid.loss"]


def test_noise_stays_at_chance_on_held_out_theorems(groups, tmp_path):
    texts = texts_of(groups)
    noise = write_embeddings(tmp_path / "noise", texts, vectors_of(texts, signal=0.0))
    ended = training(groups, noise, tmp_path / "run", steps=40, patience=0).run()
    assert ended.metrics["ebm.rank_1"] < 0.6
    assert ended.metrics["valid.loss"] > 0.8 * ended.chance


@pytest.mark.parametrize("settings", [{}, {"loss": "margin"}, {"optimizer": {"head_lr": 5e-2, "weight_decay": 0.1}}])
def test_every_layer_of_the_best_head_has_norm_one(groups, embeddings, tmp_path, settings):
    run = training(groups, embeddings, tmp_path / "run", **settings)
    run.run()
    head = run.best_head
    for layer in head.layers:
        largest = torch.linalg.svdvals(layer.weight.detach().double())[0].item()
        assert largest == pytest.approx(1.0, abs=0.01)
    assert spectral_norms(head) == pytest.approx([1.0] * 3, abs=0.01)


def test_bfloat16_keeps_the_norms_and_learns_too(groups, embeddings, tmp_path):
    run = training(groups, embeddings, tmp_path / "run", steps=150, matmul="bfloat16")
    assert run.run().metrics["ebm.rank_1"] >= 0.85
    assert spectral_norms(run.best_head) == pytest.approx([1.0] * 3, abs=0.01)


def test_a_margin_freezes_the_temperature_and_has_no_chance(groups, embeddings, tmp_path):
    run = training(groups, embeddings, tmp_path / "run", loss="margin", margin=0.5, temperature=0.7, steps=150)
    ended = run.run()
    assert ended.chance is None
    assert run.head.temperature.item() == pytest.approx(0.7)
    assert ended.metrics["ebm.pairwise"] > 0.9
    assert "loss.chance" not in read_journal(tmp_path / "run")[0]


def test_the_temperature_is_learned_under_info_nce(groups, embeddings, tmp_path):
    run = training(groups, embeddings, tmp_path / "run")
    run.run()
    assert run.head.temperature.item() != pytest.approx(1.0, abs=1e-3)


def test_decay_is_on_matrices_alone(groups, embeddings, tmp_path):
    run = training(groups, embeddings, tmp_path / "run")
    decays = {p.ndim: group["weight_decay"] for group in run._optimizer.param_groups for p in group["params"]}
    assert decays == {0: 0.0, 1: 0.0, 2: 0.01}


def test_regression_of_depth_orders_positives_by_what_remains(groups, tmp_path):
    """The second coordinate says how much remains; without the auxiliary loss nothing asks for it."""
    groups = [dataclasses.replace(g, remaining=40 if g.positive.endswith("0") else 1) for g in groups]
    texts = texts_of(groups)
    z = vectors_of(texts)
    far = {g.positive: g.remaining > 1 for g in groups}
    z[:, 1] = torch.tensor([0.0 if t not in far else 3.0 if far[t] else -3.0 for t in texts])
    embeddings = write_embeddings(tmp_path / "embedded", texts, z)

    def slope(weight: float) -> float:
        run = training(groups, embeddings, tmp_path / f"run{weight}", depth_weight=weight, steps=200, patience=0)
        run.run()
        energies = run.held_out.energies(run.head, run._matrix)[:, 0]
        return float(np.corrcoef(energies.numpy(), [g.remaining for g in run.held_out.groups])[0, 1])

    assert slope(5.0) > 0.7
    assert slope(0.0) < 0.5


def test_it_ends_early_and_keeps_the_best_head(groups, tmp_path):
    """What is learned of noise is wrong on held-out theorems, so it only gets worse."""
    texts = texts_of(groups)
    noise = write_embeddings(tmp_path / "noise", texts, vectors_of(texts, signal=0.0))
    run = training(groups, noise, tmp_path / "run", steps=2000, patience=3)
    ended = run.run()
    assert ended.why == "early"
    assert ended.step == ended.best_step + 3 * 10
    losses = {r["step"]: r["valid.loss"] for r in read_journal(tmp_path / "run")}
    assert ended.best_step == min(losses, key=losses.get)
    assert ended.metrics["valid.loss"] == pytest.approx(losses[ended.best_step], abs=0.02)


def test_tiers_change_when_their_time_comes(groups, embeddings, tmp_path):
    seen = []
    tiers = ((0.0, {"easy": 1}), (0.5, {"hard": 1}))
    run = training(groups, embeddings, tmp_path / "run", tiers=tiers, steps=4, negatives=2)
    table = run._table
    inner = table.of

    def watched(numbers, drawn):
        seen.append({table.sampler.candidates[i].tier for i in drawn.flatten()})
        return inner(numbers, drawn)

    table.of = watched
    run.run()
    assert seen == [{"easy"}, {"easy"}, {"hard"}, {"hard"}]


# --- resuming


def final(run: HeadTraining) -> dict[str, torch.Tensor]:
    return {name: t.clone() for name, t in run.head.state_dict().items()}


@pytest.mark.parametrize("settings", [{}, {"loss": "margin", "depth_weight": 0.3, "save_every": 7}])
def test_a_run_that_is_stopped_and_resumed_ends_with_the_same_bits(groups, embeddings, tmp_path, settings):
    whole = training(groups, embeddings, tmp_path / "whole", **settings)
    expected = whole.run()
    steps = iter(range(1, 1000))
    torn = training(groups, embeddings, tmp_path / "torn", stop=lambda: next(steps) == 23, **settings)
    ended = torn.run()
    assert (ended.why, ended.step) == ("stopped", 23)
    resumed = training(groups, embeddings, tmp_path / "torn", resume=True, **settings)
    again = resumed.run()
    assert (again.why, again.step, again.metrics) == (expected.why, expected.step, expected.metrics)
    for name, tensor in final(whole).items():
        assert torch.equal(tensor, final(resumed)[name]), name
    without = [{k: v for k, v in r.items() if k != "pairs_per_s"} for r in read_journal(tmp_path / "whole")]
    assert [{k: v for k, v in r.items() if k != "pairs_per_s"} for r in read_journal(tmp_path / "torn")] == without


def test_a_run_goes_on_only_with_its_own_settings_pairs_and_encoder(groups, embeddings, tmp_path):
    out = tmp_path / "run"
    training(groups, embeddings, out, steps=4).run()
    with pytest.raises(BadInput, match="holds a run already"):
        training(groups, embeddings, out, steps=4)
    with pytest.raises(ModelMismatch, match=r"margin = 1\.0, not 2\.0"):
        training(groups, embeddings, out, resume=True, steps=4, margin=2.0)
    with pytest.raises(ModelMismatch, match="other pairs"):
        training(groups[:-1], embeddings, out, resume=True, steps=4)
    texts = texts_of(groups)
    card = dataclasses.replace(CARD, model="another")
    other = write_embeddings(tmp_path / "other", texts, vectors_of(texts), card)
    with pytest.raises(ModelMismatch, match="model is another, not m"):
        training(groups, other, out, resume=True, steps=4)


def test_a_full_disk_is_told_and_the_checkpoint_before_stays(groups, embeddings, tmp_path):
    out = tmp_path / "run"
    run = training(groups, embeddings, out, save_every=10)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    steps = iter(range(1, 1000))

    def fill() -> bool:
        if next(steps) == 15:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        return False

    run._stop = fill
    try:
        with pytest.raises(RunError, match="could not be written"):
            run.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert [p.name for p in (out / "checkpoints").iterdir()] == ["step-00000010"]
    assert training(groups, embeddings, out, resume=True, save_every=10).run().step == 60


# --- bad input


def test_an_empty_set_is_bad_input(embeddings, tmp_path):
    with pytest.raises(BadInput, match="no groups"):
        training([], embeddings, tmp_path / "run")


def test_all_positive_labels_are_bad_input(groups, embeddings, tmp_path):
    bare = [dataclasses.replace(g, negatives=()) for g in groups]
    with pytest.raises(BadInput, match="all labels of the train split are positive"):
        training(bare, embeddings, tmp_path / "run")


def test_a_tiny_set_works_with_a_note(groups, embeddings, tmp_path):
    tally = Tally()
    one = [g for g in groups if g.theorem == "t1"]
    ended = training(one, embeddings, tmp_path / "run", steps=3, tally=tally).run()
    assert ended.metrics == {}
    assert tally.counts[SMALL] == 1
    assert tally.counts[NOTHING_HELD_OUT] == 1


def test_texts_that_were_never_embedded_are_bad_input(groups, embeddings, tmp_path):
    more = [*groups, dataclasses.replace(groups[0], positive="⊢ new")]
    with pytest.raises(BadInput, match="no vector for “⊢ new”"):
        training(more, embeddings, tmp_path / "run")


def test_texts_that_were_dropped_when_embedding_leave_with_their_groups(groups, tmp_path):
    texts = texts_of(groups)
    folder = tmp_path / "embedded"
    write_embeddings(folder, texts, vectors_of(texts))
    gone = {groups[2].positive, "⊢ bad 1 1"}
    lines = [
        msgspec.json.decode(line, type=StoredText) for line in (folder / "texts-00000.jsonl").read_bytes().splitlines()
    ]
    lines = [msgspec.structs.replace(x, row=None, dropped="unreadable") if x.text in gone else x for x in lines]
    (folder / "texts-00000.jsonl").write_bytes(b"".join(msgspec.json.encode(x) + b"\n" for x in lines))
    tally = Tally()
    run = training(groups, Embeddings.open(folder), tmp_path / "run", steps=2, tally=tally)
    assert tally.counts[NO_VECTOR] == 2
    assert run.groups + run.valid_groups == len(groups) - 1


def test_vectors_that_are_not_finite_are_named(groups, tmp_path):
    texts = texts_of(groups)
    z = vectors_of(texts)
    z[7, 3] = float("inf")
    with pytest.raises(ModelError, match="not finite"):
        training(groups, write_embeddings(tmp_path / "e", texts, z), tmp_path / "run")


def test_a_loss_that_is_not_finite_aborts_before_a_checkpoint(groups, embeddings, tmp_path):
    run = training(groups, embeddings, tmp_path / "run", rules=(), save_every=5)
    with torch.no_grad():
        run.head.layers[0].bias.fill_(float("nan"))
    with pytest.raises(ModelError, match="not finite"):
        run.run()
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_red_line_ends_the_run_in_order(groups, embeddings, tmp_path):
    rules = (Rule(metric="temperature", below=2.0, after_step=15, reaction="stop", why="for the test"),)
    ended = training(groups, embeddings, tmp_path / "run", rules=rules).run()
    assert ended.step == 20
    assert "for the test" in ended.why
    assert (tmp_path / "run" / "checkpoints" / "step-00000020").exists()


def test_no_theorem_is_on_both_sides_of_a_split_by_theorem():
    tally = Tally()
    train, valid = divided(made_groups(splits=False), valid_share=0.2, seed=0, tally=tally)
    assert len({g.theorem for g in valid}) == 6
    mine, theirs = (
        {n.theorem for g in side for n in g.negatives} | {g.theorem for g in side} for side in (train, valid)
    )
    assert not mine & theirs
    assert tally.counts[CROSSING] > 0


def test_other_splits_are_neither_trained_on_nor_measured(groups):
    tally = Tally()
    train, valid = divided(
        [dataclasses.replace(g, split="test") if g.theorem in ("t0", "t1") else g for g in groups],
        valid_share=0.2,
        seed=0,
        tally=tally,
    )
    assert tally.counts[OTHER_SPLIT] == 4
    assert not {g.theorem for g in [*train, *valid]} & {"t0", "t1"}


@pytest.mark.parametrize(
    "tiers", [((0.0, {"soft": 1}),), ((0.5, {"hard": 1}), (0.2, {"hard": 1})), ((0.0, {"hard": 0}),)]
)
def test_tiers_that_make_no_sense_are_refused(tiers):
    with pytest.raises(ValueError, match="tier"):
        DecoupledConfig(tiers=tiers)


# --- what is left behind, and the command


def test_the_head_that_is_left_is_the_best_one_and_scores_like_it(groups, embeddings, tmp_path):
    out = tmp_path / "run"
    run = training(groups, embeddings, out)
    ended = run.run()
    report = leave(run, ended, out, reading=Manifest(step="test"), embeddings=embeddings.folder)
    assert json.loads((out / "report.json").read_text()) == json.loads(json.dumps(report))
    assert set(report["baselines"]) == {"length", "goals", "depth"}
    assert report["valid"]["ebm.rank_1"] > report["baselines"]["length"]["ebm.rank_1"]
    head = load_head(out / "head", card=CARD)
    z = vectors_of(texts_of(groups))[:6]
    with torch.no_grad():
        torch.testing.assert_close(head.energies(z, z), run.best_head(z, z), atol=1e-5, rtol=1e-5)


def write_pairs(path: Path, groups) -> Path:
    rows = [
        {
            "tier": n.tier,
            "why": "refuted",
            "theorem": g.theorem,
            "goal": g.goal,
            "positive": g.positive,
            "depth": g.depth,
            "remaining": g.remaining,
            "negative_theorem": n.theorem,
            "negative_goal": n.goal,
            "negative": n.state,
            "negative_depth": n.depth,
            "parent": "",
            "split": g.split,
            "searches": ["a", "b"],
        }
        for g in groups
        for n in g.negatives
    ]
    path.write_bytes(b"".join(msgspec.json.encode(r) + b"\n" for r in rows))
    return path


def test_sigterm_saves_and_ends_and_the_run_can_be_resumed(groups, embeddings, tmp_path):
    pairs = write_pairs(tmp_path / "pairs.jsonl", groups)
    out = tmp_path / "run"
    code = "import sys, typer; from burnqed.cli.train_ebm import ebm; app = typer.Typer(); app.command()(ebm); app()"
    options = [
        "--pairs",
        pairs,
        "--embeddings",
        embeddings.folder,
        "--out",
        out,
        "--device",
        "cpu",
        "--set",
        "patience=0",
    ]
    options += ["--set", "hidden=[32,16]", "--set", "groups=16", "--set", "log_every=10", "--steps", "100000"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, options)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (out / "metrics.jsonl").exists():
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    said, told = process.communicate(timeout=60)
    assert process.returncode == 3, told
    assert "Go on with --resume" in said
    (checkpoint,) = (out / "checkpoints").iterdir()
    step = json.loads((checkpoint / "state.json").read_text())["step"]
    assert 0 < step < 100000
    assert (out / "head" / "head.safetensors").exists()
    config = DecoupledConfig(hidden=(32, 16), groups=16, log_every=10, steps=100000, patience=0, device="cpu")
    resumed = HeadTraining(
        read_groups([pairs], Manifest(step="test")), embeddings, config, out, resume=True, stop=lambda: True
    )
    assert resumed.run().step == step + 1
