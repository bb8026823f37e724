"""Statistics of data and the page that shows them."""

from __future__ import annotations

import html.parser
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from burnqed.cli.data import app
from burnqed.core.errors import BadInput
from burnqed.data.decontaminate import Decontaminator
from burnqed.data.manifest import Manifest
from burnqed.data.records import TheoremRecord
from burnqed.data.report import page
from burnqed.data.statistics import kind_of, statistics
from burnqed.data.statistics_lengths import lengths_of
from burnqed.report.bars import bars, histogram, shares

ROWS = [
    {
        "prompt": "[GOAL]⊢ 1 = 1[PROOFSTEP]",
        "completion": "rfl",
        "task": "tactic",
        "theorem": "a",
        "split": "train",
        "depth": 0,
    },
    {
        "prompt": "[GOAL]⊢ 2 = 2[PROOFSTEP]",
        "completion": "simp [h]",
        "task": "tactic",
        "theorem": "a",
        "split": "train",
        "depth": 1,
    },
    {
        "prompt": "#premise x\n[GOAL]⊢ 2 = 2[PROOFSTEP]",
        "completion": "no",
        "task": "premise",
        "theorem": "b",
        "split": "train",
        "depth": 0,
    },
]
PAIR = {
    "tier": "hard",
    "why": "exhausted",
    "theorem": "t",
    "goal": "⊢ a",
    "positive": "⊢ short",
    "negative": "⊢ a longer one\n\n⊢ b",
    "negative_goal": "⊢ a",
    "depth": 1,
    "negative_depth": 1,
    "remaining": 1,
    "split": "train",
}
GUARD = Decontaminator([TheoremRecord(name="amc_1", statement="theorem amc_1 (x : Nat) (h : x ^ 9 = 512) : x = 2")])


def jsonl(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_rows_are_counted_by_what_they_are(tmp_path):
    s = statistics(jsonl(tmp_path / "r.jsonl", ROWS))
    assert (s.kind, s.rows, s.bad_rows) == ("training rows", 3, 0)
    assert s.counts["task"] == {"tactic": 2, "premise": 1}
    assert s.heads == {"rfl": 1, "simp": 1}, "answers to other tasks are no tactics"
    assert s.depths == {0: 2, 1: 1}
    assert s.distinct == {"theorem": 2, "prompt": 3, "completion": 3}
    (prompt, completion) = s.lengths
    assert (completion.count, completion.longest, completion.total) == (3, 8, 13)
    assert prompt.unit == "bytes"
    assert prompt.longest == len(ROWS[2]["prompt"].encode())
    assert s.leaks is None, "nobody looked"
    assert len(s.examples) == 3


def test_lengths_are_in_the_unit_of_the_measure(tmp_path):
    s = statistics(jsonl(tmp_path / "r.jsonl", ROWS), measure=lambda text: len(text.split()), unit="words")
    assert [(x.field, x.unit, x.longest) for x in s.lengths] == [("prompt", "words", 6), ("completion", "words", 2)]


def test_trivial_features_are_scored_on_pairs(tmp_path):
    worse = {**PAIR, "positive": "⊢ a longer one", "negative": "⊢ x"}
    s = statistics(jsonl(tmp_path / "p.jsonl", [PAIR, worse, {**PAIR, "tier": "easy"}]))
    right = {(b.feature, b.tier): (b.right, b.pairs) for b in s.baselines}
    assert right["shorter", "hard"] == (0.5, 2)
    assert right["shorter", "easy"] == (1.0, 1)
    assert right["fewer goals", "hard"] == (0.75, 2), "a tie counts half"
    assert right["shallower", "hard"] == (0.5, 2)


@pytest.mark.parametrize(
    ("row", "how"),
    [
        (
            {
                "prompt": "[GOAL]y : Nat\nk : y ^ 9 = 512\n⊢ y = 2[PROOFSTEP]",
                "completion": "x",
                "task": "tactic",
                "theorem": "z",
            },
            "statement",
        ),
        (
            {
                "prompt": "example (y : Nat) (k : y ^ 9 = 512) : y = 2 := by\n",
                "completion": "x",
                "task": "tactic",
                "theorem": "z",
            },
            "statement",
        ),
        ({"prompt": "[GOAL]⊢ 1 = 1[PROOFSTEP]", "completion": "x", "task": "tactic", "theorem": "amc_1"}, "name"),
        ({**PAIR, "negative": "y : Nat\nk : y ^ 9 = 512\n⊢ y = 2"}, "statement"),
        ({"name": "n", "statement": "theorem n (z : ℕ) (h : z ^ 9 = 512) : z = 2"}, "statement"),
        (
            {
                "theorem": "n",
                "source": "s",
                "state_before": "y : Nat\nk : y ^ 9 = 512\n⊢ y = 2",
                "tactic": "x",
                "state_after": "",
            },
            "statement",
        ),
    ],
)
def test_leaks_are_found_in_every_kind_of_file(tmp_path, row, how):
    s = statistics(jsonl(tmp_path / "f.jsonl", [row, row]), guard=GUARD)
    assert s.leaks == {how: 2}
    assert "amc_1" in s.leak_examples[0]


def test_clean_data_has_no_leaks(tmp_path):
    assert statistics(jsonl(tmp_path / "f.jsonl", ROWS), guard=GUARD).leaks == {}


def test_bad_rows_are_counted_and_the_rest_goes_on(tmp_path):
    path = jsonl(tmp_path / "r.jsonl", ROWS)
    with path.open("ab") as file:
        file.write(b"{broken\n[1]\n")
    s = statistics(path)
    assert (s.rows, s.bad_rows) == (3, 2)


def test_a_file_of_something_else_is_refused(tmp_path):
    with pytest.raises(BadInput, match="it has a"):
        kind_of(jsonl(tmp_path / "x.jsonl", [{"a": 1}]))


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=300))
def test_bins_hold_every_length_once_and_percentiles_are_lengths(values):
    found = lengths_of("x", "bytes", values)
    assert sum(n for *_, n in found.bins) == len(values)
    for low, high, n in found.bins:
        assert n == sum(low <= v < high for v in values)
    assert {found.median, found.p95, found.p99} <= set(values)
    assert sorted(values)[(len(values) - 1) // 2] == found.median
    assert found.median <= found.p95 <= found.p99 <= found.longest == max(values)


# -- the page ---------------------------------------------------------------------------------------------


class Balanced(html.parser.HTMLParser):
    """Fails when a tag is closed that is not open; knows every attribute that could fetch something."""

    VOID = frozenset({"meta", "link", "img", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        self.fetched += [v for k, v in attrs if k in ("src", "href") and v and not v.startswith("#")]

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def parsed(text: str) -> Balanced:
    reader = Balanced()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def test_the_page_is_whole_and_fetches_nothing(tmp_path):
    found = [
        statistics(jsonl(tmp_path / "r.jsonl", ROWS), guard=GUARD),
        statistics(jsonl(tmp_path / "p.jsonl", [PAIR])),
    ]
    account = Manifest(step="rows", rows_in=4, rows_out=3)
    account.drop("rows", "same row again")
    text = page(found, {"manifest.json": account})
    shown = parsed(text)
    assert shown.fetched == []
    assert "url(" not in text
    assert "<script" not in text
    for word in ("premise", "Trivial baselines", "same row again", "leaks of benchmarks"):
        assert word in shown.text


def test_the_part_with_the_loss_is_marked(tmp_path):
    text = page([statistics(jsonl(tmp_path / "r.jsonl", ROWS[:1]))])
    assert "<pre>[GOAL]⊢ 1 = 1[PROOFSTEP]<mark>rfl</mark></pre>" in text


def test_data_cannot_write_on_the_page(tmp_path):
    bad = {**ROWS[0], "completion": "</pre><evil>", "theorem": "<evil>", "split": "<evil>", "task": '"><evil>'}
    found = statistics(jsonl(tmp_path / "r.jsonl", [bad, {**bad, "split": "&"}]))
    text = page([found], {"<evil>": Manifest(step="<evil>")}, title="<evil>")
    parsed(text)
    assert "<evil" not in text
    assert "&lt;evil&gt;" in text


def test_a_chart_of_nothing_and_of_one_thing():
    assert histogram([], unit="x") == ""
    parsed(histogram([(0, 1, 5)], unit="x", marks={"median": 0}))
    parsed(bars({}))
    assert "6 more" in bars({str(i): i + 1 for i in range(20)})
    parsed(shares({"proved": 0}))


# -- the command ------------------------------------------------------------------------------------------


def test_the_command_says_leaks_by_its_status_and_writes_the_page(tmp_path):
    jsonl(tmp_path / "rows.jsonl", ROWS)
    jsonl(tmp_path / "journal.jsonl", [{"key": 1}])
    bench = jsonl(tmp_path / "bench.jsonl", [{"name": "a", "statement": "theorem a (x : Nat) : x ^ 9 = 512"}])
    run = CliRunner().invoke
    clean = run(app, ["stats", str(tmp_path / "rows.jsonl"), "--html", str(tmp_path / "page.html"), "--json"])
    assert clean.exit_code == 0, clean.output
    assert json.loads(clean.stdout)[0]["rows"] == 3
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    leaky = run(app, ["stats", str(tmp_path / "rows.jsonl"), "--benchmarks", str(bench)])
    assert leaky.exit_code == 1, "theorem a is a benchmark's name"
    assert "leak: a is name: bench:a" in leaky.stdout


def test_a_missing_path_is_one_sentence(tmp_path):
    result = CliRunner().invoke(app, ["stats", str(tmp_path / "nowhere.jsonl")])
    assert isinstance(result.exception, BadInput)
    assert "no such file" in str(result.exception)


def test_tokens_are_counted_with_a_models_tokenizer(tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0, "rfl": 1}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    path = jsonl(tmp_path / "r.jsonl", ROWS)
    result = CliRunner().invoke(app, ["stats", str(path), "--tokenizer", str(tmp_path), "--json"])
    assert result.exit_code == 0, result.output
    lengths = {x["field"]: x for x in json.loads(result.stdout)[0]["lengths"]}
    assert lengths["completion"]["unit"] == "tokens"
    assert lengths["completion"]["longest"] == 4, "simp [ h ]"
    broken = CliRunner().invoke(app, ["stats", str(path), "--tokenizer", str(path)])
    assert isinstance(broken.exception, BadInput)
