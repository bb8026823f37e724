"""The report of a run: made of stored files alone, whole for whatever a journal holds."""

from __future__ import annotations

import json
import math
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch

from burnqed.core.errors import RunError
from burnqed.report.lines import Line, line_chart, short, smoothed, ticks
from burnqed.train.checkpoint import STATE, save_checkpoint
from burnqed.train.journal import METRICS, Journal
from burnqed.train.panels import filled
from burnqed.train.report import write_report

CARD: dict[str, Any] = {
    "version": 1,
    "kind": "joint",
    "burnqed": "0.1.0",
    "commit": "abc123",
    "base": {
        "folder": "models/<base>",
        "model": "m" * 32,
        "tokenizer": "t" * 32,
        "grown_tokens": [7],
        "dtype": "float32",
    },
    "prompt_format": "markers",
    "config": {"lora": {"rank": 8, "alpha": None, "targets": ["all-linear"]}, "steps": 30},
    "data": {
        "rows": {
            "files": [{"path": "data/sft_train.jsonl", "sha256": "0f" * 32}],
            "rows_in": 1234,
            "rows_out": 1200,
            "dropped": {"train: longer than the context": 34},
        }
    },
    "step": 30,
    "metrics": {"loss.sft": 0.5},
}


class Checked(HTMLParser):
    """Every element closed in order, nothing that runs or is fetched."""

    VOID = frozenset({"meta"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.titles: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "link", "img", "iframe")
        assert not {name for name, _ in attrs} & {"src", "onload", "onclick"}
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("h1", "h2", "h3"):
            self.titles.append(data)


def journal(folder: Path, rows: dict[int, dict[str, float | None]]) -> None:
    with Journal(folder, tensorboard=False) as log:
        for step, values in rows.items():
            log.log(step, values)


def report(folder: Path) -> tuple[str, list[str], str]:
    """The page, its headings, and the plain text."""
    path = write_report(folder, title="a run & more")
    page = path.read_text(encoding="utf-8")
    checked = Checked()
    checked.feed(page)
    assert checked.open == []
    assert "http" not in page
    for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ET.fromstring(svg)
        assert "nan" not in svg
        assert "inf" not in svg
    return page, checked.titles, (folder / "report.md").read_text(encoding="utf-8")


def course(step: int) -> dict[str, float | None]:
    values: dict[str, float | None] = {
        "loss": 2.0 / step,
        "loss.sft": 1.0 / step,
        "loss.contrastive": 1.0 / step + 0.1,
        "loss.chance": math.log(4),
        "rank_1": 0.5,
        "gradient_norm": 1.0 + step % 3,
        "learning_rate": 1e-4,
        "tokens_per_s": 9000.0,
    }
    if step % 10 == 0:
        values |= {
            "temperature": 1.0 + step / 10,
            "valid.loss": 1.5 / step,
            "probe.linear_probe": 0.6,
            "probe.majority": 0.5,
        }
        values |= {"ebm.rank_1": 0.5, "ebm.chance": 0.25, "ebm.depth_4_plus.rank_1": 0.4, "trivial.length.rank_1": 0.3}
        values |= {"probe.centroid_l2": 4.0, "probe.effective_dimension": 10.0, "probe.silhouette.depth_0_1": 0.1}
    return values


def test_a_joint_run_has_its_panels_card_and_table(tmp_path):
    journal(tmp_path, {step: course(step) for step in range(1, 31)})
    save_checkpoint(tmp_path / "checkpoints", 30, tensors={"model.x": torch.zeros(2)}, state={"card": CARD})
    page, titles, text = report(tmp_path)
    assert titles[0] == "a run & more"
    for title in (
        "Tactics: cross-entropy",
        "Contrastive loss",
        "Rank-1, all depths",
        "Rank-1, depth 4 and more",
        "Temperature",
        "Distance of the centroids",
        "Linear probe",
        "Effective dimension",
        "Silhouette",
        "Gradient norm",
        "Learning rate",
        "Speed",
    ):
        assert title in titles
    assert "Rank-1, depth 2 and 3" not in titles
    assert "Loss of the energy head" not in titles
    assert "What else was measured" not in titles
    assert 'class="band"' in page, "the healthy band of the temperature"
    assert "models/&lt;base&gt;" in page
    assert "LoRA of rank 8 (alpha 16) on all-linear" in page
    assert "1,234 read, 1,200 used" in page
    assert "longer than the context" in page
    assert "| loss.sft | 1 | 0.0333 | 1 | 0.0333 | 30 |" in text
    assert "data/sft_train.jsonl" in text
    assert "measured last" not in text, "the table has it"


def test_names_that_no_panel_knows_are_drawn_at_the_end_in_families(tmp_path):
    rows = {s: {"new.thing": float(s), "new.deep.thing": 2.0 * s, "other": float(s), "count": 5.0} for s in (1, 2, 3)}
    journal(tmp_path, rows)
    _, titles, text = report(tmp_path)
    assert titles[1:5] == ["What else was measured", "new: thing", "other", "What it was made of"]
    assert "| count |" in text, "what never changes is in the table only"


def test_a_head_that_is_trained_alone_has_its_loss_beside_chance(tmp_path):
    journal(tmp_path, {s: {"loss": 1.0 / s, "valid.loss": 1.1 / s, "loss.chance": 1.39} for s in (1, 2)})
    encoder = {"model": "e" * 32, "dim": 32}
    save_checkpoint(tmp_path / "checkpoints", 2, tensors={}, state={"card": encoder, "config": {"negatives": 3}})
    page, titles, _ = report(tmp_path)
    assert "Loss of the energy head" in titles
    assert "Whole loss" not in titles
    assert "e" * 32 in page
    assert "&quot;negatives&quot;: 3" in page


def test_a_run_without_anything_gets_a_page_that_says_so(tmp_path):
    page, _, text = report(tmp_path)
    for said in (page, text):
        assert "Nothing has been measured" in said
        assert "no checkpoint yet" in said


def test_a_run_that_was_killed_in_a_line_is_drawn_as_far_as_it_came(tmp_path):
    journal(tmp_path, {1: {"loss.sft": 1.0}})
    with (tmp_path / METRICS).open("a") as file:
        file.write('{"step": 2, "loss.s')
    _, titles, text = report(tmp_path)
    assert "Tactics: cross-entropy" in titles
    assert "no checkpoint yet" in text


def test_what_is_not_a_number_leaves_a_gap(tmp_path):
    journal(tmp_path, {1: {"loss.sft": 1.0}, 2: {"loss.sft": math.nan}, 3: {"loss.sft": 2.0, "valid.loss": None}})
    _, _, text = report(tmp_path)
    assert "| loss.sft | 1 | 1 | 2 | 2 | 3 |" in text
    assert "valid.loss" not in text


def test_a_damaged_journal_is_told(tmp_path):
    (tmp_path / METRICS).write_text("junk\n")
    with pytest.raises(RunError, match=f"{METRICS}:1 is no measurement"):
        write_report(tmp_path, title="x")


def test_a_damaged_state_is_passed_over(tmp_path):
    for step in (1, 2):
        save_checkpoint(tmp_path / "checkpoints", step, tensors={}, state={"card": CARD | {"step": step}})
    (tmp_path / "checkpoints" / "step-00000002" / STATE).write_text("junk")
    assert "- step: 1\n" in report(tmp_path)[2]


def test_where_checkpoints_are_gone_the_exported_models_card_is_shown(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "card.json").write_text(json.dumps(CARD))
    assert "models/<base>" in report(tmp_path)[2]


def test_a_long_run_makes_no_large_page(tmp_path):
    with (tmp_path / METRICS).open("w") as file:
        for step in range(1, 20_001):
            file.write(json.dumps({"step": step, "loss.sft": 1 + math.sin(step) / 2, "learning_rate": 1 / step}) + "\n")
    assert len(report(tmp_path)[0]) < 100_000


# --- charts


def drawn(chart: str, kind: str) -> list[list[tuple[float, float]]]:
    found = re.findall(rf'class="{kind}[^"]*" points="([^"]*)"', chart)
    return [[tuple(map(float, point.split(","))) for point in points.split()] for points in found]  # type: ignore[misc]


def test_a_higher_value_is_higher_on_the_page_and_a_later_step_further_right():
    ((a, b, c),) = drawn(line_chart([Line("x", [0, 10, 30], [1.0, 3.0, 2.0])], unit="nats"), "curve")
    assert a[0] < b[0] < c[0]
    assert (c[0] - a[0]) == pytest.approx(3 * (b[0] - a[0]), abs=0.2)
    assert b[1] < c[1] < a[1]


def test_a_value_far_beyond_all_others_makes_the_scale_logarithmic():
    values = [1.0, 1.1, 0.9, 1.2, 5000.0]
    assert "logarithmic" in line_chart([Line("x", range(5), values)], unit="norm")
    assert "logarithmic" not in line_chart([Line("x", range(5), [*values[:4], 50.0])], unit="norm")
    assert "logarithmic" not in line_chart([Line("x", range(5), [*values[:4], -5000.0])], unit="norm")


@pytest.mark.parametrize("values", [[0.0], [0.0, 0.0], [-3.0, -3.0], [1e-30, 1e30], [5.0], [1e-5, 2e-5]])
def test_every_kind_of_values_can_be_drawn(values):
    chart = line_chart([Line("x", range(len(values)), values, style="noisy")], unit="u", band=(0.5, 3.0))
    ET.fromstring(chart[: chart.index("</svg>") + 6])
    assert not re.search(r"nan|inf", chart)
    assert line_chart([Line("x", [], [])], unit="u") == ""


def test_smoothing_is_a_mean_from_the_first_point_on():
    assert smoothed([3.0] * 5, over=10) == pytest.approx([3.0] * 5)
    assert smoothed([1.0, 3.0], over=2) == pytest.approx([1.0, 7 / 3])
    assert smoothed([], over=3) == []


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.3, 0.31), (-2, 7), (1e-5, 3e-4), (0, 1e6), (99, 101)])
def test_ticks_are_round_few_and_within(low, high):
    found = ticks(low, high)
    assert 2 <= len(found) <= 6
    width = found[1] - found[0]
    assert all(low - 1e-9 * width <= t <= high + 1e-9 * width + 1e-12 for t in found)
    assert float(f"{width:.2g}") == pytest.approx(width)


def test_numbers_in_a_few_characters():
    said = [short(x) for x in (0.0, 0.123456, 12.3456, 1234.6, 12345.0, 2e-5, 3.4e6, -0.5)]
    assert said == ["0", "0.123", "12.3", "1235", "12.35k", "2e-05", "3.4M", "-0.5"]


def test_a_comparison_alone_makes_no_panel():
    assert filled({"ebm.chance": ([1, 2], [0.2, 0.3])})[0].panel.title == "ebm: chance"
    assert filled({}) == []
