"""The report of a comparison, its targets, and the command."""

from __future__ import annotations

import itertools
import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from compare_lab import FIGURES, changed, read, spec, write
from typer.testing import CliRunner

from burnqed.cli.main import app
from burnqed.core.errors import BadInput, RunError
from burnqed.evaluate.compare_report import HTML, JSON, MARKDOWN, as_plain, write_comparison
from burnqed.evaluate.compare_targets import RANK_1, Target, rank_1_interval, targets
from burnqed.evaluate.comparison import compare
from burnqed.evaluate.record import NO_VALUE, OWN, Evaluation, read_evaluation
from burnqed.evaluate.statistics import Interval, wilson
from burnqed.report.forest import Estimate, forest
from burnqed.report.risers import Riser, riser_chart

PROVES = {"A": range(6), "B": [0, 1, 2, 3, *range(6, 14)], "C": range(16)}


class Checked(HTMLParser):
    """Every element closed in order, nothing that runs or is fetched."""

    VOID = frozenset({"meta"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in {"script", "link", "img", "iframe"}
        assert not any(name.startswith("on") or name in {"src", "href"} for name, _ in attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def abc(tmp_path: Path, **changes: Any) -> dict[str, Evaluation]:
    """Three evaluations with figures of their encoders."""
    return {
        label: read(
            tmp_path / label,
            changed(spec(label), **changes),
            {OWN: [hit], NO_VALUE: [[0, 1]]},
            figures={**FIGURES, "probe.centroid_l2": l2},
        )
        for (label, hit), l2 in zip(PROVES.items(), (5.5, 4.0, 2.5), strict=True)
    }


def written(tmp_path: Path, named: dict[str, Evaluation], plan: str | None = None) -> Path:
    comparison = compare(named, resamples=200)
    return write_comparison(tmp_path / "out", comparison, named, targets(comparison, plan), title="<A> & co").parent


def test_the_page_is_whole_and_needs_nothing_but_itself(tmp_path):
    html = (written(tmp_path, abc(tmp_path), "seed") / HTML).read_text()
    checker = Checked()
    checker.feed(html)
    assert checker.open == []
    assert "&lt;A&gt; &amp; co" in html
    assert not re.search(r"https?://", html)
    for svg in re.findall(r"<svg.*?</svg>", html):
        ET.fromstring(svg)
        assert "nan" not in svg
        assert "inf" not in svg


def test_the_verdict_comes_first_and_everything_is_there(tmp_path):
    folder = written(tmp_path, abc(tmp_path), "seed")
    html, text = (folder / HTML).read_text(), (folder / MARKDOWN).read_text()
    sections = ["Verdict", "Who proves what", "Embeddings and head", "Targets and red lines", "Gained and lost"]
    for where, mark in ((html, "<h2>{}</h2>"), (text, "## {}\n")):
        at = [where.index(mark.format(section)) for section in [*sections, "What was compared"]]
        assert at == sorted(at)
    for told in ("100 nodes, 60 s, 500 tactics", "4.28.0, embedded", "commit abc123", "hash of B", "revision"):
        assert told in html
        assert told in text
    assert "`t6`, `t7`" in text, "what was gained has names"
    assert "| A → B | 37.5 % | 75.0 % | +37.5 |" in text
    assert "| 4 and more | A | 100 | 36.0 % |" in text
    assert "length 28.0 %; goals 26.0 %" in text


def test_what_is_stored_can_be_read_and_has_each_seed(tmp_path):
    stored = json.loads((written(tmp_path, abc(tmp_path)) / JSON).read_text())
    first = stored["pairs"][0]
    assert (first["first"], first["second"]) == ({"label": "A", "arm": OWN}, {"label": "B", "arm": OWN})
    assert first["by_seed"] == [{"seed": 0, "only_first": 2, "only_second": 8, "p": 0.109375}]
    assert stored["systems"]["A"]["budget"]["tactics"] == 500
    assert "theorems" not in stored["systems"]["A"]["benchmark"]
    assert [v["question"][:5] for v in stored["verdicts"][:3]] == ["A → B", "B → C", "A → C"]


def test_names_cannot_break_a_table(tmp_path):
    named = abc(tmp_path, commit="a|b\n| c", machine="<script>alert(1)</script>")
    folder = written(tmp_path, named)
    rows = [line for line in (folder / MARKDOWN).read_text().splitlines() if "a\\|b" in line and line.startswith("|")]
    assert rows
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 3 for row in rows)
    assert "<script" not in (folder / HTML).read_text()


def test_nothing_proved_and_no_figures_is_a_report_too(tmp_path):
    named = {x: read(tmp_path / x, spec(x, arms=(OWN,)), {}) for x in "AB"}
    html = (written(tmp_path, named) / HTML).read_text()
    assert "Nothing was proved." in html
    assert "Embeddings and head" not in html
    assert "none of 16 theorems came out differently" in html


def test_figures_of_different_pairs_are_not_set_beside_each_other_without_a_word(tmp_path):
    named = abc(tmp_path)
    path = named["B"].path / "encoder.json"
    path.write_text(path.read_text().replace("cd" * 32, "ef" * 32))
    named["B"] = read_evaluation(named["B"].path)
    assert "cannot be compared with each other" in (written(tmp_path, named) / MARKDOWN).read_text()


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    named = abc(tmp_path)
    (tmp_path / "out").write_text("a file")
    with pytest.raises(RunError, match="out cannot be made"):
        written(tmp_path, named)


@pytest.mark.parametrize(
    ("value", "interval", "status", "sure"),
    [
        (0.36, Interval(0.36, 0.5), "reached", True),
        (0.36, Interval(0.3, 0.42), "reached", False),
        (0.3, Interval(0.26, 0.34), "not reached", True),
        (0.3, Interval(0.26, 0.35), "not reached", False),
        (0.24, Interval(0.1, 0.245), "red line crossed", True),
        (0.24, Interval(0.2, 0.3), "red line crossed", False),
        (0.5, None, "reached", False),
        (None, None, "not measured", False),
    ],
)
def test_a_target_is_told_with_how_sure_it_is(value, interval, status, sure):
    target = Target("A", "x", value, interval, 0.35, 0.25)
    assert (target.status, target.sure) == (status, sure)


def test_the_seeds_targets_are_those_of_its_table(tmp_path):
    named = abc(tmp_path)
    planned = targets(compare(named, resamples=100), "seed")
    asked = {(t.system, t.what): (t.goal, t.red, t.status) for t in planned.targets}
    assert asked["A", "proved without a value"] == (0.35, 0.25, "red line crossed")
    assert asked["A", "proved with its own value"] == (0.40, 0.35, "not reached"), "6 of 16"
    assert asked["C", "proved with its own value"] == (0.45, 0.35, "reached")
    assert asked["A", "distance of centroids"] == (5.0, 3.0, "reached")
    assert asked["B", "distance of centroids"] == (5.5, 3.0, "not reached"), "at least the first iteration's own"
    assert asked["C", "distance of centroids"] == (5.5, 3.0, "red line crossed")
    assert asked["B", "linear probe"] == (0.8, 0.65, "reached")
    assert asked["A", "rank-1 at depth 4 and more"] == (0.30, 0.25, "reached")
    assert asked["C", "rank-1 at depth 4 and more"] == (0.40, 0.25, "not reached")
    assert "this is toy with 16 theorems, where the numbers mean something else" in planned.notes[1]


def test_the_seeds_targets_fit_the_benchmark_that_they_were_made_for(tmp_path):
    about = spec("A", theorems=244)
    about = changed(about, benchmark=msgspec.structs.replace(about.benchmark, name="miniF2F"))
    named = {x: read(tmp_path / x, about, {}) for x in "AB"}
    planned = targets(compare(named, resamples=100), "seed")
    assert len(planned.notes) == 1
    assert {t.status for t in planned.targets if "embed" in t.what or "probe" in t.what} <= {"not measured"}


def test_without_a_plan_a_later_system_must_not_be_below_an_earlier_one(tmp_path):
    named = abc(tmp_path)
    planned = targets(compare(named, resamples=100))
    found = {t.what: t.status for t in planned.targets if t.system == "B"}
    assert found["proved by B with its own value, not below A"] == "reached"
    assert found["distance of centroids, not below A"] == "not reached"
    assert all(t.red is None for t in planned.targets)


def test_the_interval_of_rank_1_is_that_of_its_groups():
    assert rank_1_interval(FIGURES, RANK_1) == wilson(36, 100)
    assert rank_1_interval({RANK_1: 0.3}, RANK_1) is None
    assert rank_1_interval({RANK_1: 1.0, "ebm.depth_4_plus.groups": 3.0}, RANK_1) == wilson(3, 3)


def test_a_forest_has_a_whisker_for_each_interval_and_a_line_at_nothing():
    rows = [Estimate("one & two", 5.0, -1.0, 11.0, "+5"), Estimate("point", 2.0, marks=(("chance", 1.0),))]
    svg = forest([("group", rows), ("empty", [])], unit="points", symmetric=True)
    root = ET.fromstring(svg)
    kinds = [element.get("class") or "" for element in root.iter()]
    assert sum(kind.startswith("whisker") for kind in kinds) == 3
    assert kinds.count("zero") == 1
    assert kinds.count("hollow") == 1
    assert "one &amp; two" in svg
    assert "empty" not in svg
    assert forest([("empty", [])], unit="x") == ""


def test_a_riser_goes_up_at_each_cost_and_ends_at_the_budget():
    riser = Riser("A", [1.0, 3.0, 3.0], 6)
    assert [riser.share(x) for x in (0.5, 1.0, 2.9, 3.0, 10.0)] == [0.0, 1 / 6, 1 / 6, 0.5, 0.5]
    svg = riser_chart([riser, Riser("nothing", [], 6)], unit="seconds", budget=8.0)
    lines = re.findall(r'points="([^"]+)"', svg)
    heights = [[float(point.split(",")[1]) for point in line.split()] for line in lines]
    assert all(a >= b for line in heights for a, b in itertools.pairwise(line)), "never down"
    ends = {line.split()[-1].split(",")[0] for line in lines}
    assert len(ends) == 1
    assert "<b>50.0 %</b>" in svg
    assert riser_chart([Riser("nothing", [], 6)], unit="seconds") == ""


def test_a_wide_budget_gets_a_logarithmic_axis_and_many_points_are_thinned():
    costs = [1.0 + i for i in range(3000)]
    svg = riser_chart([Riser("A", costs, 3000)], unit="tactics")
    assert "logarithmic" in svg
    (line,) = re.findall(r'points="([^"]+)"', svg)
    assert len(line.split()) < 900
    assert ">1k<" in svg or ">1000<" in svg
    assert riser_chart([Riser("free", [0.0, 0.0], 4)], unit="seconds")


def folders(tmp_path: Path) -> list[str]:
    found = []
    for label, hit in PROVES.items():
        found.append(str(write(tmp_path / label.lower(), spec(label), {OWN: [hit], NO_VALUE: [[0]]}, figures=FIGURES)))
    return found


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["compare", "--resamples", "200", *arguments])


def test_the_command_writes_three_files_and_says_the_verdict(tmp_path):
    out = tmp_path / "deep" / "out"
    done = run(*folders(tmp_path), "--out", str(out), "--targets", "seed")
    assert done.exit_code == 0, done.output
    assert {path.name for path in out.iterdir()} == {HTML, MARKDOWN, JSON}
    said = " ".join(done.output.split())
    assert "C with its own value proves more than A with its own value: +62.5 points" in said
    assert (
        "A: proved without a value: 6.2 % (1.1 to 28.3 %), at least 35.0 %, red below 25.0 %: red line crossed (open)"
        in said
    )
    assert f"report: {out / HTML}" in done.output.replace("\n", "")


def test_json_is_one_object_the_same_as_the_file_and_repeats(tmp_path):
    given = folders(tmp_path)
    out = tmp_path / "out"
    first = run(*given, "--out", str(out), "--json").stdout
    assert json.loads(first) == json.loads((out / JSON).read_text())
    assert run(*given, "--out", str(tmp_path / "again"), "--json").stdout == first


def test_labels_name_the_systems(tmp_path):
    a, b, _ = folders(tmp_path)
    stored = json.loads(run(f"before={a}", f"after={b}", "--out", str(tmp_path / "out"), "--json").stdout)
    assert list(stored["systems"]) == ["before", "after"]


def test_a_folder_with_an_equals_sign_is_no_label(tmp_path):
    a = write(tmp_path / "lr=3", spec("A"))
    b = write(tmp_path / "b", spec("B"))
    stored = json.loads(run(str(a), str(b), "--out", str(tmp_path / "out"), "--json").stdout)
    assert list(stored["systems"]) == ["A", "B"]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (["a", "nowhere"], "nowhere holds no evaluation"),
        (["a"], "needs two evaluations at least"),
        (["X=a", "X=b"], "would both be called X; give labels"),
        (["a", "b", "--targets", "mine"], "--targets mine: there are none of that name"),
        (["a", "missing"], "missing is not complete"),
        (["a", "other"], "12 theorems are in the first alone"),
    ],
)
def test_what_cannot_be_compared_is_refused_and_nothing_is_written(tmp_path, given, reason, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders(tmp_path)
    write(tmp_path / "missing", spec("M"), leave_out=1)
    write(tmp_path / "other", spec("O", theorems=4))
    done = run(*given)
    assert isinstance(done.exception, BadInput)
    assert reason in str(done.exception)
    assert not (tmp_path / "runs").exists()


def test_what_is_told_as_json_has_no_number_that_json_lacks(tmp_path):
    comparison = compare(abc(tmp_path), resamples=100)
    json.dumps(as_plain(comparison, targets(comparison, "seed")), allow_nan=False)
