"""The figures of an evaluation, against numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from burnqed.evaluate.record import Benchmark, Budget, EncoderFigures, EvalSpec, Evaluation, Item, System, revision_of
from burnqed.evaluate.sessions import Session
from burnqed.evaluate.statistics import wilson
from burnqed.evaluate.summary import Summary, summarize, write_summary
from burnqed.run.result import TheoremResult


def spec_of(*names: str, seeds: tuple[int, ...] = (0,), arms: tuple[str, ...] = ("own",)) -> EvalSpec:
    items = tuple(Item(name, f"d{name}") for name in names)
    return EvalSpec(
        name="lab",
        benchmark=Benchmark(
            name="small valid", path="x", sha256="0", split="valid", revision=revision_of(items), theorems=items
        ),
        system=System(policy="the menu", value="size", prompt_format="", models={}, config={}),
        budget=Budget(nodes=100, seconds=10.0),
        seeds=seeds,
        arms=arms,
        lean="4.28.0",
        burnqed="0",
    )


def proved(name: str, *, nodes: int = 1, seconds: float = 1.0, tactics: int = 8, **more: object) -> TheoremResult:
    return TheoremResult(
        name=name,
        status="proved",
        digest=f"d{name}",
        nodes=nodes,
        seconds=seconds,
        tactics=tactics,
        ended="proved",
        **more,  # type: ignore[arg-type]
    )


def failed(name: str, ended: str = "out_of_time", **more: object) -> TheoremResult:
    return TheoremResult(name=name, status="not_proved", digest=f"d{name}", ended=ended, **more)  # type: ignore[arg-type]


def rejected(name: str) -> TheoremResult:
    return TheoremResult(name=name, status="error", digest=f"d{name}", reason=f"Lean does not accept {name}")


def evaluation(spec: EvalSpec, *results: list[TheoremResult], arm: str = "own") -> Evaluation:
    """Results of one arm, a list for each seed."""
    by_seed = {seed: {r.name: r for r in each} for seed, each in zip(spec.seeds, results, strict=True)}
    return Evaluation(Path("x"), spec, {arm: by_seed})


def test_share_interval_endings_and_costs_of_one_seed():
    results = [
        proved("a", nodes=2, seconds=1.0, tactics=10, axioms=["propext"]),
        proved("b", nodes=4, seconds=3.0, tactics=30, axioms=["propext", "Quot.sound"]),
        failed("c", "out_of_time", nodes=30, seconds=10.0, tactics=100),
        failed("d", "exhausted", nodes=4, seconds=2.0, tactics=20),
        rejected("e"),
    ]
    found = summarize(evaluation(spec_of("a", "b", "c", "d", "e"), results))
    own = found.arms["own"]
    assert (found.theorems, found.searches, found.missing) == (5, 5, 0)
    assert own.proved == (2,)
    assert own.share == 0.4
    assert (own.low, own.high) == (wilson(2, 5).low, wilson(2, 5).high)
    assert own.ended == {"out_of_time": 1, "exhausted": 1, "error": 1}
    assert own.curves == {"nodes": (2, 4), "tactics": (10, 30), "seconds": (1.0, 3.0)}
    assert (own.costs["nodes"].mean, own.costs["nodes"].median, own.costs["nodes"].per_proof) == (3, 3, 20)
    assert own.costs["seconds"].per_proof == 8.0  # 16 seconds of search, two proofs
    assert own.axioms == {"propext": 2, "Quot.sound": 1}
    assert [(f.theorem, f.arm, f.seeds) for f in found.failed] == [("e", "own", (0,))]


def test_several_seeds_are_averaged_by_theorem():
    # a: both seeds, b: one of two, c: none. Mean (1 + 1/2 + 0) / 3.
    spec = spec_of("a", "b", "c", seeds=(3, 5))
    found = summarize(
        evaluation(spec, [proved("a"), proved("b"), failed("c")], [proved("a"), failed("b"), failed("c")])
    )
    own = found.arms["own"]
    assert own.proved == (2, 1)
    assert own.share == pytest.approx(0.5)
    assert own.pass_at_k == pytest.approx((0.5, 2 / 3))
    assert (own.low, own.high) == (wilson(1.5, 3).low, wilson(1.5, 3).high)
    assert "3 theorems" in own.interval
    assert len(own.curves["nodes"]) == 3


def test_seeds_that_all_agree_say_no_more_than_one():
    spec = spec_of("a", "b", seeds=(0, 1, 2))
    found = summarize(evaluation(spec, *([[proved("a"), failed("b")]] * 3))).arms["own"]
    assert (found.low, found.high) == (wilson(1, 2).low, wilson(1, 2).high)
    assert found.interval == "Wilson, 2 theorems"


def test_what_was_not_searched_counts_as_not_proved_and_is_counted():
    spec = spec_of("a", "b", "c", "d")
    found = summarize(evaluation(spec, [proved("a")]))
    assert found.missing == 3
    assert found.arms["own"].share == 0.25


def test_an_evaluation_of_which_nothing_was_searched():
    spec = spec_of("a", "b", arms=("own", "none"))
    found = summarize(Evaluation(Path("x"), spec, {}))
    assert found.missing == 4
    assert found.arms["none"].share == 0
    assert found.arms["none"].costs == {}
    assert found.arms["none"].busy is None


def test_tokens_are_told_where_there_are_any():
    spec = spec_of("a", "b")
    found = summarize(evaluation(spec, [proved("a", tokens=12), failed("b", tokens=30)])).arms["own"]
    assert found.curves["tokens"] == (12,)
    assert found.costs["tokens"].per_proof == 42


def test_where_the_time_went_is_what_was_waited_for_and_the_rest_is_our_own():
    spec = spec_of("a", "b")
    results = [
        proved("a", seconds=4.0, spent_s={"lean": 2.0, "gate": 1.0, "policy": 0.5}),
        failed("b", seconds=6.0, spent_s={"lean": 5.0, "value": 0.25}),
    ]
    sessions = [
        Session(arm="own", seed=0, workers=2, searches=1, searched_s=4.0, wall_s=4.0, troubles={"cut": 2}),
        Session(arm="own", seed=0, workers=1, searches=1, searched_s=6.0, wall_s=7.0, troubles={"cut": 1, "lost": 4}),
        Session(arm="none", seed=0, workers=4, searches=1, searched_s=1.0, wall_s=100.0),
    ]
    found = summarize(evaluation(spec, results), sessions).arms["own"]
    assert found.seconds == 10.0
    assert found.spent_s == {"lean": 7.0, "gate": 1.0, "policy": 0.5, "value": 0.25, "own": 1.25}
    assert found.wall_s == 11.0
    assert found.troubles == {"lost": 4, "cut": 3}
    assert found.busy == pytest.approx(10 / 15)  # two workers for 4 s, one for 7 s


def test_one_reason_of_several_seeds_is_told_once():
    spec = spec_of("a", seeds=(0, 1))
    found = summarize(evaluation(spec, [rejected("a")], [rejected("a")]))
    assert [(f.theorem, f.seeds) for f in found.failed] == [("a", (0, 1))]


def test_records_from_before_endings_were_kept():
    found = summarize(evaluation(spec_of("a"), [failed("a", "")]))
    assert found.arms["own"].ended == {"not told": 1}


def test_the_summary_can_be_read_back(tmp_path):
    spec = spec_of("a", "b", seeds=(0, 1))
    base = evaluation(spec, [proved("a"), failed("b")], [proved("a"), rejected("b")])
    encoder = EncoderFigures(pairs="p", pairs_sha256="0", encoder="e", figures={"ebm.rank_1": 0.5})
    found = summarize(Evaluation(base.path, spec, base.results, encoder))
    write_summary(tmp_path, found)
    assert msgspec.json.decode((tmp_path / "summary.json").read_bytes(), type=Summary) == found
    assert msgspec.json.decode(found.written(), type=Summary) == found
    assert found.encoder == {"ebm.rank_1": 0.5}


@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=8))
def test_figures_agree_with_each_other(outcomes):
    names = [f"t{i}" for i in range(len(outcomes))]
    spec = spec_of(*names, seeds=(0, 1, 2))
    results = [
        [proved(n, nodes=i + 1) if o[s] else failed(n) for i, (n, o) in enumerate(zip(names, outcomes, strict=True))]
        for s in range(3)
    ]
    own = summarize(evaluation(spec, *results)).arms["own"]
    total = sum(map(sum, outcomes))
    assert sum(own.proved) == total == len(own.curves["nodes"])
    assert sum(own.ended.values()) == 3 * len(names) - total
    assert own.low <= own.share <= own.high
    assert own.pass_at_k[0] == pytest.approx(own.share)
    assert list(own.pass_at_k) == sorted(own.pass_at_k)
    assert own.pass_at_k[-1] == pytest.approx(sum(map(any, outcomes)) / len(outcomes))
