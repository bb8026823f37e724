"""The report of an evaluation, made from its folder alone."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from burnqed.core.errors import BadInput, RunError
from burnqed.evaluate.eval_report import write_reports
from burnqed.evaluate.record import (
    Benchmark,
    Budget,
    EncoderFigures,
    EvalSpec,
    Item,
    System,
    revision_of,
    run_path,
    write_encoder,
    write_spec,
)
from burnqed.evaluate.sessions import Session, note
from burnqed.run.folder import RunFolder
from burnqed.run.result import TheoremResult

ITEMS = (Item("easy", "d1"), Item("hard<x>", "d2"), Item("odd|name", "d3"))
SPEC = EvalSpec(
    name="menu & size",
    benchmark=Benchmark(
        name="small valid",
        path="data/small.jsonl",
        sha256="ab" * 32,
        split="valid",
        revision=revision_of(ITEMS),
        theorems=ITEMS,
        origin="small, https://example.org/small at 123",
        licence="MIT",
        notes=("1 flagged known-bad: hard",),
        skipped=("small.jsonl:9: not a JSON object",),
    ),
    system=System(
        policy="the menu that comes with burnqed",
        value="size",
        prompt_format="markers",
        models={"menu": "feedbeef"},
        config={"search": {"max_nodes": 100}},
    ),
    budget=Budget(nodes=100, seconds=10.0),
    seeds=(0, 1),
    arms=("own", "none"),
    lean="4.28.0, embedded",
    burnqed="0.1.0",
    commit="c0ffee+changes",
    machine="a machine, 2 cores",
    command="burnqed eval data/small.jsonl --split valid",
)


def record(folder: Path, arm: str, seed: int, *results: TheoremResult) -> None:
    run = RunFolder.create(run_path(folder, arm, seed), {})
    for result in results:
        run.record(result)


def easy(**more: object) -> TheoremResult:
    spent = {"lean": 1.5, "gate": 0.5}
    return TheoremResult(
        name="easy", status="proved", digest="d1", nodes=3, seconds=2.5, tactics=24, ended="proved", spent_s=spent,
        axioms=["propext"], **more,  # type: ignore[arg-type]
    )  # fmt: skip


HARD = TheoremResult(name="hard<x>", status="not_proved", digest="d2", nodes=100, seconds=8.0, ended="out_of_nodes")
ODD = TheoremResult(name="odd|name", status="error", digest="d3", reason="Lean does not accept\nodd|name <&>")


def folder_of(tmp_path: Path, *, whole: bool = True) -> Path:
    folder = tmp_path / "eval"
    write_spec(folder, SPEC)
    for arm in SPEC.arms:
        for seed in SPEC.seeds if whole else (0,):
            record(folder, arm, seed, easy(), HARD, ODD)
    return folder


class Page(HTMLParser):
    """Whether tags close in order, what the text is, and what is loaded from elsewhere."""

    VOID = frozenset({"meta", "line", "rect", "circle", "polyline", "polygon", "path", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.loaded += [value for name, value in attrs if name in ("src", "href") and value]
        self.loaded += [tag] if tag in ("script", "link", "img") else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


def test_the_page_needs_nothing_else_and_says_what_was_found(tmp_path):
    folder = folder_of(tmp_path)
    found, summary = write_reports(folder)
    assert found.spec == SPEC
    assert summary.missing == 0
    page = Page((folder / "report.html").read_text())
    assert page.loaded == []
    for words in (
        "33.3 %",
        "own value (size)",
        "policy alone",
        "nodes spent",
        "hard<x>",
        "pass@2",
        "could not be tried",
    ):
        assert words in page.text, words
    assert "missing" not in page.text


FACTS = (
    "data/small.jsonl", "ab" * 32, SPEC.benchmark.revision, "valid", "https://example.org/small at 123", "MIT",
    "known-bad", "small.jsonl:9", "the menu that comes with burnqed", "markers", "feedbeef", "100 nodes, 10 s", "0, 1",
    "4.28.0, embedded", "0.1.0, commit c0ffee+changes", "a machine, 2 cores", "burnqed eval data/small.jsonl --split valid",
)  # fmt: skip


@pytest.mark.parametrize("name", ["report.html", "report.md"])
def test_both_say_what_another_person_needs(tmp_path, name):
    folder = folder_of(tmp_path)
    write_reports(folder)
    text = (folder / name).read_text()
    text = Page(text).text if name.endswith("html") else text
    assert [fact for fact in FACTS if fact not in text] == []


def test_errors_stand_above_the_figures(tmp_path):
    folder = folder_of(tmp_path)
    write_reports(folder)
    for name in ("report.html", "report.md"):
        text = (folder / name).read_text()
        assert text.index("Lean does not accept odd|name") < text.index("Proved<" if "html" in name else "## Proved")


def test_tables_of_the_markdown_have_one_width(tmp_path):
    folder = folder_of(tmp_path)
    write_reports(folder)
    tables = re.findall(r"(?:^\|.*\n)+", (folder / "report.md").read_text(), flags=re.MULTILINE)
    assert len(tables) >= 4
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_a_report_of_what_is_not_complete_says_so_at_its_top(tmp_path):
    folder = folder_of(tmp_path, whole=False)
    _, summary = write_reports(folder)
    assert summary.missing == 6
    assert "Not complete: 6 of 12 searches are missing" in (folder / "report.md").read_text()
    assert "searches are missing: not complete" in (folder / "report.html").read_text()


def test_nothing_proved_and_nothing_searched_still_give_a_page(tmp_path):
    write_spec(tmp_path / "empty", SPEC)
    write_reports(tmp_path / "empty")
    assert "Nothing was proved." in Page((tmp_path / "empty" / "report.html").read_text()).text


def test_figures_of_the_encoder_and_busy_workers_are_shown(tmp_path):
    folder = folder_of(tmp_path)
    write_encoder(
        folder, EncoderFigures(pairs="pairs.jsonl", pairs_sha256="0", encoder="e", figures={"ebm.rank_1": 0.625})
    )
    note(folder, Session(arm="own", seed=0, workers=2, searches=3, searched_s=10.5, wall_s=6.0, troubles={"cut": 9}))
    write_reports(folder)
    for name in ("report.html", "report.md"):
        text = (folder / name).read_text()
        assert "ebm.rank_1" in text
        assert "0.625" in text
        assert "88 % of 6 s" in text
        assert "cut: 9" in text


def test_the_same_files_give_the_same_report(tmp_path):
    folder = folder_of(tmp_path)
    names = ("report.html", "report.md", "summary.json")
    write_reports(folder)
    first = [(folder / name).read_bytes() for name in names]
    write_reports(folder)
    assert [(folder / name).read_bytes() for name in names] == first


def test_a_folder_without_an_evaluation_and_damage_are_one_sentence(tmp_path):
    with pytest.raises(BadInput, match="holds no evaluation"):
        write_reports(tmp_path)
    folder = folder_of(tmp_path)
    (folder / "sessions.jsonl").write_text("nonsense\n")
    with pytest.raises(RunError, match=r"sessions\.jsonl:1 is damaged"):
        write_reports(folder)
