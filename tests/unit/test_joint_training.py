from __future__ import annotations

import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import training_lab as lab
import transformers
from torch.nn import functional

from burnqed.core.errors import BadInput, ModelError, ModelMismatch
from burnqed.core.tally import Tally
from burnqed.joint.config import ContrastiveConfig, JointConfig, at_share, tiers_at
from burnqed.joint.dataset import JointDataset
from burnqed.joint.energy_head import load_head
from burnqed.joint.finish import finish
from burnqed.joint.fitting import load_of
from burnqed.joint.model import Weights, most_padding
from burnqed.joint.prepare import Data, prepare
from burnqed.joint.train import Training
from burnqed.models.encoder import Encoder
from burnqed.models.language_model import LanguageModel
from burnqed.prompts.formats import prompt_format
from burnqed.train.backbone import trainable
from burnqed.train.checkpoint import latest_checkpoint
from burnqed.train.journal import read_journal, read_red_lines
from burnqed.train.lm_loss import PLACES
from burnqed.train.report import write_report
from burnqed.train.workers import Workers

FORM = prompt_format("markers")


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # tiny matrices: threads would only wait for each other
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with files to train on and a model."""
    folder = tmp_path_factory.mktemp("joint")
    lab.write(folder)
    lab.model(folder / "model")
    return folder


def settings(place: Path, **changes) -> JointConfig:
    """Small and quick; dotted keys change it."""
    plain = {
        "model": {"base": str(place / "model"), "device": "cpu"},
        "lora": {"rank": 4},
        "batch": {"rows": 8, "max_tokens": 96},
        "head": {"hidden": (16, 8), "dropout": 0.1},
        "contrastive": {"negatives": 3, "groups": 4, "head_first": 0.0},
        "steps": 6,
        "eval_every": 100,
        "save_every": 100,
        "monitor": {"every": 100},
        "export": False,
    }
    for key, value in changes.items():
        target = plain
        *sections, name = key.split("__")
        for section in sections:
            target = target.setdefault(section, {})
        target[name] = value
    return JointConfig.model_validate(plain)


def train(place: Path, out: Path, config: JointConfig, *, kind: str = "joint", data: Data | None = None, **options):
    """A whole run; the training with its weights, and how it ended."""
    both = Data(rows=(place,), pairs=(place,))
    training = Training(config, data or both, out, kind=kind, workers=Workers(device="cpu"), **options)
    return training, training.run()


def weights(training: Training) -> dict[str, torch.Tensor]:
    return {n: p.detach().clone() for n, p in trainable(training.prover.backbone).items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def prepared(place, config, tmp_path, **options):
    return prepare(config, Data((place,), (place,)), tmp_path, Workers(device="cpu"), with_head=True, **options)


class TestTwoLosses:
    def test_lambda_0_is_supervised_fine_tuning_to_the_bit(self, place, tmp_path):
        joint, _ = train(place, tmp_path / "joint", settings(place, contrastive__weight=0.0))
        sft, _ = train(place, tmp_path / "sft", settings(place), kind="sft")
        assert same(weights(joint), weights(sft))

    def test_and_with_lambda_it_is_not(self, place, tmp_path):
        joint, _ = train(place, tmp_path / "joint", settings(place))
        sft, _ = train(place, tmp_path / "sft", settings(place), kind="sft")
        assert not same(weights(joint), weights(sft))

    def test_sft_weight_0_is_contrastive_training_alone(self, place, tmp_path):
        config = settings(place, sft_weight=0.0)
        with_rows, _ = train(place, tmp_path / "a", config)
        without, _ = train(place, tmp_path / "b", config, data=Data(pairs=(place,)))
        assert same(weights(with_rows), weights(without))
        assert "loss.sft" not in read_journal(tmp_path / "a")[1]

    @pytest.mark.parametrize("loss", ["sft", "contrastive", "depth", "views"])
    @pytest.mark.parametrize("carry", ["hardest", "all"])
    def test_gradients_of_each_loss_reach_every_lora_matrix(self, place, tmp_path, loss, carry):
        changes = {"contrastive__depth_weight": 1.0, "contrastive__view_weight": 1.0, "contrastive__carry": carry}
        ready = prepared(place, settings(place, **changes), tmp_path)
        matrices = trainable(ready.prover.backbone)
        for name, p in matrices.items():
            if "lora_B" in name:  # zero at first, and then A has no gradient
                torch.nn.init.normal_(p, std=0.05, generator=torch.Generator().manual_seed(len(name)))
        only = Weights(**{name: float(name == loss) for name in ("sft", "contrastive", "depth", "views")})
        [micro] = ready.dataset.step(0, contrastive=True).micros
        ready.prover.eval()(micro, only).total.backward()
        assert len(matrices) == 2 * 2 * 7
        for name, p in matrices.items():
            assert p.grad is not None, name
            assert p.grad.abs().max() > 0, name

    def test_the_tactics_loss_is_that_of_a_plain_pass(self, place, tmp_path):
        ready = prepared(place, settings(place), tmp_path)
        [micro] = ready.dataset.step(0, contrastive=False).micros
        found = ready.prover(micro, Weights(1.0, 0.0, 0.0, 0.0)).sft
        expected = 0.0
        for row in micro.rows:
            ids = torch.tensor([row.ids])
            logs = ready.backbone.model(input_ids=ids).logits[0, :-1].double().log_softmax(dim=-1)
            for k in range(row.start, len(row.ids)):
                expected -= logs[k - 1, row.ids[k]].item()
        assert found.item() == pytest.approx(expected, rel=1e-5)
        eos = ready.backbone.tokenizer.eos_token_id
        assert all(row.ids[-1] == eos for row in micro.rows)

    @pytest.mark.parametrize("carry", ["hardest", "all"])
    @pytest.mark.parametrize("share", [True, False])
    def test_the_contrastive_loss_is_that_of_the_encoder_and_the_head(self, place, tmp_path, carry, share):
        changes = {"contrastive__carry": carry, "contrastive__share_forward": share}
        ready = prepared(place, settings(place, **changes), tmp_path)
        ready.prover.eval()
        [micro] = ready.dataset.step(0, contrastive=True).micros
        assert bool(micro.shared) >= share
        model = LanguageModel(ready.backbone.causal, ready.backbone.tokenizer, name="lab")
        vectors = model.embed(micro.texts).clone()
        expected = 0.0
        for contest in micro.contests:
            energies = ready.prover.head(vectors[list(contest.states)], vectors[list(contest.goals)]).tolist()
            expected -= math.log(math.exp(-energies[0]) / sum(math.exp(-e) for e in energies))
        found = ready.prover(micro, Weights(0.0, 1.0, 0.0, 0.0)).contrastive
        assert found.item() == pytest.approx(expected, rel=1e-4)
        assert len(micro.contests) == 4
        assert all(len(c.states) == 4 for c in micro.contests)

    def test_only_positive_and_hardest_negative_carry_gradient(self, place, tmp_path):
        ready = prepared(place, settings(place, batch__rows=1, contrastive__groups=1), tmp_path)
        ready.prover.eval()
        micro = ready.dataset.step(0, contrastive=True).micros[-1]
        needed, vectors, places = ready.prover._carried(micro, None)
        [contest] = micro.contests
        energies = [
            ready.prover.head(vectors[s][None], vectors[g][None]).item()
            for s, g in zip(contest.states, contest.goals, strict=True)
        ]
        hardest = 1 + energies[1:].index(min(energies[1:]))
        assert needed == {contest.states[0], contest.goals[0], contest.states[hardest], contest.goals[hardest]}
        assert places.tolist() == [hardest]

    @pytest.mark.parametrize("loss", ["info-nce", "margin"])
    @pytest.mark.parametrize("carry", ["hardest", "all"])
    def test_no_gradient_moves_all_energies_alike(self, place, tmp_path, carry, loss):
        """Where it does, a backbone makes all states alike: seen in iteration 1, see iterations/LOG.md."""
        ready = prepared(place, settings(place, contrastive__carry=carry, contrastive__loss=loss), tmp_path)
        weight = torch.randn(ready.backbone.dim, generator=torch.Generator().manual_seed(5))
        shift = torch.zeros((), requires_grad=True)
        ready.prover.head.raw = lambda states, goals: (states + 0 * goals) @ weight
        [micro] = ready.dataset.step(0, contrastive=True).micros
        embedded = ready.prover._embedded
        along = weight / weight.norm() ** 2
        ready.prover._embedded = lambda *given: {t: v + shift * along for t, v in embedded(*given).items()}
        ready.prover(micro, Weights(0.0, 1.0, 0.0, 0.0)).total.backward()
        assert shift.grad.item() == pytest.approx(0.0, abs=1e-4)

    def test_small_micro_batches_give_the_same_gradients(self, place, tmp_path):
        found = []
        for tokens in (8192, 64):
            ready = prepared(place, settings(place, batch__micro_tokens=tokens), tmp_path)
            ready.prover.eval()
            step = ready.dataset.step(0, contrastive=True)
            for micro in step.micros:
                ready.prover(micro, Weights(1 / step.labels, 1 / step.contests, 0.0, 0.0)).total.backward()
            found.append((len(step.micros), {n: p.grad for n, p in trainable(ready.prover).items()}))
        (few, one), (many, other) = found
        assert few == 1
        assert many > 2
        for name in one:
            if one[name] is not None:
                assert torch.allclose(one[name], other[name], atol=1e-6), name

    def test_a_prompt_that_a_row_has_is_not_run_again(self, place, tmp_path):
        tokens = []
        for share in (True, False):
            ready = prepared(place, settings(place, contrastive__share_forward=share), tmp_path)
            tokens.append(ready.dataset.step(0, contrastive=True).tokens)
        assert tokens[0] < tokens[1]

    def test_averages_follow_the_weights(self, place, tmp_path):
        config = settings(place, contrastive__keys="ema", contrastive__ema_decay=0.5, steps=1)
        before = prepared(place, config, tmp_path / "x").prover.averages
        training, _ = train(place, tmp_path / "run", config)
        for name, now in weights(training).items():
            assert torch.allclose(training.prover.averages[name], (before[name] + now) / 2, atol=1e-7)

    @pytest.mark.parametrize("keys", ["stop-gradient", "ema"])
    def test_goals_may_be_without_gradient(self, place, tmp_path, keys):
        ready = prepared(place, settings(place, contrastive__keys=keys, contrastive__carry="all"), tmp_path)
        [micro] = ready.dataset.step(0, contrastive=True).micros
        vectors, goals, _ = ready.prover._vectors(micro, None)
        assert vectors.requires_grad
        assert not goals.requires_grad
        places = sorted({g for c in micro.contests for g in c.goals})
        with torch.no_grad():
            expected = ready.prover.embed([micro.texts[g] for g in places])
        assert torch.allclose(goals[places], expected, atol=1e-6)

    def test_a_margin_freezes_the_temperature(self, place, tmp_path):
        training, ended = train(place, tmp_path, settings(place, contrastive__loss="margin"))
        assert training.prover.head.temperature.item() == pytest.approx(1.0)
        assert ended.metrics["loss.contrastive"] >= 0

    def test_at_first_the_contrastive_loss_moves_the_head_alone(self, place, tmp_path):
        config = settings(place, sft_weight=0.0, contrastive__head_first=0.5)
        training = Training(config, Data((place,), (place,)), tmp_path, kind="joint", workers=Workers(device="cpu"))
        start = weights(training)
        layer = training.prover.head.layers[0].parametrizations.weight.original.detach().clone()
        for number in range(3):
            training._step(number)
        assert same(weights(training), start)
        assert not torch.equal(training.prover.head.layers[0].parametrizations.weight.original, layer)
        training._step(3)
        assert not same(weights(training), start)


class TestStartingFromAHead:
    def head(self, place, folder, *, model: str):
        from burnqed.core.encoder_card import EncoderCard
        from burnqed.joint.ebm_head import GoalConditionedEnergyHead, HeadConfig
        from burnqed.joint.energy_head import save_head

        tokenizer = Encoder(LanguageModel.load(place / "model"), FORM).card.tokenizer
        card = EncoderCard(model=model, tokenizer=tokenizer, prompt_format="markers", dim=32, max_tokens=96)
        head = GoalConditionedEnergyHead(HeadConfig(dim=32, hidden=(12,)))
        save_head(folder, head, card)
        return head

    def test_its_weights_are_where_training_begins(self, place, tmp_path):
        card = Encoder(LanguageModel.load(place / "model"), FORM).card
        head = self.head(place, tmp_path / "head", model=card.model)
        ready = prepared(place, settings(place, head__start=str(tmp_path / "head")), tmp_path)
        assert same(dict(ready.prover.head.state_dict()), dict(head.state_dict()))

    def test_one_of_another_encoder_is_refused(self, place, tmp_path):
        self.head(place, tmp_path / "head", model="another")
        with pytest.raises(ModelMismatch, match=r"head\.start.*another model"):
            prepared(place, settings(place, head__start=str(tmp_path / "head")), tmp_path)


class TestLearning:
    def test_both_losses_fall_and_the_head_is_better_than_chance(self, place, tmp_path):
        config = settings(
            place,
            steps=200,
            lora__rank=8,
            optimizer__head_lr=2e-3,
            head__dropout=0.0,
            optimizer__lr=3e-3,
            contrastive__negatives=2,
            batch__rows=16,
        )
        training, ended = train(place, tmp_path, config)
        journal = read_journal(tmp_path)
        early, late = journal[1:11], journal[-10:]
        for name in ("loss.sft", "loss.contrastive"):
            assert sum(r[name] for r in late) < 0.85 * sum(r[name] for r in early), name
        assert all(r["loss.chance"] == pytest.approx(math.log(3)) for r in late)
        assert ended.metrics["valid.loss"] < journal[0]["valid.loss"]
        trivial = {f"trivial.{name}.rank_1" for name in ("length", "goals", "depth", "logprob")}
        assert {"probe.linear_probe", "ebm.rank_1", *trivial} <= ended.metrics.keys()
        for layer in training.prover.head.eval().layers:
            assert torch.linalg.svdvals(layer.weight)[0].item() == pytest.approx(1.0, abs=0.01)

    def test_supervised_fine_tuning_watches_embeddings_when_pairs_are_given(self, place, tmp_path):
        _, ended = train(place, tmp_path, settings(place), kind="sft")
        assert "probe.centroid_l2" in ended.metrics
        assert "ebm.rank_1" not in ended.metrics

    def test_what_is_finished_is_what_proving_loads(self, place, tmp_path):
        training, ended = train(place, tmp_path, settings(place, steps=3))
        done = finish(latest_checkpoint(ended.checkpoint.parent), tmp_path)
        model = LanguageModel.load(done.model)
        state = lab.state(3, holds=True)
        head = load_head(done.head, card=Encoder(model, FORM, max_tokens=96).card)
        served = Encoder(model, FORM, max_tokens=96).encode_states([state])
        prompt = training.prepared.tokens(state)
        assert torch.allclose(served, training.prover.eval().embed([prompt]), atol=1e-5)
        with torch.no_grad():
            energy = training.prover.head.eval()(served, served)
        assert torch.allclose(head.energies(served, served), energy, atol=1e-5)
        card = json.loads((done.model / "card.json").read_text())
        assert card["config"]["lora"]["rank"] == 4
        assert {f["path"].rsplit("/", 1)[1] for f in card["data"]["rows"]["files"]} == {"sft_train.jsonl"}

    def test_a_fresh_model_learns_in_all_its_weights(self, place, tmp_path):
        shape = {
            "hidden": 32,
            "layers": 2,
            "heads": 2,
            "kv_heads": 2,
            "intermediate": 64,
            "vocab": 320,
            "max_positions": 128,
        }
        config = settings(place, model={"device": "cpu", "fresh": shape}, lora__rank=0, steps=40, optimizer__lr=3e-3)
        training, ended = train(place, tmp_path, config)
        assert training.prepared.backbone.base == tmp_path / "base"
        assert ended.metrics["loss.sft"] < 0.7 * read_journal(tmp_path)[1]["loss.sft"]
        assert all(p.requires_grad for p in training.prover.backbone.parameters())

    def test_an_earlier_iteration_is_a_base_like_any_other(self, place, tmp_path):
        _, ended = train(place, tmp_path / "iter_0", settings(place, steps=2), kind="sft")
        done = finish(latest_checkpoint(ended.checkpoint.parent), tmp_path / "iter_0")
        config = settings(place, model={"base": str(done.model), "device": "cpu"}, steps=2)
        training, _ = train(place, tmp_path / "iter_1", config)
        assert training.card["base"]["folder"] == str(done.model)
        assert training.card["base"]["model"] != ended.metrics.get("base")


class TestResuming:
    @pytest.mark.parametrize("at", [1, 4])
    def test_a_run_that_was_stopped_ends_with_the_same_weights_to_the_bit(self, place, tmp_path, at):
        config = settings(place, steps=7, contrastive__keys="ema", optimizer__weight_decay=0.1, lora__dropout=0.1)
        whole, _ = train(place, tmp_path / "whole", config)
        asked = iter(range(100))
        _, ended = train(place, tmp_path / "cut", config, stop=lambda: next(asked) == at)
        assert not ended.finished
        assert ended.step == at + 1
        resumed, ended = train(place, tmp_path / "cut", config, resume=True)
        assert ended.finished
        assert same(weights(whole), weights(resumed))
        assert same(dict(whole.prover.head.state_dict()), dict(resumed.prover.head.state_dict()))
        times = ("tokens_per_s",)
        one, other = (
            [{k: v for k, v in r.items() if k not in times} for r in read_journal(tmp_path / f)]
            for f in ("whole", "cut")
        )
        assert one == other

    def test_a_run_that_was_killed_goes_on_from_its_last_checkpoint(self, place, tmp_path):
        out = tmp_path / "run"
        command = [sys.executable, "-m", "burnqed", "train", "joint", "--rows", str(place), "--pairs", str(place)]
        command += [
            "--base",
            str(place / "model"),
            "--out",
            str(out),
            "--rank",
            "4",
            "--steps",
            "40",
            "--device",
            "cpu",
        ]
        command += [
            "--set",
            "save_every=3",
            "--set",
            "head.hidden=[16,8]",
            "--set",
            "batch.max_tokens=96",
            "--set",
            "export=false",
        ]
        run = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 120
        while latest_step(out) < 6 and time.monotonic() < deadline:
            time.sleep(0.02)
        run.send_signal(signal.SIGKILL)
        run.communicate()
        assert 6 <= latest_step(out) < 40
        resumed = subprocess.run(
            [*command, "--resume", "--json"], env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True
        )
        assert resumed.returncode == 0, resumed.stderr
        assert json.loads(resumed.stdout)["step"] == 40
        again = [*command]
        again[again.index(str(out))] = str(tmp_path / "whole")
        subprocess.run(again, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, check=True)
        one, other = (latest_checkpoint(folder / "checkpoints").tensors() for folder in (out, tmp_path / "whole"))
        assert same(one, other)

    def test_sigterm_saves_and_says_how_to_go_on(self, place, tmp_path):
        out = tmp_path / "run"
        command = [
            sys.executable,
            "-m",
            "burnqed",
            "train",
            "sft",
            "--rows",
            str(place),
            "--base",
            str(place / "model"),
        ]
        command += [
            "--out",
            str(out),
            "--rank",
            "4",
            "--steps",
            "100000",
            "--device",
            "cpu",
            "--set",
            "save_every=100000",
        ]
        run = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 120
        while not (out / "metrics.jsonl").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        run.send_signal(signal.SIGTERM)
        said, _ = run.communicate(timeout=60)
        assert run.returncode == 3
        assert f"stopped at step {latest_step(out)} of 100000. Go on with --resume." in said
        assert latest_step(out) >= 1

    def test_a_folder_that_holds_a_run_is_not_begun_again(self, place, tmp_path):
        train(place, tmp_path, settings(place, steps=1))
        with pytest.raises(BadInput, match="--resume"):
            train(place, tmp_path, settings(place, steps=1))

    def test_a_checkpoint_of_another_base_is_refused(self, place, tmp_path):
        train(place, tmp_path / "run", settings(place, steps=1))
        lab.model(tmp_path / "other", seed=7)
        config = settings(place, steps=1, model={"base": str(tmp_path / "other"), "device": "cpu"})
        with pytest.raises(ModelMismatch, match="another base model"):
            train(place, tmp_path / "run", config, resume=True)

    def test_a_checkpoint_with_other_settings_is_refused(self, place, tmp_path):
        train(place, tmp_path, settings(place, steps=1))
        with pytest.raises(ModelMismatch, match=r"optimizer\.lr"):
            train(place, tmp_path, settings(place, steps=1, optimizer__lr=1e-5), resume=True)

    def test_a_checkpoint_on_other_data_is_refused(self, place, tmp_path):
        lab.write(tmp_path / "data")
        lab.model(tmp_path / "data/model")
        config = settings(tmp_path / "data", steps=1)
        train(tmp_path / "data", tmp_path / "run", config)
        lab.lines(tmp_path / "data/sft_train.jsonl", lab.rows("train")[:-1])
        with pytest.raises(ModelMismatch, match="other data: rows"):
            train(tmp_path / "data", tmp_path / "run", config, resume=True)


def latest_step(out: Path) -> int:
    folders = [p for p in (out / "checkpoints").glob("step-*") if p.name.removeprefix("step-").isdigit()]
    return max((int(p.name.removeprefix("step-")) for p in folders), default=0)


class TestRedLines:
    def test_a_loss_that_is_not_finite_ends_the_run_and_spoils_nothing(self, place, tmp_path):
        config = settings(place, steps=6, optimizer__lr=1e-3, save_every=2)
        broken = Training(config, Data((place,), (place,)), tmp_path, kind="joint", workers=Workers(device="cpu"))
        fine = broken.prover.head.log_temperature
        original = broken._step

        def step(number: int):
            if number == 3:
                fine.data.fill_(math.nan)
            return original(number)

        broken._step = step
        with pytest.raises(ModelError, match=r"step 4: loss is nan.*step-00000002"):
            broken.run()
        saved = latest_checkpoint(tmp_path / "checkpoints")
        assert saved.step == 2
        assert all(torch.isfinite(t).all() for t in saved.tensors().values())

    def test_a_rule_that_stops_saves_first(self, place, tmp_path):
        rule = {"metric": "loss.sft", "above": 0.0, "after_step": 3, "reaction": "stop", "why": "for the test"}
        _, ended = train(place, tmp_path, settings(place, monitor={"every": 100, "rules": (rule,)}))
        assert not ended.finished
        assert ended.step == 3
        assert "for the test" in ended.why
        assert ended.checkpoint.name == "step-00000003"

    def test_a_rule_that_warns_goes_on(self, place, tmp_path):
        rule = {"metric": "loss.sft", "above": 0.0, "reaction": "warn"}
        _, ended = train(place, tmp_path, settings(place, monitor={"every": 100, "rules": (rule,)}))
        assert ended.finished
        assert [c.rule.metric for c in ended.crossings] == ["loss.sft"]
        assert [row["step"] for row in read_red_lines(tmp_path)] == [1, 2, 3, 4, 5, 6]
        report = write_report(tmp_path, title="lab").read_text()
        assert "Red lines crossed: 6" in report
        assert "above 0" in (tmp_path / "report.md").read_text()

    def test_red_lines_of_steps_that_are_done_again_are_not_told_twice(self, place, tmp_path):
        rule = {"metric": "loss.sft", "above": 0.0, "reaction": "warn"}
        config = settings(place, monitor={"every": 100, "rules": (rule,)}, save_every=2)
        asked = iter(range(100))
        train(place, tmp_path, config, stop=lambda: next(asked) == 3)
        train(place, tmp_path, config, resume=True)
        assert [row["step"] for row in read_red_lines(tmp_path)] == [1, 2, 3, 4, 5, 6]

    def test_the_lines_of_the_7b_plan_come_on_top_when_asked_for(self, place, tmp_path):
        _, ended = train(place, tmp_path, settings(place, monitor={"every": 3, "rules": (), "seed_lines": True}))
        assert not ended.finished
        assert "probe.centroid_l2 is" in ended.why
        assert "red line of the 7B plan" in ended.why

    def test_the_temperature_is_on_record(self, place, tmp_path):
        train(place, tmp_path, settings(place, monitor={"every": 100, "temperature_every": 2}))
        assert [r["step"] for r in read_journal(tmp_path) if "temperature" in r] == [2, 4, 6]


class TestBadInput:
    def test_no_rows(self, place, tmp_path):
        (tmp_path / "none").mkdir()
        with pytest.raises(BadInput, match="nothing to train on"):
            train(place, tmp_path / "run", settings(place), data=Data((tmp_path / "none",), (place,)))

    def test_no_pairs(self, place, tmp_path):
        with pytest.raises(BadInput, match="no pairs to train on: give --pairs"):
            train(place, tmp_path / "run", settings(place), data=Data((place,)))

    def test_fewer_rows_and_groups_than_a_step_wants(self, place, tmp_path):
        lab.write(tmp_path / "data")
        lab.lines(tmp_path / "data/sft_train.jsonl", lab.rows("train")[:3])
        lab.lines(tmp_path / "data/pairs_train.jsonl", lab.pairs("train")[:3])
        _, ended = train(
            place, tmp_path / "run", settings(place), data=Data((tmp_path / "data",), (tmp_path / "data",))
        )
        assert ended.finished

    def test_all_labels_positive(self, place, tmp_path):
        import msgspec

        bad = [msgspec.structs.replace(p, negative=p.positive, negative_goal=p.goal) for p in lab.pairs("train")]
        lab.lines(tmp_path / "pairs_train.jsonl", bad)
        with pytest.raises(BadInput, match="positive"):
            train(place, tmp_path / "run", settings(place), data=Data((place,), (tmp_path / "pairs_train.jsonl",)))

    def test_rows_longer_than_the_context_leave_and_are_counted(self, place, tmp_path):
        config = settings(place, batch__max_tokens=19)
        training, _ = train(place, tmp_path, config, kind="sft")
        account = training.prepared.manifests["rows"]
        assert account.dropped_for("train", "longer than the context") > 0
        assert account.rows_in == account.rows_out + account.rows_dropped
        assert max(len(r.ids) for r in training.prepared.dataset.rows) <= 19

    def test_what_is_not_left_out_is_not_told_as_left_out(self, place, tmp_path):
        training, _ = train(place, tmp_path, settings(place, steps=1))
        assert "dropped" not in training.prepared.manifests["held-out rows"].told()

    def test_states_that_are_cut_are_told(self, place, tmp_path):
        command = ["train", "joint", "--rows", str(place), "--pairs", str(place), "--base", str(place / "model")]
        command += ["--out", str(tmp_path / "run"), "--rank", "4", "--steps", "2", "--device", "cpu", "--resume"]
        command += ["--set", "contrastive.max_tokens=12", "--set", "export=false"]
        run = subprocess.run(
            [sys.executable, "-m", "burnqed", *command],
            env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "400"},
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stderr
        assert "state cut to fit the context: " in run.stderr
        assert "holds no checkpoint yet" in run.stderr  # --resume with nothing to resume does not begin in silence

    def test_a_report_that_cannot_be_written_does_not_hide_what_ended_the_run(self, place, tmp_path):
        out = tmp_path / "run"
        train(place, out, settings(place, steps=1), kind="sft")
        (out / "report.md").mkdir()
        command = ["train", "sft", "--rows", str(place), "--base", str(place / "model"), "--out", str(out), "--resume"]
        run = subprocess.run(
            [sys.executable, "-m", "burnqed", *command, "--device", "cpu"],
            env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "400"},
            capture_output=True,
            text=True,
        )
        assert run.returncode == 2
        assert run.stderr.splitlines()[-1].startswith(f"burnqed: {out / 'checkpoints'}")
        assert "Traceback" not in run.stderr

    def test_all_rows_too_long(self, place, tmp_path):
        with pytest.raises(BadInput, match=r"nothing to train on.*longer than the context"):
            train(place, tmp_path, settings(place, batch__max_tokens=8), kind="sft")

    def test_rows_of_two_formats(self, place, tmp_path):
        lab.lines(tmp_path / "a.jsonl", [*lab.rows("train"), *lab.rows("train", form="marker-text")])
        with pytest.raises(BadInput, match="different prompt formats"):
            train(place, tmp_path / "run", settings(place), kind="sft", data=Data((tmp_path / "a.jsonl",)))

    def test_a_base_that_was_trained_on_another_format(self, place, tmp_path):
        base = lab.model(tmp_path / "base")
        (base / "burnqed.json").write_text('{"prompt_format": "marker-text"}')
        with pytest.raises(ModelMismatch, match="marker-text"):
            train(place, tmp_path / "run", settings(place, model={"base": str(base)}), kind="sft")

    def test_a_tokenizer_that_splits_the_markers_gets_them_as_tokens(self, place, tmp_path):
        base = lab.model(tmp_path / "base", markers=False)
        config = settings(place, model={"base": str(base), "device": "cpu"})
        training, _ = train(place, tmp_path / "run", config, kind="sft")
        grown = training.prepared.backbone.grown
        assert len(grown) == 2
        assert any("token" in name for name in weights(training))
        assert all(row.ids[0] == grown[0] for row in training.prepared.dataset.rows)

    def test_a_damaged_line_is_counted_with_its_place(self, place, tmp_path):
        path = lab.lines(tmp_path / "sft_train.jsonl", lab.rows("train"))
        path.write_bytes(path.read_bytes() + b'{"prompt": "x"\n')
        config = settings(place)
        training, ended = train(place, tmp_path / "run", config, kind="sft", data=Data((path,)))
        assert ended.finished
        [count] = training.prepared.manifests["rows"].dropped["train"].values()
        assert count.count == 1
        assert "sft_train.jsonl:49" in count.examples[0]

    def test_a_run_that_does_not_fit_says_so_before_it_starts(self, place, tmp_path):
        with pytest.raises(BadInput, match="GiB"):
            train(place, tmp_path, settings(place, memory_gib=1e-6))
        assert not (tmp_path / "metrics.jsonl").exists()

    def test_nothing_to_learn(self, place):
        with pytest.raises(ValueError, match="nothing to learn"):
            settings(place, sft_weight=0.0, contrastive__weight=0.0)


class TestSchedules:
    def test_a_curve_through_points(self):
        points = ((0.1, 0.0), (0.5, 1.0), (0.5, 2.0), (1.0, 0.0))
        expected = {0.0: 0.0, 0.1: 0.0, 0.3: 0.5, 0.5: 1.0, 0.75: 1.0, 1.0: 0.0}
        for share, value in expected.items():
            assert at_share(points, share) == pytest.approx(value)

    def test_tiers_hold_from_their_share_on(self):
        tiers = ((0.0, {"easy": 1.0}), (0.5, {"hard": 1.0}))
        assert tiers_at(tiers, 0.49) == {"easy": 1.0}
        assert tiers_at(tiers, 0.5) == {"hard": 1.0}

    def test_lambda_may_rise(self, place, tmp_path):
        config = settings(place, steps=4, contrastive__schedule=((0.0, 0.0), (0.5, 1.0)))
        train(place, tmp_path, config)
        assert [r.get("lambda", 0.0) for r in read_journal(tmp_path)[1:]] == pytest.approx([0.0, 0.5, 1.0, 1.0])


WORKER = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
sys.path.insert(0, {here!r})
import test_joint_training as t
from burnqed.train.workers import Workers
place, out, shard = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "shard"
workers = Workers(device="cpu", shard=shard)
config = t.settings(place, steps=4, batch__micro_tokens=200, head__dropout=0.0)
t.Training(config, t.Data((place,), (place,)), out, kind="joint", workers=workers).run()
workers.close()
"""


def two_processes(place: Path, out: Path, how: str) -> list[str]:
    """What each of them said if it failed; empty where it did not."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = WORKER.format(here=str(Path(__file__).parent))
    known = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
    known |= {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(place), str(out), how],
            env={**os.environ, **known, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = []
    for run in runs:
        try:
            error = run.communicate(timeout=100)[1]
        except subprocess.TimeoutExpired:
            run.kill()
            error = f"hung: {run.communicate()[1]}"
        said.append(error if run.returncode else "")
    return said


# What is collected while this waits for other processes was left by other tests, and is theirs to answer for.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
class TestSeveralProcesses:
    @pytest.mark.parametrize("how", ["replicate", "shard"])
    def test_two_take_the_course_of_one(self, place, tmp_path, how):
        # A port that was free may be taken by the time they listen on it; then they come together at another.
        for attempt in range(3):
            said = two_processes(place, tmp_path / f"two-{attempt}", how)
            if not any(said):
                break
        assert not any(said), said
        two = tmp_path / f"two-{attempt}"
        config = settings(place, steps=4, batch__micro_tokens=200, head__dropout=0.0)
        one, _ = train(place, tmp_path / "one", config)
        # Adam divides by the size of gradients, so where they are all but zero a last bit of a sum decides a sign.
        both = latest_checkpoint(two / "checkpoints").tensors()
        start = weights(
            Training(config, Data((place,), (place,)), tmp_path / "start", kind="joint", workers=Workers(device="cpu"))
        )
        moved = apart = 0.0
        for name, tensor in weights(one).items():
            moved += (tensor - start[name]).square().sum().item()
            apart += (both[f"model.{name}"] - tensor).square().sum().item()
        assert apart < 1e-3 * moved
        for mine, theirs in zip(read_journal(tmp_path / "one"), read_journal(two), strict=True):
            for name in ("loss.sft", "loss.contrastive", "gradient_norm", "valid.loss"):
                assert mine.get(name, 0.0) == pytest.approx(theirs.get(name, 0.0), rel=2e-3), name


def test_a_step_is_the_same_however_it_is_reached(place, tmp_path):
    ready = prepared(place, settings(place), tmp_path)
    dataset: JointDataset = ready.dataset
    straight = [dataset.step(n, contrastive=True) for n in range(8)]
    again = prepared(place, settings(place), tmp_path).dataset
    assert again.step(5, contrastive=True) == straight[5]
    assert dataset.step(2, contrastive=True) == straight[2]


@pytest.mark.parametrize(
    ("device", "hidden", "layers", "low", "high"),
    [("cuda", 4096, 30, 1500, 2500), ("cuda", 384, 8, 100_000, 400_000), ("cpu", 384, 8, 64, 64)],
)
def test_what_one_more_pass_costs_in_padding(device, hidden, layers, low, high):
    """A GPU's host takes as long to start the layers of a small model, which computes far more in that time."""
    config = transformers.LlamaConfig(
        hidden_size=hidden,
        intermediate_size=hidden * 27 // 10,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        vocab_size=8192,
    )
    with torch.device("meta"):
        causal = transformers.LlamaForCausalLM(config)
    backbone = SimpleNamespace(device=torch.device(device), causal=causal, decoder=causal.base_model)
    assert low <= most_padding(backbone) <= high  # type: ignore[arg-type]


def test_every_group_comes_along(place, tmp_path):
    ready = prepared(place, settings(place, contrastive__share_forward=False), tmp_path)
    steps = math.ceil(len(ready.dataset.groups) / 4)
    seen = [c for n in range(steps) for m in ready.dataset.step(n, contrastive=True).micros for c in m.contests]
    assert len(seen) == len(ready.dataset.groups) == 24


def test_a_contrast_config_says_what_is_wrong():
    with pytest.raises(ValueError, match="there is no tier soft"):
        ContrastiveConfig(tiers=((0.0, {"soft": 1.0}),))
    with pytest.raises(ValueError, match="in order"):
        ContrastiveConfig(schedule=((0.5, 1.0), (0.1, 0.0)))


class TestWholeRows:
    """Prompts are learned too, in the first share of the steps."""

    @pytest.mark.parametrize(("share", "whole"), [(0.0, 0), (0.25, 2), (0.5, 3), (0.51, 4), (1.0, 6)])
    def test_the_first_share_of_the_steps_learns_whole_rows(self, place, tmp_path, share, whole):
        dataset = prepared(place, settings(place, whole_rows=share), tmp_path).dataset
        plain = prepared(place, settings(place), tmp_path).dataset
        for number in range(6):
            step, before = (each.step(number, contrastive=False) for each in (dataset, plain))
            rows = [r for m in step.micros for r in m.rows]
            assert [r.ids for r in rows] == [r.ids for m in before.micros for r in m.rows], "the same rows all the same"
            assert all(r.whole is (number < whole) for r in rows)
            assert step.labels == sum(len(r.ids) - (1 if number < whole else r.start) for r in rows)
            assert (step.labels == before.labels) is (number >= whole)
            assert (step == before) is (number >= whole)

    def test_two_processes_count_the_labels_of_both(self, place, tmp_path):
        dataset = prepared(place, settings(place, whole_rows=1.0), tmp_path).dataset
        alone = dataset.step(0, contrastive=False)
        parts = [dataset.step(0, contrastive=False, rank=rank, world=2) for rank in (0, 1)]
        assert [part.labels for part in parts] == [alone.labels] * 2
        assert sum(len(r.ids) - 1 for part in parts for m in part.micros for r in m.rows) == alone.labels

    def test_it_changes_what_is_learned_and_none_is_as_before(self, place, tmp_path):
        before, _ = train(place, tmp_path / "before", settings(place), kind="sft")
        none, _ = train(place, tmp_path / "none", settings(place, whole_rows=0.0), kind="sft")
        some, _ = train(place, tmp_path / "some", settings(place, whole_rows=0.3), kind="sft")
        assert same(weights(before), weights(none))
        assert not same(weights(before), weights(some))
        losses = [read_journal(tmp_path / name)[1]["loss.sft"] for name in ("before", "none", "some")]
        assert losses[0] == losses[1] != losses[2]

    def test_what_is_held_out_is_measured_on_tactics_alone(self, place, tmp_path):
        for name, share in (("plain", 0.0), ("whole", 1.0)):
            train(place, tmp_path / name, settings(place, whole_rows=share, optimizer__lr=1e-30, steps=1), kind="sft")
        plain, whole = (read_journal(tmp_path / name)[-1] for name in ("plain", "whole"))
        assert plain["valid.loss"] == pytest.approx(whole["valid.loss"], rel=1e-6)

    def test_the_plan_for_memory_counts_their_places(self, place, tmp_path):
        config = settings(place)
        ready = prepared(place, config, tmp_path)
        lengths = sorted((len(r.ids) for r in ready.dataset.rows), reverse=True)[:8]
        assert load_of(config, ready).places < sum(lengths)
        assert load_of(settings(place, whole_rows=0.1), ready).places == min(PLACES, sum(lengths))


@pytest.mark.parametrize("whole", [False, True])
def test_cross_entropy_of_torch_agrees(place, tmp_path, whole):
    """The journal's loss is per label, whatever the micro-batches."""
    config = settings(place, steps=1, optimizer__clip=0.0, batch__micro_tokens=100, whole_rows=float(whole))
    training = Training(config, Data((place,), (place,)), tmp_path, kind="sft", workers=Workers(device="cpu"))
    rows = [r for m in training.prepared.dataset.step(0, contrastive=False).micros for r in m.rows]
    parts, labels = 0.0, 0
    with torch.no_grad():
        for row in rows:
            logits = training.prover.backbone(input_ids=torch.tensor([row.ids])).logits[0]
            first = 1 if whole else row.start
            target = torch.tensor(row.ids)[first:]
            parts += functional.cross_entropy(logits[first - 1 : -1], target, reduction="sum").item()
            labels += len(target)
    training.run()
    assert read_journal(tmp_path)[1]["loss.sft"] == pytest.approx(parts / labels, rel=1e-4)
    assert isinstance(training.prepared.tally, Tally)


class TestTheCommandsOwnDefaults:
    def rank(self, capsys, *words: str) -> str:
        from burnqed.cli.main import app

        app(["train", *words, "--show"], standalone_mode=False)
        return next(line for line in capsys.readouterr().out.splitlines() if line.startswith("rank = "))

    def test_each_command_has_its_rank(self, capsys):
        assert self.rank(capsys, "sft") == "rank = 32"
        assert self.rank(capsys, "sft", "--fresh") == self.rank(capsys, "joint", "--fresh") == "rank = 0"
        assert self.rank(capsys, "joint") == "rank = 64"

    def test_a_file_and_a_flag_are_stronger(self, capsys, tmp_path):
        (tmp_path / "run.toml").write_text("[lora]\nrank = 5\n")
        file = ["--config", str(tmp_path / "run.toml")]
        assert self.rank(capsys, "sft", *file) == self.rank(capsys, "joint", "--fresh", *file) == "rank = 5"
        assert self.rank(capsys, "sft", *file, "--rank", "6") == "rank = 6"
