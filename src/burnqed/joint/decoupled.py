"""Training an energy head on frozen embeddings.

A step is a pure function of the settings, the data and what was before it, so a run that was killed and resumed takes the course
that it would have taken: to the bit on a processor, but for the order of sums on a GPU.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from burnqed.core.encoder_card import EncoderCard
from burnqed.core.errors import BadInput, ModelError, ModelMismatch
from burnqed.core.seeding import child_seed
from burnqed.core.tally import Tally
from burnqed.data.pace import Progress
from burnqed.joint.decoupled_config import DecoupledConfig
from burnqed.joint.ebm_head import GoalConditionedEnergyHead
from burnqed.joint.embed import texts_of
from burnqed.joint.embeddings import Embeddings
from burnqed.joint.head_data import Epochs, GroupTable, Vectors, divided, embedded, fingerprint
from burnqed.joint.head_step import Batch, batch_energies, settle
from burnqed.joint.held_out import HeldOut
from burnqed.joint.losses import chance, depth_regression, info_nce, margin_ranking
from burnqed.joint.pairs import Group
from burnqed.joint.red_lines import Crossing, RedLines, severest
from burnqed.models.loading import chosen_device
from burnqed.train.checkpoint import Checkpoint, latest_checkpoint, save_checkpoint
from burnqed.train.journal import Journal
from burnqed.train.optimizer import make_optimizer, optimizer_tensors, rate_factor, restore_optimizer, set_rates

CHECKPOINTS = "checkpoints"
SMALL = "set smaller than a batch: every step sees all of it"
NOTHING_HELD_OUT = "no held-out theorem: the last head is kept, and nothing ends the run early"

_HEAD, _BEST = "head.", "best."
_TO_START = 1024  # pairs from which the head's first scale is found
_GAIN = math.log(math.e - 1)  # softplus of it is 1


@dataclass
class Ended:
    """How a run ended, and what it came to.

    ``why`` is ``finished``, ``stopped`` (asked to), ``early`` (no better held-out loss), or the sentence of a red line.
    ``metrics`` are of the best head, the one that is to be used; ``valid`` is empty where nothing is held out.
    """

    step: int
    total: int
    why: str
    best_step: int
    chance: float | None
    metrics: dict[str, float]
    crossings: list[Crossing] = field(default_factory=list)


class HeadTraining:
    """One run on one device. Make it, then :meth:`run` it once; the best head is then :attr:`best_head`.

    ``stop`` is asked between steps and ends it in order, with a checkpoint. Raises BadInput for pairs that cannot be trained
    with, and for a folder that holds a run when ``resume`` is not set; ModelMismatch for a checkpoint of another encoder,
    other pairs or other settings; ModelError when a red line aborts; RunError when the disk refuses.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        embeddings: Embeddings,
        config: DecoupledConfig,
        out: Path,
        *,
        resume: bool = False,
        stop: Callable[[], bool] = lambda: False,
        tell: Callable[[Progress, dict[str, float]], None] = lambda progress, values: None,
        crossed: Callable[[Crossing], None] = lambda crossing: None,
        tally: Tally | None = None,
    ) -> None:
        self.config = config
        self.card = embeddings.card
        self.tally = tally if tally is not None else Tally()
        self.device = chosen_device(config.device)
        self._out, self._stop, self._told, self._crossed = out, stop, tell, crossed
        folder = out / CHECKPOINTS
        found = latest_checkpoint(folder) if folder.exists() else None
        if found is not None and not resume:
            raise BadInput(f"{out} holds a run already; go on with it by --resume, or choose another --out")
        self._load(groups, embeddings)
        self._make()
        self._resumed = found is not None
        self._begun = self._start() if found is None else self._restore(found)

    def _load(self, groups: Sequence[Group], embeddings: Embeddings) -> None:
        config = self.config
        usable = embedded(groups, embeddings, self.tally)
        train, valid = divided(usable, valid_share=config.valid_share, seed=config.seed, tally=self.tally)
        self._data = fingerprint([*train, *valid])
        vectors = Vectors(texts_of([*train, *valid]), embeddings, self.device)
        self._matrix = vectors.matrix
        self._table = GroupTable(train, config.tiers[0][1], vectors, seed=config.seed, tally=self.tally)
        self._samplers = [(at, self._table.sampler.with_ratios(shares)) for at, shares in config.tiers]
        self.groups, self.valid_groups = len(train), len(valid)
        self._epochs = Epochs(len(train), config.groups, seed=config.seed)
        self.total = config.steps or math.ceil(config.epochs * self._epochs.steps)
        if len(train) < config.groups:
            self.tally.count(SMALL, f"{len(train)} positives")
        self.held_out = HeldOut(valid, vectors, config) if valid else None
        if self.held_out is None:
            self.tally.count(NOTHING_HELD_OUT)

    def _make(self) -> None:
        config = self.config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(child_seed(config.seed, "head"))
            self.head = GoalConditionedEnergyHead(config.head(self.card.dim)).to(self.device).train()
        if config.loss == "margin":
            self.head.freeze_gain()
        self._gain = nn.Parameter(torch.tensor(_GAIN, device=self.device))
        self._offset = nn.Parameter(torch.tensor(0.0, device=self.device))
        self._parameters = {_HEAD + n: p for n, p in self.head.named_parameters() if p.requires_grad}
        if config.depth_weight:
            self._parameters |= {_HEAD + "depth.gain": self._gain, _HEAD + "depth.offset": self._offset}
        self._optimizer = make_optimizer(self._parameters, config.optimizer, head=_HEAD)
        self._generator = torch.Generator(self.device)
        self._red_lines = RedLines(config.rules)
        self._best: dict[str, Tensor] = {}
        self._best_step, self._best_loss, self._bad = 0, math.inf, 0
        self._window = torch.zeros((), dtype=torch.float64, device=self.device)
        self._steps_in_window = 0

    def _start(self) -> int:
        """Fit a new head's scale to the size of the embeddings; returns step 0."""
        batch = self._table.batch(self._epochs.numbers(0), self._samplers[0][1], self.config.negatives, step=0)
        states, goals = batch.state_of.flatten()[:_TO_START], batch.goal_of.flatten()[:_TO_START]
        self.head.start_scale(self._matrix[batch.states[states]].float(), self._matrix[batch.goals[goals]].float())
        return 0

    @property
    def chance(self) -> float | None:
        """The loss of a head that knows nothing; None for a margin, which has no such number."""
        return chance(self.config.negatives) if self.config.loss == "info-nce" else None

    @property
    def best_head(self) -> GoalConditionedEnergyHead:
        """The head with the best held-out loss so far (the last one where nothing is held out), its norms at rest."""
        head = copy.deepcopy(self.head)
        if self._best:
            head.load_state_dict(self._best)
        settle(head)
        return head.cpu().eval()

    def run(self) -> Ended:
        """Train to the end, or until stopped."""
        began_s = time.monotonic()
        crossings: list[Crossing] = []
        why = "finished"
        step = self._begun
        values: dict[str, float] = {}
        with Journal(self._out, resume_at=self._begun if self._resumed else None) as journal:
            while step < self.total:
                norm = self._step(step)
                step += 1
                values = self._measured(step, norm, began_s)
                if values:
                    journal.log(step, values)
                    found = self._red_lines.check(step, values)
                    for crossing in found:
                        self._crossed(crossing)
                        journal.crossed(step, reaction=crossing.rule.reaction, sentence=crossing.sentence)
                    crossings += found
                    if severest(found) == "abort":
                        raise ModelError(f"{found[0].sentence}; the last checkpoint is as it was")
                    why = found[0].sentence if severest(found) == "stop" else why
                if self.config.patience and self._bad >= self.config.patience:
                    why = "early"
                why = "stopped" if step < self.total and self._stop() else why
                if step % self.config.save_every == 0 or step == self.total or why != "finished":
                    self._save(step)
                if why != "finished":
                    break
        return self._ended(step, why, crossings)

    def _step(self, step: int) -> Tensor:
        """One step, counted from 0; returns the gradient's norm, which is not waited for."""
        config = self.config
        set_rates(self._optimizer, rate_factor(step, self.total, config.optimizer))
        reached = [sampler for at, sampler in self._samplers if at <= step / self.total]
        sampler = reached[-1] if reached else self._samplers[0][1]
        batch = self._table.batch(self._epochs.numbers(step), sampler, config.negatives, step=step)
        self._generator.manual_seed(child_seed(config.seed, "dropout", step))
        self._optimizer.zero_grad(set_to_none=True)
        loss = self._loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no type for it
        most = config.optimizer.clip or math.inf
        norm = clip_grad_norm_(self._parameters.values(), most)
        self._optimizer.step()
        self._window += loss.detach()
        self._steps_in_window += 1
        return norm

    def _loss(self, batch: Batch) -> Tensor:
        config = self.config
        energies = batch_energies(
            self.head, self._matrix, batch, generator=self._generator, bfloat16=config.matmul == "bfloat16"
        )
        loss = info_nce(energies) if config.loss == "info-nce" else margin_ranking(energies, config.margin)
        if config.depth_weight:
            aside = depth_regression(energies[:, 0], batch.remaining, self._gain, self._offset)
            loss = loss + config.depth_weight * aside
        return loss.mean()

    def _measured(self, step: int, norm: Tensor, began_s: float) -> dict[str, float]:
        """What is to be recorded after a step; empty after most of them."""
        logs = step % self.config.log_every == 0 or step == self.total
        measures = self.held_out is not None and (step % self.config.eval_every == 0 or step == self.total)
        if not logs and not measures:
            return {}
        loss = float(self._window) / max(1, self._steps_in_window)
        self._window.zero_()
        self._steps_in_window = 0
        values = {
            "loss": loss,
            "learning_rate": float(self._optimizer.param_groups[0]["lr"]),
            "temperature": self.head.temperature.item(),
            "gradient_norm": float(norm),
        }
        values["pairs_per_s"] = self._pairs_per_s(step, began_s)
        if self.chance is not None:
            values["loss.chance"] = self.chance
        if measures and self.held_out is not None and math.isfinite(loss):
            values |= self.held_out.measure(self.head, self._matrix)
            self._judge(step, values["valid.loss"])
        self._told(Progress(step, self.total, self._begun, time.monotonic() - began_s), values)
        return values

    def _pairs_per_s(self, step: int, began_s: float) -> float:
        """Energies with their gradients a second, since the run was begun this time."""
        pairs = (step - self._begun) * self._epochs.batch * (1 + self.config.negatives)
        return pairs / max(time.monotonic() - began_s, 1e-9)

    def _judge(self, step: int, valid_loss: float) -> None:
        """Keep the head if it is the best so far."""
        if valid_loss < self._best_loss:
            self._best = {name: t.detach().cpu().clone() for name, t in self.head.state_dict().items()}
            self._best_step, self._best_loss, self._bad = step, valid_loss, 0
        else:
            self._bad += 1

    def _save(self, step: int) -> None:
        if not math.isfinite(float(self._window)):
            raise ModelError(
                f"the loss is not finite before step {step}; the last checkpoint is as it was, lower the rate"
            )
        tensors = {_HEAD + name: t for name, t in self.head.state_dict().items()}
        tensors |= {_BEST + name: t for name, t in self._best.items()}
        tensors |= {"depth.gain": self._gain, "depth.offset": self._offset, "window": self._window}
        tensors |= optimizer_tensors(self._optimizer, self._parameters)
        state = {
            "config": self.config.comparable(),
            "card": asdict(self.card),
            "data": self._data,
            "best": [self._best_step, self._best_loss if self._best else None, self._bad],
            "steps_in_window": self._steps_in_window,
            "red_lines": self._red_lines.remembered(),
        }
        save_checkpoint(self._out / CHECKPOINTS, step, tensors=tensors, state=state, keep=self.config.keep)

    def _restore(self, found: Checkpoint) -> int:
        """Go on from a checkpoint; returns its step. Raises ModelMismatch when it is of another run."""
        state, where = found.state, f"the checkpoint in {found.folder}"
        EncoderCard.from_json(state["card"], source=where).require(self.card, what=where)
        if state["data"] != self._data:
            raise ModelMismatch(
                f"{where} was trained on other pairs; resume with the same files, or choose another --out"
            )
        for name, value in self.config.comparable().items():
            if (before := state["config"].get(name)) != value:
                raise ModelMismatch(
                    f"{where} was made with {name} = {before}, not {value}; resume with the same settings"
                )
        for skipped in found.skipped:
            self.tally.count("damaged checkpoint passed over", skipped)
        tensors = found.tensors()
        self.head.load_state_dict(_under(_HEAD, tensors))
        self._best = _under(_BEST, tensors)
        with torch.no_grad():
            for mine, name in ((self._gain, "depth.gain"), (self._offset, "depth.offset"), (self._window, "window")):
                mine.copy_(tensors[name])
        restore_optimizer(self._optimizer, self._parameters, tensors)
        self._best_step, best, self._bad = state["best"]
        self._best_loss = math.inf if best is None else best
        self._steps_in_window = state["steps_in_window"]
        self._red_lines = RedLines(self.config.rules, remembered=state["red_lines"])
        return found.step

    def _ended(self, step: int, why: str, crossings: list[Crossing]) -> Ended:
        metrics = self.held_out.measure(self.best_head.to(self.device), self._matrix) if self.held_out else {}
        best = self._best_step if self._best else step
        return Ended(step, self.total, why, best, self.chance, metrics, crossings)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
