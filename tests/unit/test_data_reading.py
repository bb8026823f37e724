"""Rows from files: bad ones are told with their place, and the rest goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from burnqed.core.errors import BadInput
from burnqed.data.reading import BadRow, columns_of, pick_schema, read_rows


class Row(msgspec.Struct):
    name: str
    statement: str
    count: int = 0


class Spaced(msgspec.Struct):
    text: str = msgspec.field(name="a key")


GOOD = {"name": "a", "statement": "∀ n : ℕ, n = n", "count": 3, "other": [1, {"x": None}]}


def split(entries: Iterator[tuple[str, Row] | BadRow]) -> tuple[list[Row], list[BadRow]]:
    everything = list(entries)
    return [e[1] for e in everything if not isinstance(e, BadRow)], [e for e in everything if isinstance(e, BadRow)]


def jsonl(path: Path, *lines: bytes | dict[str, object]) -> Path:
    path.write_bytes(b"".join(x if isinstance(x, bytes) else json.dumps(x).encode() + b"\n" for x in lines))
    return path


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"name": "a", "statement": "b\n', "truncated JSON"),
        (b'{"name": "a" "statement": "b"}\n', "not JSON"),
        (b'{"name": 1, "statement": "b"}\n', "wrong type"),
        (b'{"name": null, "statement": "b"}\n', "wrong type"),
        (b"[1, 2]\n", "wrong type"),
        (b'{"name": "a"}\n', "missing field"),
        (b'{"name": "a\xff", "statement": "b"}\n', "invalid UTF-8"),
        (b'{"name": ' + b"[" * 100_000 + b"\n", "wrong type"),
        (b'{"name": "a", "statement": "b", "c": ' + b"[" * 100_000 + b"\n", "nested too deep"),
        (b"\x00\x01\n", "not JSON"),
    ],
    ids=["cut", "no comma", "number", "null", "array", "missing", "bytes", "deep value", "deep unknown", "binary"],
)
def test_a_bad_line_is_told_with_file_and_line_and_the_rest_goes_on(tmp_path, line, reason):
    path = jsonl(tmp_path / "rows.jsonl", GOOD, line, GOOD)
    rows, bad = split(read_rows(path, Row))
    assert [row.name for row in rows] == ["a", "a"]
    (only,) = bad
    assert only.where == f"{path}:2"
    assert only.reason == reason


def test_a_last_line_that_was_cut_off_is_a_bad_row(tmp_path):
    rows, bad = split(read_rows(jsonl(tmp_path / "rows.jsonl", GOOD, b'{"name": "b", "stat'), Row))
    assert len(rows) == 1
    assert [(b.where.rsplit(":", 1)[1], b.reason) for b in bad] == [("2", "truncated JSON")]


def test_blank_lines_windows_line_ends_and_a_byte_order_mark_are_no_trouble(tmp_path):
    line = json.dumps(GOOD).encode()
    rows, bad = split(read_rows(jsonl(tmp_path / "r.jsonl", b"\xef\xbb\xbf" + line + b"\r\n\r\n  \n" + line), Row))
    assert len(rows) == 2
    assert bad == []
    assert rows[0].statement == "∀ n : ℕ, n = n"


def test_the_place_of_a_good_row_is_its_line(tmp_path):
    path = jsonl(tmp_path / "rows.jsonl", b"\n", GOOD)
    assert [entry[0] for entry in read_rows(path, Row) if not isinstance(entry, BadRow)] == ["rows.jsonl:2"]


def test_a_json_array_is_read_row_by_row(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([GOOD, {"name": 5, "statement": "x"}, GOOD], indent=1))
    rows, bad = split(read_rows(path, Row))
    assert len(rows) == 2
    assert [(b.where, b.reason) for b in bad] == [(f"{path} row 2", "wrong type")]


def test_an_array_that_was_cut_off_gives_what_is_whole_and_says_where_it_ends(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([GOOD, GOOD, GOOD], indent=1)[:-60])
    rows, bad = split(read_rows(path, Row))
    assert len(rows) == 2
    (only,) = bad
    assert only.reason == "truncated JSON"
    assert "nothing after it" in only.detail


def test_an_array_with_a_broken_row_in_the_middle_goes_on_behind_it(tmp_path):
    path = tmp_path / "rows.json"
    path.write_text(
        '[\n{"name": "a", "statement": "b"},\n{"name": "c" "statement"},\n{"name": "d", "statement": "e"}\n]'
    )
    rows, bad = split(read_rows(path, Row))
    assert [row.name for row in rows] == ["a", "d"]
    assert [(b.where, b.reason) for b in bad] == [(f"{path}:3", "not JSON")]


def test_invalid_bytes_in_a_broken_array_cost_one_row(tmp_path):
    path = tmp_path / "rows.json"
    path.write_bytes(b'[{"name": "\xff", "statement": "b"}, {"name": "ok", "statement": "b"}, oops')
    rows, bad = split(read_rows(path, Row))
    assert [row.name for row in rows] == ["ok"]
    assert [b.reason for b in bad] == ["invalid UTF-8", "truncated JSON"]


def test_json_lines_in_a_file_called_json_are_read_too(tmp_path):
    rows, bad = split(read_rows(jsonl(tmp_path / "rows.json", GOOD, GOOD), Row))
    assert (len(rows), bad) == (2, [])


def test_a_key_with_a_space(tmp_path):
    (entry,) = read_rows(jsonl(tmp_path / "rows.jsonl", {"a key": "x"}), Spaced)
    assert isinstance(entry, tuple)
    assert entry[1].text == "x"


# --- Parquet


def parquet(path: Path, columns: dict[str, object], **more: object) -> Path:
    pq.write_table(pa.table(columns), path, **more)
    return path


def test_parquet_rows_are_typed_and_other_columns_left_alone(tmp_path):
    path = parquet(tmp_path / "r.parquet", {"name": ["a", "b"], "statement": ["x", "y"], "more": [1.5, 2.5]})
    assert [(e[0], e[1]) for e in read_rows(path, Row) if isinstance(e, tuple)] == [
        ("r.parquet row 1", Row("a", "x")),
        ("r.parquet row 2", Row("b", "y")),
    ]


def test_a_null_where_a_text_must_be_costs_one_row(tmp_path):
    path = parquet(tmp_path / "r.parquet", {"name": ["a", None, "c"], "statement": ["x", "y", "z"]})
    rows, bad = split(read_rows(path, Row))
    assert [row.name for row in rows] == ["a", "c"]
    assert [(b.where, b.reason) for b in bad] == [(f"{path} row 2", "wrong type")]


def test_invalid_utf8_in_parquet_costs_one_row(tmp_path):
    names = pa.array([b"a", b"\xff", b"c"], pa.binary()).view(pa.string())
    path = parquet(tmp_path / "r.parquet", {"name": names, "statement": ["x", "y", "z"]})
    rows, bad = split(read_rows(path, Row))
    assert [row.name for row in rows] == ["a", "c"]
    assert [(b.where, b.reason) for b in bad] == [(f"{path} row 2", "invalid UTF-8")]


def test_a_damaged_block_of_parquet_is_counted_in_rows_and_the_others_are_read(tmp_path):
    texts = [f"statement {i} {'x' * 40}" for i in range(300)]
    path = parquet(
        tmp_path / "r.parquet",
        {"name": [str(i) for i in range(300)], "statement": texts},
        row_group_size=100,
        compression="zstd",
        use_dictionary=False,
    )
    data = bytearray(path.read_bytes())
    begin = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    data[begin : begin + 60] = b"\xaa" * 60
    path.write_bytes(data)
    rows, bad = split(read_rows(path, Row))
    assert sum(b.rows for b in bad) == 100
    assert [b.reason for b in bad] == ["damaged block"]
    assert "rows 101 to 200" in bad[0].where
    assert [row.name for row in rows] == [str(i) for i in (*range(100), *range(200, 300))]


@pytest.mark.parametrize("data", [b"", b"PAR1 and nothing more", b'{"name": "a"}\n'])
def test_what_is_no_parquet_is_one_sentence(tmp_path, data):
    path = tmp_path / "r.parquet"
    path.write_bytes(data)
    with pytest.raises(BadInput, match="no Parquet file") as caught:
        list(read_rows(path, Row))
    assert "\n" not in str(caught.value)


# --- schemas and whole files


def test_columns_are_those_of_the_file(tmp_path):
    assert columns_of(jsonl(tmp_path / "r.jsonl", b"oops\n", {"a": 1}, {"b": 2})) == {"a", "b"}
    assert columns_of(parquet(tmp_path / "r.parquet", {"x": [1], "y": ["a"]})) == {"x", "y"}


def test_the_first_schema_that_fits_is_picked(tmp_path):
    assert pick_schema(jsonl(tmp_path / "r.jsonl", {"a key": "x"}), (Row, Spaced), name="rows") is Spaced


def test_a_file_of_another_schema_is_told_by_what_is_missing(tmp_path):
    path = jsonl(tmp_path / "r.jsonl", {"name": "x", "proof": "y"})
    with pytest.raises(BadInput, match=r"is not rows: it lacks statement; it has name, proof"):
        pick_schema(path, (Row,), name="rows")


def test_an_empty_file_has_no_schema(tmp_path):
    with pytest.raises(BadInput, match="no rows that can be read"):
        pick_schema(jsonl(tmp_path / "r.jsonl"), (Row,), name="rows")


def test_a_file_that_is_not_there_and_one_of_another_kind(tmp_path):
    with pytest.raises(BadInput, match="cannot be read"):
        list(read_rows(tmp_path / "none.jsonl", Row))
    with pytest.raises(BadInput, match=r"\.jsonl, \.json or \.parquet"):
        list(read_rows(tmp_path / "rows.csv", Row))
