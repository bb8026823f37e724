"""The journal of a run: every step once, however often it was killed."""

from __future__ import annotations

import json
import math

import pytest

from burnqed.core.errors import RunError
from burnqed.train.journal import METRICS, Journal, read_journal, series


def write(folder, steps, *, resume_at=None, value=0.0):
    with Journal(folder, resume_at=resume_at, tensorboard=False) as journal:
        for step in steps:
            journal.log(step, {"loss": value})


def test_a_run_resumed_twice_has_no_step_twice(tmp_path):
    write(tmp_path, range(1, 8), value=1.0)
    write(tmp_path, range(5, 10), resume_at=4, value=2.0)
    write(tmp_path, range(7, 9), resume_at=6, value=3.0)
    steps, values = series(read_journal(tmp_path), "loss")
    assert steps == list(range(1, 9))
    assert values == [1.0] * 4 + [2.0] * 2 + [3.0] * 2


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(RunError, match=rf"{out} cannot be made .*; choose another --out"):
            Journal(out, tensorboard=False)


def test_a_new_run_begins_anew(tmp_path):
    write(tmp_path, [1, 2])
    write(tmp_path, [1])
    assert [row["step"] for row in read_journal(tmp_path)] == [1]


def test_a_line_that_a_crash_tore_off_is_written_again(tmp_path):
    write(tmp_path, [1, 2])
    with (tmp_path / METRICS).open("a") as file:
        file.write('{"step": 3, "lo')
    assert [row["step"] for row in read_journal(tmp_path)] == [1, 2]
    write(tmp_path, [3], resume_at=2)
    assert [row["step"] for row in read_journal(tmp_path)] == [1, 2, 3]


@pytest.mark.parametrize("line", ["nonsense", "[1]", '{"loss": 1}', '{"step": "x"}', '{"step": 1, "loss": "high"}'])
def test_a_line_that_is_no_measurement_is_named(tmp_path, line):
    write(tmp_path, [1])
    with (tmp_path / METRICS).open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(RunError, match=rf"{METRICS}:2 "):
        read_journal(tmp_path)
    with pytest.raises(RunError, match=rf"{METRICS}:2 "):
        Journal(tmp_path, resume_at=1, tensorboard=False)


def test_what_is_not_finite_is_null_and_in_no_series(tmp_path):
    with Journal(tmp_path, tensorboard=False) as journal:
        journal.log(1, {"a": math.nan, "b": math.inf, "c": None, "d": 2})
    line = (tmp_path / METRICS).read_text()
    assert json.loads(line, parse_constant=lambda name: pytest.fail(name)) == {
        "step": 1, "a": None, "b": None, "c": None, "d": 2.0,
    }  # fmt: skip
    assert series(read_journal(tmp_path), "a") == ([], [])


def test_tensorboard_has_the_same_and_forgets_what_a_resumed_run_writes_again(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for begin, resume_at, value in ((1, None, 1.0), (3, 2, 2.0)):
        with Journal(tmp_path, resume_at=resume_at) as journal:
            assert journal.has_tensorboard
            for step in range(begin, 5):
                journal.log(step, {"ebm.depth_0_1.rank_1": value})
    events = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    found = [(event.step, event.value) for event in events.Scalars("ebm/depth_0_1.rank_1")]
    assert found == [(1, 1.0), (2, 1.0), (3, 2.0), (4, 2.0)]
