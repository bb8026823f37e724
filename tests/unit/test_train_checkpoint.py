"""Checkpoints: whole or not there, and never taken for whole when a byte of them has changed."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from burnqed.core.errors import RunError
from burnqed.train.checkpoint import (
    STATE,
    TENSORS,
    latest_checkpoint,
    latest_state,
    open_checkpoint,
    save_checkpoint,
    whole_folder,
)


def tensors(value: float = 1.0) -> dict[str, torch.Tensor]:
    return {"model.a": torch.full((3, 4), value), "head.b": torch.tensor(value), "ids": torch.arange(5)}


def save(folder: Path, step: int, *, keep: int = 2) -> Path:
    return save_checkpoint(
        folder, step, tensors=tensors(float(step)), state={"step seen": step, "x": (1, 2)}, keep=keep
    )


def flip(path: Path, at: int = -1) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_what_is_saved_comes_back(tmp_path):
    save(tmp_path, 7)
    found = latest_checkpoint(tmp_path)
    assert found is not None
    assert (found.step, found.state, found.skipped) == (7, {"step seen": 7, "x": [1, 2]}, ())
    for name, tensor in tensors(7.0).items():
        assert torch.equal(found.tensors()[name], tensor)
    assert open_checkpoint(found.folder) == found


def test_no_checkpoint_is_no_error(tmp_path):
    assert latest_checkpoint(tmp_path) is None
    assert latest_checkpoint(tmp_path / "not there") is None
    assert latest_state(tmp_path) is None


def test_the_latest_ones_stay(tmp_path):
    for step in (100, 200, 1000, 300):
        save(tmp_path, step)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000300", "step-00001000"]


def test_a_step_that_is_saved_again_is_replaced(tmp_path):
    save(tmp_path, 5)
    save_checkpoint(tmp_path, 5, tensors=tensors(9.0), state={})
    found = latest_checkpoint(tmp_path)
    assert found is not None
    assert found.tensors()["head.b"] == 9
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000005"]


@pytest.mark.parametrize("file", [TENSORS, STATE])
def test_a_flipped_byte_is_noticed_and_the_one_before_is_taken(tmp_path, file):
    save(tmp_path, 1)
    last = save(tmp_path, 2)
    # In state.json it turns a figure into another one: what stays is JSON like any other.
    flip(last / file, -1 if file == TENSORS else (last / file).read_bytes().index(b'"step seen": 2') + 13)
    found = latest_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 1
    assert len(found.skipped) == 1
    assert file in found.skipped[0]
    assert str(last) in found.skipped[0]
    with pytest.raises(RunError, match=file):
        open_checkpoint(last)


@pytest.mark.parametrize("file", [TENSORS, STATE])
def test_a_file_that_is_gone_is_noticed(tmp_path, file):
    save(tmp_path, 1)
    (save(tmp_path, 2) / file).unlink()
    found = latest_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 1
    assert file in found.skipped[0]


def test_a_torn_file_is_noticed(tmp_path):
    path = save(tmp_path, 1) / TENSORS
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(RunError, match="no checkpoint that is whole"):
        latest_checkpoint(tmp_path)


def test_a_checkpoint_of_another_version_is_told_apart(tmp_path):
    path = save(tmp_path, 1) / STATE
    path.write_text(path.read_text().replace('"version": 1', '"version": 99'))
    with pytest.raises(RunError, match="version 99"):
        open_checkpoint(path.parent)


def test_the_state_is_read_without_its_tensors(tmp_path):
    (save(tmp_path, 3) / TENSORS).unlink()
    assert latest_state(tmp_path) == (3, {"step seen": 3, "x": [1, 2]})


def test_numbers_that_are_not_finite_do_not_spoil_a_state(tmp_path):
    save_checkpoint(tmp_path, 1, tensors=tensors(), state={"loss": math.inf})
    found = latest_checkpoint(tmp_path)
    assert found is not None
    assert found.state["loss"] == math.inf


def test_what_a_killed_process_left_is_ignored_and_cleared_away(tmp_path):
    save(tmp_path, 1)
    part = tmp_path / ".step-00000002.4711.part"
    part.mkdir()
    (part / TENSORS).write_bytes(b"half")
    found = latest_checkpoint(tmp_path)
    assert found is not None
    assert (found.step, found.skipped) == (1, ())
    save(tmp_path, 3)
    assert not part.exists()


def test_a_failure_while_writing_leaves_what_was_there(tmp_path):
    def fail() -> None:
        with whole_folder(tmp_path / "step-00000001") as part:
            (part / STATE).write_text("{}")
            raise ZeroDivisionError

    save(tmp_path, 1)
    with pytest.raises(ZeroDivisionError):
        fail()
    found = latest_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 1
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000001"]


def test_a_folder_that_vanishes_before_it_has_its_name_leaves_what_was_there(tmp_path):
    save(tmp_path, 1)
    with pytest.raises((RunError, OSError)), whole_folder(tmp_path / "step-00000001") as part:
        part.rename(tmp_path / "elsewhere")
    found = latest_checkpoint(tmp_path)
    assert found is not None
    assert found.step == 1


@pytest.mark.parametrize("room", [600, 60_000])
def test_a_full_disk_leaves_the_earlier_checkpoint_whole(tmp_path, room):
    """A limit on the size of files stands for the disk; the tensors, 400 kB, hit it at their beginning or later."""
    code = f"""
        import resource, torch
        from pathlib import Path
        from burnqed.core.errors import RunError
        from burnqed.train.checkpoint import latest_checkpoint, save_checkpoint
        folder = Path({str(tmp_path)!r})
        save_checkpoint(folder, 1, tensors={{"a": torch.ones(4)}}, state={{}})
        resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))
        try:
            save_checkpoint(folder, 2, tensors={{"a": torch.ones(100_000)}}, state={{}})
        except RunError as error:
            print(error)
        found = latest_checkpoint(folder)
        print(found.step, found.tensors()["a"].sum().item())
    """
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    said, left = ran.stdout.splitlines()
    assert "step-00000002 could not be written" in said
    assert "free some space" in said
    assert left == "1 4.0"
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000001"]
    assert json.loads((tmp_path / "step-00000001" / STATE).read_text())["step"] == 1
