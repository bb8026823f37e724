"""The training loop: supervised fine-tuning, contrastive training, or both at once.

A step is a pure function of the settings, the data and the weights before it, so a run that was killed and resumed takes the
course that it would have taken. Two losses are summed over the step's micro-batches before the optimizer moves once.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from burnqed.core.errors import BadInput, ModelError, RunError
from burnqed.core.seeding import child_seed
from burnqed.data.pace import Progress
from burnqed.joint.config import JointConfig, at_share
from burnqed.joint.dataset import Step
from burnqed.joint.fitting import fit
from burnqed.joint.losses import chance
from burnqed.joint.measure import Measure
from burnqed.joint.model import Weights
from burnqed.joint.prepare import Data, Prepared, prepare
from burnqed.joint.red_lines import Crossing, RedLines, severest
from burnqed.joint.state import learning, restore_run, run_tensors
from burnqed.models.language_model import is_out_of_memory
from burnqed.train.card import require_same_run, training_card, with_metrics
from burnqed.train.checkpoint import latest_checkpoint, save_checkpoint
from burnqed.train.journal import Journal
from burnqed.train.memory import GIB, Plan
from burnqed.train.optimizer import make_optimizer, rate_factor, set_rates
from burnqed.train.workers import Workers, clip

CHECKPOINTS = "checkpoints"


@dataclass
class Ended:
    """How a run ended: at which step, why, and what was measured last. ``finished`` means that it saw all of its steps."""

    step: int
    total: int
    finished: bool
    why: str
    metrics: dict[str, float]
    crossings: list[Crossing] = field(default_factory=list)
    checkpoint: Path | None = None


@dataclass(frozen=True)
class Told:
    """Where a run stands, for whoever draws it."""

    progress: Progress
    metrics: Mapping[str, float]
    chance: float | None


@dataclass(frozen=True)
class Listener:
    """Who is told: of the plan before the first step, of every step, and of every red line that is crossed."""

    plan: Callable[[Plan], None] = lambda plan: None
    step: Callable[[Told], None] = lambda told: None
    crossed: Callable[[Crossing], None] = lambda crossing: None
    note: Callable[[str], None] = lambda text: None


class Training:
    """One run. Make it, then :meth:`run` it once; ``stop`` is asked between steps and ends it in order.

    ``kind`` is ``sft`` or ``joint``. Raises BadInput and ModelMismatch for what cannot be trained with, ModelError when memory
    does not suffice or a number is not finite, RunError when the disk refuses.
    """

    def __init__(
        self,
        config: JointConfig,
        data: Data,
        out: Path,
        *,
        kind: str,
        workers: Workers,
        resume: bool = False,
        stop: Callable[[], bool] = lambda: False,
        listener: Listener | None = None,
    ) -> None:
        self.config = config
        self.out = out
        self.workers = workers
        self._stop = stop
        self._listener = listener or Listener()
        folder = out / CHECKPOINTS
        self._found = latest_checkpoint(folder) if folder.exists() else None
        if self._found is not None and not resume:
            raise BadInput(f"{out} holds a run already; go on with it by --resume, or choose another --out")
        if resume and self._found is None:
            self._listener.note(f"{out} holds no checkpoint yet: the run starts at its first step")
        with_head = kind == "joint"
        self.prepared: Prepared = prepare(config, data, out, workers, with_head=with_head)
        self.card = training_card(
            kind=kind,
            backbone=self.prepared.backbone,
            prompt_format=self.prepared.form.name,
            config=config.model_dump(mode="json"),
            manifests=self.prepared.manifests,
        )
        if self.prover.head is not None:
            self.card["head"] = self.prover.head.config.model_dump(mode="json")
        self.plan = fit(config, self.prepared)
        self._parameters = learning(self.prepared.prover)
        self._optimizer = make_optimizer(self._parameters, config.optimizer)
        self._measure = Measure(config, self.prepared, workers)
        self._red_lines = RedLines(config.monitor.all_rules)
        self._last: dict[str, float] = {}
        self._crossings: list[Crossing] = []

    @property
    def prover(self) -> Any:
        """The model that learns."""
        return self.prepared.prover

    def run(self) -> Ended:
        """Train to the end, or until stopped."""
        self._listener.plan(self.plan)
        begun = self._restored()
        total = self.prepared.total_steps
        began_s = time.monotonic()
        journal = Journal(self.out, resume_at=begun if self._found else None) if self.workers.main else None
        with journal or contextlib.nullcontext():
            if journal is not None and not journal.has_tensorboard:
                self._listener.note("TensorBoard is not installed; measurements are in metrics.jsonl alone")
            if begun == 0:
                if self.config.head.start is None:
                    self._measure.start_scale()
                self._record(journal, 0, self._measured(0))
            for step in range(begun, total):
                values = self._step(step)
                done = step + 1
                if done % self.config.eval_every == 0 or done % self.config.monitor.every == 0 or done == total:
                    values |= self._measured(done)
                crossings = self._record(journal, done, values)
                self._tell(Progress(done, total, begun, time.monotonic() - began_s), values)
                reaction = severest(crossings)
                if reaction == "abort":
                    raise ModelError(f"{crossings[0].sentence}; the last checkpoint is as it was{self._where()}")
                halted = self.workers.agree(self._stop())
                if done % self.config.save_every == 0 or done == total or halted or reaction == "stop":
                    self._save(done)
                if done < total and (halted or reaction == "stop"):
                    why = "stopped" if halted else crossings[0].sentence
                    return self._ended(done, finished=False, why=why)
        return self._ended(total, finished=True, why="every step was done")

    def _step(self, number: int) -> dict[str, float]:
        """One step of the optimizer; what it measured."""
        config = self.config
        share = number / self.prepared.total_steps
        weight = config.contrastive.weight * at_share(config.contrastive.schedule, share)
        began_s = time.monotonic()
        step = self.prepared.dataset.step(
            number,
            contrastive=weight > 0 and self.prover.head is not None,
            rank=self.workers.rank,
            world=self.workers.world,
        )
        torch.manual_seed(child_seed(config.seed, "step", number, self.workers.rank) % (1 << 63))
        factor = rate_factor(number, self.prepared.total_steps, config.optimizer)
        set_rates(self._optimizer, factor)
        head_only = self.config.head.start is None and share < self.config.contrastive.head_first
        sums = self._backward(step, self._weights(step, weight), head_only=head_only)
        parameters = list(self._parameters.values())
        self.workers.add_gradients(parameters)
        norm = clip(parameters, config.optimizer.clip)
        values = self._values(step, sums, weight) | {"gradient_norm": norm}
        if all(map(_finite, (values["loss"], norm))):
            self._optimizer.step()
            self.prover.follow()
        self._optimizer.zero_grad(set_to_none=True)
        values |= {
            "learning_rate": config.optimizer.lr * factor,
            "tokens_per_s": step.tokens / (time.monotonic() - began_s),
        }
        if self.workers.device.type == "cuda":
            values["memory_gib"] = torch.cuda.max_memory_allocated(self.workers.device) / GIB
        done = number + 1
        if self.prover.head is not None and weight and done % config.monitor.temperature_every == 0:
            values["temperature"] = float(self.prover.head.temperature.detach())
        return values

    def _backward(self, step: Step, weights: Weights, *, head_only: bool) -> list[float]:
        """Gradients of all micro-batches; sums of the losses over all processes."""
        sums = torch.zeros(6, dtype=torch.float64, device=self.workers.device)
        with self._memory_told():
            for micro in step.micros:
                losses = self.prover(micro, weights, head_only=head_only)
                losses.total.backward()
                sums += torch.stack(
                    [
                        x.detach().double()
                        for x in (
                            losses.total,
                            losses.sft,
                            losses.contrastive,
                            losses.depth,
                            losses.views,
                            losses.won,
                        )
                    ]
                )
        return self.workers.add(sums.tolist())

    def _weights(self, step: Step, weight: float) -> Weights:
        contests = weight / max(1, step.contests)
        return Weights(
            sft=self.config.sft_weight / max(1, step.labels),
            contrastive=contests,
            depth=contests * self.config.contrastive.depth_weight,
            views=weight * self.config.contrastive.view_weight / max(1, step.views),
        )

    def _values(self, step: Step, sums: list[float], weight: float) -> dict[str, float]:
        total, sft, contrastive, depth, views, won = sums
        values = {"loss": total}
        if step.labels and self.config.sft_weight:
            values["loss.sft"] = sft / step.labels
        if step.contests:
            values |= {
                "loss.contrastive": contrastive / step.contests,
                "loss.chance": chance(self.config.contrastive.negatives),
                "rank_1": won / step.contests,
                "lambda": weight,
            }
            if self.config.contrastive.depth_weight:
                values["loss.depth"] = depth / step.contests
            if step.views:
                values["loss.views"] = views / step.views
        return values

    def _measured(self, step: int) -> dict[str, float]:
        """What is due at this step on held-out theorems."""
        last = step == self.prepared.total_steps
        found: dict[str, float] = {}
        with self._memory_told():
            if step % self.config.eval_every == 0 or last:
                found |= self._measure.held_out_loss()
            if step % self.config.monitor.every == 0 or last:
                found |= self._measure.probes()
        return found

    def _record(self, journal: Journal | None, step: int, values: dict[str, float]) -> list[Crossing]:
        self._last |= values
        if journal is not None and values:
            journal.log(step, values)
        crossings = self._red_lines.check(step, values)
        for crossing in crossings:
            self._listener.crossed(crossing)
            if journal is not None:
                journal.crossed(step, reaction=crossing.rule.reaction, sentence=crossing.sentence)
        known = {c.rule.key for c in self._crossings}
        self._crossings += [c for c in crossings if c.rule.key not in known]
        return crossings

    def _tell(self, progress: Progress, values: Mapping[str, float]) -> None:
        bound = chance(self.config.contrastive.negatives) if self.prover.head is not None else None
        self._listener.step(Told(progress, values, bound))

    def _save(self, step: int) -> None:
        tensors = run_tensors(self.prover, self._optimizer)
        if self.workers.main:
            state = {
                "card": with_metrics(self.card, step=step, metrics=self._last),
                "red_lines": self._red_lines.remembered(),
            }
            save_checkpoint(self.out / CHECKPOINTS, step, tensors=tensors, state=state, keep=self.config.keep)
        self.workers.wait()

    def _restored(self) -> int:
        """The step after which a resumed run goes on; 0 for a new one."""
        if self._found is None:
            return 0
        for skipped in self._found.skipped:
            self._listener.note(skipped)
        require_same_run(self._found.state["card"], self.card, where=self._found.folder)
        restore_run(self.prover, self._optimizer, self._found.tensors())
        self._red_lines = RedLines(self.config.monitor.all_rules, remembered=self._found.state["red_lines"])
        self._last = {n: v for n, v in self._found.state["card"]["metrics"].items() if v is not None}
        return self._found.step

    def _ended(self, step: int, *, finished: bool, why: str) -> Ended:
        found = latest_checkpoint(self.out / CHECKPOINTS)
        return Ended(
            step=step,
            total=self.prepared.total_steps,
            finished=finished,
            why=why,
            metrics=self._last,
            crossings=self._crossings,
            checkpoint=found.folder if found else None,
        )

    def _where(self) -> str:
        with contextlib.suppress(RunError):
            found = latest_checkpoint(self.out / CHECKPOINTS)
            if found is not None:
                return f" ({found.folder})"
        return " (there is none yet)"

    @contextlib.contextmanager
    def _memory_told(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise ModelError(
                f"memory does not suffice for a batch of {self.config.batch.micro_tokens} tokens; lower batch.micro_tokens"
                f" or raise checkpoint_layers, and resume from the last checkpoint{self._where()}"
            ) from error


def _finite(value: float) -> bool:
    return value - value == 0
