"""What hashes of runs and models depend on, and what not."""

from __future__ import annotations

import os

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.unit.iterate_lab import searched

from burnqed.core.errors import BadInput
from burnqed.iterate.digests import ABSENT, key_of, of_file, of_input, of_model, of_run, of_settings
from burnqed.run.folder import RunFolder
from burnqed.search.config import SearchConfig
from burnqed.testing.fakes import DONE, ManualClock

LONGER = {("start", "a"): "A", ("A", "a"): DONE}


async def test_a_run_is_the_same_whatever_the_time_and_the_order_of_its_searches(tmp_path):
    first = await searched(tmp_path / "one", ["s", "t", "u"])
    other = await searched(tmp_path / "two", ["u", "s", "t"], clock=ManualClock(step_s=0.01))
    seconds = [{r.seconds for r in RunFolder(folder).last_results().values()} for folder in (first, other)]
    assert seconds[0] != seconds[1]
    assert of_run(first) == of_run(other)


async def test_how_long_lean_took_makes_no_difference(tmp_path):
    run = await searched(tmp_path / "run", ["s"])
    other = await searched(tmp_path / "other", ["s"])
    (part,) = (other / "trajectory").glob("edges-*.parquet")
    table = pq.read_table(part)
    slower = pa.array([ms + 5.0 for ms in table["lean_ms"].to_pylist()])
    pq.write_table(table.set_column(table.column_names.index("lean_ms"), "lean_ms", slower), part)
    assert of_run(run) == of_run(other)


async def test_a_run_is_another_one_by_its_theorems_outcomes_tactics_and_proofs(tmp_path):
    whole = of_run(await searched(tmp_path / "whole", ["s", "t"]))
    fewer = of_run(await searched(tmp_path / "fewer", ["s"]))
    longer = of_run(await searched(tmp_path / "longer", ["s", "t"], LONGER))
    failed = of_run(await searched(tmp_path / "failed", ["s", "t"], {}))
    assert len({whole, fewer, longer, failed}) == 4


async def test_a_proof_that_was_changed_afterwards_is_seen(tmp_path):
    run = await searched(tmp_path / "run", ["s"])
    before = of_run(run)
    (result,) = RunFolder(run).last_results().values()
    (run / "results.jsonl").write_text(msgspec.structs.replace(result, proof="another").line() + "\n")
    assert of_run(run) != before


async def test_a_record_of_trajectories_that_was_touched_is_read_again(tmp_path):
    run = await searched(tmp_path / "run", ["s"])
    before = of_run(run)
    assert of_run(run) == before
    for part in (run / "trajectory").glob("edges-*.parquet"):
        part.unlink()
    assert of_run(run) != before


async def test_what_was_computed_is_remembered_while_nothing_is_touched(tmp_path):
    run = await searched(tmp_path / "run", ["s"])
    before = of_run(run)
    (part,) = (run / "trajectory").glob("nodes-*.parquet")
    about = (run / "trajectory").stat()
    part.unlink()
    os.utime(run / "trajectory", ns=(about.st_atime_ns, about.st_mtime_ns))
    assert of_run(run) == before, "neither folder nor results say that anything changed, so nothing was read"


def test_a_folder_without_a_run_has_a_hash_too(tmp_path):
    assert of_run(tmp_path / "nothing") == of_run(tmp_path / "neither")


def test_a_model_is_its_weights_and_settings_and_not_its_card(tmp_path):
    assert of_model(tmp_path) == ABSENT
    assert of_model(tmp_path / "gone") == ABSENT
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "config.json").write_text("{}")
    before = of_model(tmp_path)
    (tmp_path / "card.json").write_text('{"made": "today"}')
    (tmp_path / "head.json").write_text('{"calibration": 1}')
    assert of_model(tmp_path) == before
    (tmp_path / "burnqed.json").write_text('{"prompt_format": "markers"}')
    assert (with_format := of_model(tmp_path)) != before
    (tmp_path / "model.safetensors").write_bytes(b"weighty")
    assert of_model(tmp_path) not in (before, with_format)


def test_a_file_that_is_not_there_is_absent_or_an_error_with_the_key_of_the_recipe(tmp_path):
    assert of_file(tmp_path / "gone") == ABSENT
    with pytest.raises(BadInput, match=r"rows\.extra: .*gone is not there"):
        of_input(tmp_path / "gone", key="rows.extra")


def test_a_folder_is_the_names_and_contents_of_its_files(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("1")
    before = of_input(tmp_path, key="k")
    (tmp_path / "a" / "x").rename(tmp_path / "a" / "y")
    renamed = of_input(tmp_path, key="k")
    (tmp_path / "a" / "y").write_text("2")
    assert len({before, renamed, of_input(tmp_path, key="k")}) == 3


def test_settings_and_inputs_do_not_depend_on_the_order_of_keys():
    assert of_settings({"a": 1, "b": 2}) == of_settings({"b": 2, "a": 1})
    assert of_settings(SearchConfig()) == of_settings(SearchConfig().model_dump(mode="json"))
    assert of_settings(SearchConfig(max_nodes=7)) != of_settings(SearchConfig())


def test_a_setting_that_came_later_counts_once_it_is_used():
    earlier = SearchConfig().model_dump(mode="json")
    del earlier["after_proof"]
    assert of_settings({"search": earlier}) == of_settings({"search": SearchConfig().model_dump(mode="json")})
    assert of_settings({"search": earlier}) == of_settings({"search": SearchConfig().model_dump(mode="json")})
    assert of_settings({"search": earlier}) != of_settings(
        {"search": SearchConfig(after_proof=1).model_dump(mode="json")}
    )
    assert key_of({"a": "1", "b": "2"}) == key_of({"b": "2", "a": "1"})
    assert key_of({"a": "1"}) != key_of({"a": "2"})
