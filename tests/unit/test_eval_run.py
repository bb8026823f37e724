"""An evaluation over fakes: what it leaves on disk, how it goes on, and what it refuses to go on with."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from filelock import FileLock

from burnqed.assemble.config import RunConfig
from burnqed.assemble.parts import Parts
from burnqed.assemble.sources import load_config
from burnqed.core.calibration import Calibration
from burnqed.core.errors import BadInput, ModelMismatch
from burnqed.core.events import Event, TacticApplied
from burnqed.core.theorem import Theorem
from burnqed.evaluate.record import Benchmark, Item, read_evaluation, read_spec, revision_of, run_path
from burnqed.evaluate.run import Asked, Shard, Site, arms_of, evaluate
from burnqed.evaluate.sessions import read_sessions
from burnqed.evaluate.systems import lean_told, preset_settings, system_of
from burnqed.lean.embedded.install import EmbeddedLean
from burnqed.run.folder import RunFolder
from burnqed.run.result import TheoremResult
from burnqed.testing.fakes import DONE, FakeLean, ScriptedPolicy, ToyValue
from burnqed.trajectory.reader import read_nodes

LEAN = EmbeddedLean(*(Path("/nowhere") for _ in range(5)), lean_version="4.28.0")
PROVES = {("start", "a"): DONE}


@dataclass
class Screens:
    """Remembers what was begun, and what ended."""

    begun: list[tuple[str, int, int]] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    def __call__(self, arm: str, seed: int, total: int) -> Screens:
        self.begun.append((arm, seed, total))
        return self

    def __enter__(self) -> Screens:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def emit(self, event: Event) -> None:
        pass

    def result(self, result: TheoremResult) -> None:
        self.ended.append(result.name)


@dataclass
class Lab:
    """A system of fakes. ``opened`` are the seeds with which its parts were opened."""

    lean: FakeLean = field(default_factory=lambda: FakeLean(PROVES))
    value: ToyValue = field(default_factory=ToyValue)
    about: dict = field(default_factory=dict)
    opened: list[int] = field(default_factory=list)
    screens: Screens = field(default_factory=Screens)
    calibration: Calibration | None = None

    @contextlib.asynccontextmanager
    async def parts(self, config: RunConfig) -> AsyncIterator[Parts]:
        self.opened.append(config.search.seed)
        search = config.search
        if self.calibration is not None:
            search = search.model_copy(update={"value_weight": self.calibration.value_weight})
        policy = ScriptedPolicy(default=[("b", -0.1), ("a", -0.5)])
        yield Parts(policy, self.value, search, calibration=self.calibration, about=self.about)

    @property
    def site(self) -> Site:
        return Site(lean=LEAN, pool=self.lean, gate=self.lean, parts=self.parts, screen=self.screens, workers=2)


def theorem(name: str, claim: str = "True") -> Theorem:
    return Theorem(name, f"theorem {name} : {claim}")


THEOREMS = tuple(theorem(name) for name in ("t1", "t2", "t3", "t4", "t5"))


def benchmark_of(*theorems: Theorem, name: str = "small") -> Benchmark:
    items = tuple(Item(t.name, t.digest) for t in theorems)
    return Benchmark(name=name, path="x", sha256="0", split="", revision=revision_of(items), theorems=items)


def config_of(*assignments: str) -> RunConfig:
    return load_config(environment={}, flags={}, assignments=assignments)


def asked(folder: Path, *theorems: Theorem, **more: object) -> Asked:
    theorems = theorems or THEOREMS
    settings = {"name": "fakes", "config": config_of(), "lean": lean_told(LEAN)} | more
    return Asked(folder=folder, benchmark=benchmark_of(*theorems), theorems=theorems, **settings)  # type: ignore[arg-type]


async def test_every_arm_and_seed_has_a_run_folder_and_can_be_read(tmp_path):
    lab = Lab()
    await evaluate(asked(tmp_path, arms=("own", "none"), seeds=(0, 7)), lab.site)
    found = read_evaluation(tmp_path)
    assert found.missing == 0
    assert found.spec.seeds == (0, 7)
    assert {arm: {s: len(r) for s, r in by.items()} for arm, by in found.results.items()} == {
        "own": {0: 5, 7: 5},
        "none": {0: 5, 7: 5},
    }
    assert found.proved("none") == {t.name: [True, True] for t in THEOREMS}
    assert lab.opened == [0, 7]
    assert lab.screens.begun == [("own", 0, 5), ("none", 0, 5), ("own", 7, 5), ("none", 7, 5)]
    run = json.loads((run_path(tmp_path, "none", 7) / "run.json").read_text())
    assert (run["config"]["search"]["seed"], run["config"]["value"]["kind"]) == (7, "none")
    assert "seed" not in found.spec.system.config["search"]
    assert {(s.arm, s.seed, s.searches, s.workers) for s in read_sessions(tmp_path)} == {
        ("own", 0, 5, 2),
        ("own", 7, 5, 2),
        ("none", 0, 5, 2),
        ("none", 7, 5, 2),
    }


async def test_the_value_of_an_arm_is_what_its_searches_are_judged_by(tmp_path):
    lab = Lab(value=ToyValue({"next": 3.5}), calibration=Calibration(1.0, 0.0, value_weight=0.25))
    lab.lean = FakeLean({("start", "b"): "next", ("next", "a"): DONE})
    await evaluate(asked(tmp_path, THEOREMS[0], arms=("own", "none", "goals")), lab.site)

    def judged(arm: str) -> list:
        rows = read_nodes(run_path(tmp_path, arm, 0) / "trajectory").to_pylist()
        return [row["energy"] for row in rows if row["energy"] is not None and row["depth"]]

    assert judged("own") == [3.5]
    assert judged("none") == [0.0]
    assert judged("goals") == [1.0]


async def test_the_same_call_goes_on_with_what_is_missing_and_no_more(tmp_path):
    lab = Lab()
    await evaluate(asked(tmp_path), lab.site)
    results = run_path(tmp_path, "own", 0) / "results.jsonl"
    lines = results.read_text().splitlines(keepends=True)
    results.write_text("".join(lines[:2]) + lines[2][:20])
    again = Lab()
    await evaluate(asked(tmp_path), again.site)
    assert len(again.screens.ended) == 3
    assert read_evaluation(tmp_path).missing == 0
    nothing = Lab()
    await evaluate(asked(tmp_path), nothing.site)
    assert nothing.lean.applied == []
    assert nothing.screens.begun == []


async def test_more_seeds_and_arms_are_added_and_what_is_there_stays(tmp_path):
    await evaluate(asked(tmp_path), Lab().site)
    lab = Lab()
    await evaluate(asked(tmp_path, arms=("none",), seeds=(0, 1)), lab.site)
    spec = read_spec(tmp_path)
    assert (spec.arms, spec.seeds) == (("own", "none"), (0, 1))
    assert [begun[:2] for begun in lab.screens.begun] == [("none", 0), ("none", 1)]
    assert read_evaluation(tmp_path, complete=False).missing == 5


async def test_what_ended_in_an_error_is_tried_again(tmp_path):
    bad = Lab(lean=FakeLean(PROVES, rejects=True))
    await evaluate(asked(tmp_path), bad.site)
    found = read_evaluation(tmp_path)
    assert {r.status for r in found.all_results("own")} == {"error"}
    assert found.proved("own")["t1"] == [False]
    good = Lab()
    await evaluate(asked(tmp_path), good.site)
    assert len(good.screens.ended) == 5
    assert read_evaluation(tmp_path).proved("own")["t1"] == [True]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"config": config_of("search.max_nodes=7")}, "the budget was 800 nodes, 300 s, not 7 nodes, 300 s"),
        ({"config": config_of("search.max_tactics=7")}, "not 800 nodes, 300 s, 7 tactics"),
        ({"config": config_of("search.strategy=puct")}, "search.strategy is puct, not best-first"),
        ({"config": config_of("value.kind=goals")}, "value.kind is goals, not size"),
        ({"config": config_of("lean.statement_timeout_s=1")}, "lean.statement_timeout_s is 1"),
        ({"lean": "4.29.0, embedded"}, "Lean was 4.28.0, embedded, not 4.29.0, embedded"),
    ],
)
async def test_another_budget_system_or_lean_is_refused_with_what_differs(tmp_path, change, says):
    await evaluate(asked(tmp_path), Lab().site)
    before = (tmp_path / "eval.json").read_bytes()
    with pytest.raises(BadInput, match=f"holds another evaluation: .*{says}.*choose another --out"):
        await evaluate(asked(tmp_path, **change), Lab().site)
    assert (tmp_path / "eval.json").read_bytes() == before


async def test_a_benchmark_that_changed_is_refused_with_the_theorems(tmp_path):
    await evaluate(asked(tmp_path), Lab().site)
    with pytest.raises(BadInput, match="the benchmark changed since, 2 theorems differ, such as t5, t6"):
        await evaluate(asked(tmp_path, *THEOREMS[:4], theorem("t6")), Lab().site)
    with pytest.raises(BadInput, match="1 theorems differ, such as t5"):
        await evaluate(asked(tmp_path, *THEOREMS[:4], theorem("t5", "1 = 1")), Lab().site)


async def test_another_model_under_the_same_path_or_another_prompt_format_is_refused(tmp_path):
    about = {"models": {"policy": {"model": "aaaa", "prompt_format": "markers"}}}
    await evaluate(asked(tmp_path), Lab(about=about).site)
    assert read_spec(tmp_path).system.prompt_format == "markers"
    other = {"models": {"policy": {"model": "bbbb", "prompt_format": "markers"}}}
    with pytest.raises(BadInput, match="the policy is another one under the same path, its hash is bbbb, not aaaa"):
        await evaluate(asked(tmp_path), Lab(about=other).site)
    form = {"models": {"policy": {"model": "aaaa", "prompt_format": "deepseek-tactic"}}}
    with pytest.raises(BadInput, match="the prompt format is deepseek-tactic, not markers"):
        await evaluate(asked(tmp_path), Lab(about=form).site)


async def test_workers_and_patience_may_differ_and_commits_and_machines_are_all_told(tmp_path):
    await evaluate(asked(tmp_path, commit="c1", machine="m"), Lab().site)
    free = config_of("lean.workers=3", "policy.endpoint.retries=9")
    await evaluate(asked(tmp_path, config=free, commit="c2", machine="m"), Lab().site)
    spec = read_spec(tmp_path)
    assert (spec.commit, spec.machine) == ("c1; c2", "m")


async def test_shards_do_their_own_part_and_are_read_as_one(tmp_path):
    labs = [Lab(), Lab()]
    for number, lab in enumerate(labs, start=1):
        await evaluate(asked(tmp_path, shard=Shard(number, 2)), lab.site)
        assert asked(tmp_path, shard=Shard(number, 2)).missing() == 0
        assert asked(tmp_path).missing() == (2 if number == 1 else 0)
    assert [sorted(lab.screens.ended) for lab in labs] == [["t1", "t3", "t5"], ["t2", "t4"]]
    assert read_evaluation(tmp_path).missing == 0
    assert {s.shard for s in read_sessions(tmp_path)} == {"shard_1_of_2", "shard_2_of_2"}
    whole = Lab()
    await evaluate(asked(tmp_path), whole.site)
    assert whole.screens.ended == []


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "1/0", "-1/4", ""])
def test_a_shard_that_is_none(text):
    with pytest.raises(BadInput, match=r"it is I/N"):
        Shard.parse(text)


def test_a_shard_is_read():
    assert Shard.parse("2/4") == Shard(2, 4)


async def test_a_folder_at_which_another_process_works_is_refused_and_another_shard_of_it_is_not(tmp_path):
    with FileLock(tmp_path / ".shard_1_of_2.lock"):
        with pytest.raises(
            BadInput, match=r"at work on the shard 1/2 of .*; wait for it, or give each process a --shard"
        ):
            await evaluate(asked(tmp_path, shard=Shard(1, 2)), Lab().site)
        await evaluate(asked(tmp_path, shard=Shard(2, 2)), Lab().site)


async def test_a_search_that_was_cancelled_is_done_when_it_is_called_again(tmp_path):
    lab = Lab()

    stuck, one = asyncio.Event(), asyncio.Semaphore(1)

    class Slow(FakeLean):
        """One search at a time, and the third hangs."""

        async def check(self, theorem, source):
            if len(lab.screens.ended) == 2:
                stuck.set()
                await asyncio.Event().wait()
            return await super().check(theorem, source)

        @contextlib.asynccontextmanager
        async def lease(self):
            async with one:
                yield self

    lab.lean = Slow(PROVES)
    task = asyncio.ensure_future(evaluate(asked(tmp_path), lab.site))
    await stuck.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert read_evaluation(tmp_path, complete=False).missing == 3
    assert [s.searches for s in read_sessions(tmp_path)] == [2]
    await evaluate(asked(tmp_path), Lab().site)
    assert read_evaluation(tmp_path).missing == 0


async def test_troubles_are_told_of_the_arm_in_which_they_came(tmp_path):
    lab = Lab()

    class Troubled(ScriptedPolicy):
        async def propose(self, states, n):
            tally.count("empty completion", "x")
            return await super().propose(states, n)

    @contextlib.asynccontextmanager
    async def parts(config):
        nonlocal tally
        made = Parts(Troubled(default=[("a", -0.5)]), lab.value, config.search)
        tally = made.tally
        yield made

    tally = None
    await evaluate(asked(tmp_path, arms=("own", "none")), dataclasses.replace(lab.site, parts=parts))
    for arm in ("own", "none"):
        troubles = json.loads((run_path(tmp_path, arm, 0) / "troubles.json").read_text())
        assert troubles == {"empty completion": {"count": 5, "example": "x"}}
    assert [s.troubles for s in read_sessions(tmp_path)] == [{"empty completion": 5}] * 2


async def test_parts_are_shown_once_when_the_evaluation_stands(tmp_path):
    seen = []

    async def on_parts(parts: Parts) -> None:
        seen.append(read_spec(tmp_path).name)

    await evaluate(asked(tmp_path, seeds=(0, 1)), dataclasses.replace(Lab().site, on_parts=on_parts))
    assert seen == ["fakes"]


async def test_a_result_of_another_statement_in_the_folder_is_not_taken_for_this_one(tmp_path):
    await evaluate(asked(tmp_path), Lab().site)
    folder = RunFolder(run_path(tmp_path, "own", 0))
    folder.record(msgspec.structs.replace(folder.last_results()["t1"], digest="other"))
    with pytest.raises(BadInput, match="t1 is not the theorem of that name"):
        read_evaluation(tmp_path)


def test_arms_are_known_and_none_repeats_the_systems_own():
    assert arms_of(["own", "none", "size", "none"], config_of()) == ("own", "none")
    assert arms_of(["own", "size"], config_of("value.kind=goals")) == ("own", "size")
    assert arms_of(["size"], config_of()) == ("size",)
    with pytest.raises(BadInput, match="there is no arm head"):
        arms_of(["own", "head"], config_of())
    with pytest.raises(BadInput, match="--arms names no arm"):
        arms_of([], config_of())


def test_presets_are_settings_from_folders_of_iterations(tmp_path):
    for name in ("iter_0/model", "iter_0/head", "iter_1/model", "iter_1/head", "iter_1/joint_head"):
        (tmp_path / name).mkdir(parents=True)

    def of(preset, **more):
        found = preset_settings(preset, tmp_path, **more)
        return [str(Path(found[k]).relative_to(tmp_path)) for k in ("policy.model", "value.head")]

    assert of("A") == ["iter_0/model", "iter_0/head"]
    assert of("B") == ["iter_1/model", "iter_1/head"]
    assert of("C") == ["iter_1/model", "iter_1/joint_head"]
    with pytest.raises(BadInput, match=r"--preset B is .*, and there is no .*iter_3/model"):
        of("B", later=3)
    config = load_config(environment={}, flags=preset_settings("C", tmp_path))
    assert (config.policy.kind, config.value.kind) == ("model", "head")


def test_a_menu_and_a_head_of_other_contents_are_other_systems(tmp_path):
    menu = tmp_path / "menu.txt"
    menu.write_text("1 | intro | rfl")
    head = tmp_path / "head"
    head.mkdir()
    (head / "head.json").write_text("{}")
    config = config_of(f"policy.menu={menu}", "value.kind=head", f"value.head={head}", f"value.encoder={tmp_path}")
    first = system_of(config, {})
    menu.write_text("2 | intro | rfl")
    second = system_of(config, {})
    (head / "head.json").write_text("{ }")
    third = system_of(config, {})
    assert first.models["menu"] != second.models["menu"] == third.models["menu"]
    assert second.models["head"] != third.models["head"]
    assert second.value == f"head {head}"


async def test_a_mismatch_of_models_ends_everything(tmp_path):
    class Other(ToyValue):
        async def energies(self, pairs):
            raise ModelMismatch("another encoder")

    with pytest.raises(ModelMismatch):
        await evaluate(asked(tmp_path), Lab(value=Other()).site)


def test_events_reach_the_screen(tmp_path):
    events: list[Event] = []

    class Seeing(Screens):
        def emit(self, event: Event) -> None:
            events.append(event)

    asyncio.run(evaluate(asked(tmp_path, THEOREMS[0]), Lab(screens=Seeing()).site))
    assert any(isinstance(event, TacticApplied) for event in events)
