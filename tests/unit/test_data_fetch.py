"""`burnqed data fetch` against a hub of this machine: cut connections, range requests, refusals, other files than expected."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from burnqed.core.errors import BadInput, BurnqedError, FetchError
from burnqed.data.fetch import Network, Wanted, fetch
from burnqed.data.locate import Hosts, matches
from burnqed.data.manifest import Manifest
from burnqed.data.records import TheoremRecord
from burnqed.data.sources.registry import SOURCES

COMMIT = "c0ffee" * 6 + "beef"
SOURCE = SOURCES["goedel-workbook-proofs"]
ROWS = [
    {
        "problem_id": f"p{i}",
        "full_proof": f"import Mathlib\n\ntheorem p{i} : {i} = {i} := by\n  rfl\n" + "-- long\n" * 50,
    }
    for i in range(300)
]
DATA = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Answer:
    """A file of the hub, and what is wrong with the connection."""

    data: bytes = b""
    status: int = 200
    etag: str = '"v1"'
    cut_after: list[int] = field(default_factory=list)
    """For each request in order: after how many bytes of the answer the connection breaks."""
    ranges: bool = True


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Host

    def do_GET(self) -> None:
        self.close_connection = True
        path = self.path.partition("?")[0]
        self.server.requests.append((path, self.headers.get("Range")))
        answer = self.server.answers.get(path, Answer(b"nothing here", 404))
        data, status = answer.data, answer.status
        wanted = self.headers.get("Range")
        if status == 200 and wanted and answer.ranges and self.headers.get("If-Range") == answer.etag:
            begin = int(wanted.removeprefix("bytes=").removesuffix("-"))
            data, status = data[begin:], 206
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {begin}-{len(answer.data) - 1}/{len(answer.data)}")
        if answer.etag:
            self.send_header("ETag", answer.etag)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        cut = answer.cut_after.pop(0) if answer.cut_after else len(data)
        self.wfile.write(data[:cut])

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


class Host(ThreadingHTTPServer):
    answers: dict[str, Answer]
    requests: list[tuple[str, str | None]]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def network(self) -> Network:
        hosts = Hosts(hub=self.address, github_api=self.address, github_raw=self.address, github_archive=self.address)
        return Network(hosts, pause=lambda seconds: None)

    def publish(self, repo: str, files: dict[str, Answer], *, revision: str = "main", hashes: bool = True) -> None:
        """A data set as the hub shows it."""
        siblings = [
            {"rfilename": name, "size": len(a.data)}
            | ({"lfs": {"sha256": digest(a.data), "size": len(a.data)}} if hashes else {})
            for name, a in files.items()
        ]
        info = json.dumps({"sha": COMMIT, "siblings": siblings}).encode()
        self.answers[f"/api/datasets/{repo}/revision/{revision}"] = Answer(info)
        self.answers |= {f"/datasets/{repo}/resolve/{COMMIT}/{name}": a for name, a in files.items()}

    def asked(self, end: str) -> list[str | None]:
        """The ranges of the requests for a file."""
        return [wanted for path, wanted in self.requests if path.endswith(end)]


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    with Host(("127.0.0.1", 0), Handler) as running:
        running.answers, running.requests = {}, []
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield running
        running.shutdown()
        thread.join()


def published(host: Host, answer: Answer | None = None, **more: Any) -> Answer:
    """The Goedel set with one file."""
    answer = answer or Answer(DATA)
    host.publish("Goedel-LM/Lean-workbook-proofs", {"README.md": Answer(b"#"), "data/train.jsonl": answer}, **more)
    return answer


GOEDEL = Wanted(replace(SOURCE, home=replace(SOURCE.home, files=("data/*.jsonl",))))  # type: ignore[type-var]


def theorems(folder: Path) -> list[TheoremRecord]:
    return [
        msgspec.json.decode(text, type=TheoremRecord) for text in (folder / "theorems.jsonl").read_bytes().splitlines()
    ]


def one_sentence(error: BurnqedError) -> str:
    text = str(error)
    assert "\n" not in text
    return text


# --- what goes well


def test_a_set_is_fetched_and_its_manifest_says_what_it_is(host, tmp_path):
    published(host)
    folder, manifest = fetch(GOEDEL, tmp_path, host.network)
    assert folder == tmp_path / "goedel-workbook-proofs"
    assert [t.name for t in theorems(folder)] == [row["problem_id"] for row in ROWS]
    (origin,) = manifest.origins
    assert (origin.revision, origin.licence, origin.lean) == (COMMIT, "none on its card", "4.9.0")
    (card,) = manifest.inputs
    assert (card.sha256, card.size_bytes) == (digest(DATA), len(DATA))
    assert (manifest.rows_in, manifest.rows_out) == (300, 300)
    assert manifest.outputs[0].rows == 300
    assert Manifest.read(folder) == manifest
    assert sorted(p.name for p in folder.iterdir()) == ["files", "manifest.json", "theorems.jsonl"]
    assert [p.name for p in (folder / "files").iterdir()] == ["data__train.jsonl"]


def test_a_revision_is_asked_for(host, tmp_path):
    published(host, revision="v2")
    fetch(replace(GOEDEL, revision="v2"), tmp_path, host.network)
    assert "/api/datasets/Goedel-LM/Lean-workbook-proofs/revision/v2" in [path for path, _ in host.requests]


def test_a_connection_that_breaks_is_gone_on_with_where_it_broke(host, tmp_path):
    answer = published(host)
    answer.cut_after = [10_000, 5_000]
    folder, _ = fetch(GOEDEL, tmp_path, host.network)
    assert len(theorems(folder)) == 300
    assert host.asked("train.jsonl") == [None, "bytes=10000-", "bytes=15000-"]


def test_a_later_run_goes_on_with_what_an_earlier_one_left(host, tmp_path):
    answer = published(host)
    answer.cut_after = [1000 * i for i in (1, 1, 1, 1, 1)]
    with pytest.raises(FetchError, match="broke off"):
        fetch(GOEDEL, tmp_path, host.network)
    host.requests.clear()
    folder, _ = fetch(GOEDEL, tmp_path, host.network)
    assert host.asked("train.jsonl") == ["bytes=5000-"]
    assert len(theorems(folder)) == 300


def test_a_file_that_changed_in_between_is_fetched_from_its_beginning(host, tmp_path):
    answer = published(host)
    answer.cut_after = [1000] * 5
    with pytest.raises(FetchError):
        fetch(GOEDEL, tmp_path, host.network)
    published(host, Answer(DATA[: len(DATA) // 2 + 1].rsplit(b"\n", 1)[0] + b"\n", etag='"v2"'))
    folder, manifest = fetch(GOEDEL, tmp_path, host.network)
    assert len(theorems(folder)) == manifest.rows_in < 300


@pytest.mark.parametrize("answer", [Answer(DATA, etag=""), Answer(DATA, etag='W/"weak"'), Answer(DATA, ranges=False)])
def test_a_host_that_cannot_go_on_is_asked_from_the_beginning(host, tmp_path, answer):
    answer = replace(answer, cut_after=[2000])
    published(host, answer)
    folder, _ = fetch(GOEDEL, tmp_path, host.network)
    assert len(theorems(folder)) == 300


def test_a_file_that_is_there_with_the_right_hash_is_not_fetched_again(host, tmp_path):
    published(host)
    fetch(GOEDEL, tmp_path, host.network)
    host.requests.clear()
    fetch(GOEDEL, tmp_path, host.network)
    assert host.asked("train.jsonl") == []


def test_an_overloaded_host_is_asked_again(host, tmp_path):
    answer = published(host, Answer(DATA, status=503))
    tries = []

    def pause(seconds: float) -> None:
        tries.append(seconds)
        answer.status = 200

    fetch(GOEDEL, tmp_path, replace(host.network, pause=pause))
    assert len(tries) == 1


def test_several_files_make_one_set(host, tmp_path):
    half = DATA.index(b'{"problem_id": "p150"')
    host.publish(
        "Goedel-LM/Lean-workbook-proofs", {"data/a.jsonl": Answer(DATA[:half]), "data/b.jsonl": Answer(DATA[half:])}
    )
    folder, manifest = fetch(GOEDEL, tmp_path, host.network)
    assert len(theorems(folder)) == 300
    assert len(manifest.inputs) == 2


def test_files_on_github(host, tmp_path):
    row = {
        "name": "a",
        "split": "valid",
        "formal_statement": "theorem a : 1 = 1 := by\n",
        "header": "import Mathlib\n",
        "goal": "",
    }
    repo = "deepseek-ai/DeepSeek-Prover-V1.5"
    host.answers[f"/repos/{repo}/commits/HEAD"] = Answer(COMMIT.encode())
    host.answers[f"/{repo}/{COMMIT}/datasets/minif2f.jsonl"] = Answer(json.dumps(row).encode())
    folder, manifest = fetch(Wanted(SOURCES["minif2f-v1"]), tmp_path, host.network)
    assert manifest.origins[0].revision == COMMIT
    assert manifest.settings["benchmark"] is True
    assert [t.benchmark for t in theorems(folder)] == [True]


def test_github_without_its_api_is_fetched_at_what_was_asked_for(host, tmp_path):
    row = {"name": "a", "split": "valid", "formal_statement": "theorem a : 1 = 1 := by\n", "header": "", "goal": ""}
    host.answers["/deepseek-ai/DeepSeek-Prover-V1.5/main/datasets/minif2f.jsonl"] = Answer(json.dumps(row).encode())
    _, manifest = fetch(Wanted(SOURCES["minif2f-v1"], revision="main"), tmp_path, host.network)
    assert manifest.origins[0].revision == "main"


def archive(files: dict[str, bytes], link: str = "") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(f"PutnamBench-{COMMIT}/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        if link:
            info = tarfile.TarInfo(f"PutnamBench-{COMMIT}/{link}")
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(info)
    return out.getvalue()


def test_an_archive_gives_the_lean_files_that_are_wanted_and_nothing_else(host, tmp_path):
    theorem = b"import Mathlib\n\ntheorem putnam_1 : 1 = 1 := sorry\n"
    files = {"lean4/src/putnam_1.lean": theorem, "coq/src/x.lean": theorem, "lean4/src/../../../evil.lean": theorem}
    host.answers[f"/trishullab/PutnamBench/tar.gz/{COMMIT}"] = Answer(archive(files, link="lean4/src/link.lean"))
    host.answers["/repos/trishullab/PutnamBench/commits/HEAD"] = Answer(COMMIT.encode())
    folder, _ = fetch(Wanted(SOURCES["putnambench"]), tmp_path, host.network)
    assert [t.name for t in theorems(folder)] == ["putnam_1"]
    assert [p.name for p in tmp_path.rglob("*.lean")] == ["putnam_1.lean"]


@pytest.mark.parametrize(
    ("data", "why"), [(archive({"x": b""})[:50], "cannot be unpacked"), (archive({"x": b""}), "has no file like")]
)
def test_a_broken_archive_and_one_without_the_files(host, tmp_path, data, why):
    host.answers["/trishullab/PutnamBench/tar.gz/HEAD"] = Answer(data)
    with pytest.raises(FetchError, match=why) as caught:
        fetch(Wanted(SOURCES["putnambench"]), tmp_path, host.network)
    one_sentence(caught.value)


# --- what goes wrong


@pytest.mark.parametrize(
    ("status", "why"),
    [(404, "there is nothing at"), (401, "not open to everybody"), (403, "not open to everybody"), (418, "status 418")],
)
def test_a_host_that_refuses_is_one_sentence_with_a_way_out(host, tmp_path, status, why):
    published(host, Answer(DATA, status=status))
    with pytest.raises(FetchError, match=why) as caught:
        fetch(GOEDEL, tmp_path, host.network)
    assert "--from PATH" in one_sentence(caught.value)
    assert len(host.asked("train.jsonl")) == 1


def test_a_set_that_is_not_on_the_hub(host, tmp_path):
    with pytest.raises(FetchError, match=r"nothing at .*/api/datasets/.*\(404\)"):
        fetch(GOEDEL, tmp_path, host.network)


def test_a_hub_that_cannot_be_reached(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    tries: list[float] = []
    with pytest.raises(FetchError, match="could not reach") as caught:
        fetch(GOEDEL, tmp_path, Network(Hosts(hub="http://127.0.0.1:9"), pause=tries.append))
    one_sentence(caught.value)
    assert len(tries) == 4


def test_a_hub_that_answers_something_else(host, tmp_path):
    host.answers["/api/datasets/Goedel-LM/Lean-workbook-proofs/revision/main"] = Answer(b"<html>Log in</html>")
    with pytest.raises(FetchError, match="did not answer as the hub does"):
        fetch(GOEDEL, tmp_path, host.network)


def test_a_set_whose_files_were_moved(host, tmp_path):
    host.publish("Goedel-LM/Lean-workbook-proofs", {"README.md": Answer(b"#"), "old.csv": Answer(b"")})
    with pytest.raises(FetchError, match=r"no file like data/\*\.jsonl at main; it has README\.md, old\.csv"):
        fetch(GOEDEL, tmp_path, host.network)


def test_another_file_than_the_hub_says_is_refused_and_not_kept(host, tmp_path):
    published(host)
    host.answers[f"/datasets/Goedel-LM/Lean-workbook-proofs/resolve/{COMMIT}/data/train.jsonl"] = Answer(
        DATA[:-10] + b"x" * 9 + b"\n"
    )
    with pytest.raises(FetchError, match="another file than it should be"):
        fetch(GOEDEL, tmp_path, host.network)
    assert list(tmp_path.iterdir()) == []


def test_a_hash_of_the_users_own(host, tmp_path):
    published(host, hashes=False)
    with pytest.raises(FetchError, match="another file than it should be"):
        fetch(replace(GOEDEL, sha256="0" * 64), tmp_path, host.network)
    fetch(replace(GOEDEL, sha256=digest(DATA)), tmp_path, host.network)


def test_a_file_of_another_schema_is_told_and_earlier_records_stay(host, tmp_path):
    published(host)
    folder, before = fetch(GOEDEL, tmp_path, host.network)
    published(host, Answer(b'{"question": "x", "proof": "y"}\n', etag='"v2"'))
    with pytest.raises(
        BadInput, match=r"is not Goedel-Prover.*it lacks full_proof, problem_id; it has proof, question"
    ):
        fetch(GOEDEL, tmp_path, host.network)
    assert len(theorems(folder)) == 300
    assert Manifest.read(folder) == before


def test_the_file_of_another_set_is_told_by_its_name(tmp_path):
    path = tmp_path / "m.jsonl"
    row = {"name": "a", "split": "test", "informal_statement": "x", "formal_statement": "theorem a : 1 = 1 := by"}
    path.write_text(json.dumps(row | {"header": ""}))
    with pytest.raises(BadInput, match=r"lacks informal statement.* its columns are those of minif2f-v2c"):
        fetch(Wanted(SOURCES["minif2f-v2s"], origin=path), tmp_path / "out")


def test_a_set_without_a_usable_row_is_told_and_earlier_records_stay(host, tmp_path):
    published(host)
    folder, _ = fetch(GOEDEL, tmp_path, host.network)
    published(host, Answer(b'{"problem_id": "x", "full_proof": "no theorem here"}\n', etag='"v2"'))
    with pytest.raises(BadInput, match="no row is usable"):
        fetch(GOEDEL, tmp_path, host.network)
    assert len(theorems(folder)) == 300


def test_a_host_that_refuses_leaves_nothing_behind(host, tmp_path):
    host.answers["/api/datasets/Goedel-LM/Lean-workbook-proofs/revision/main"] = Answer(b"no", status=404)
    with pytest.raises(FetchError):
        fetch(GOEDEL, tmp_path / "data" / "raw", host.network)
    published(host, Answer(b"no", status=404))
    with pytest.raises(FetchError):
        fetch(GOEDEL, tmp_path / "data" / "raw", host.network)
    assert list(tmp_path.iterdir()) == []


# --- from this machine


def test_from_a_file_bad_rows_are_counted_with_their_place(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_bytes(DATA + b'{"problem_id": "cut')
    folder, manifest = fetch(replace(GOEDEL, origin=path, revision="mine"), tmp_path / "out")
    assert (manifest.rows_in, manifest.rows_out) == (301, 300)
    assert manifest.dropped["read"]["truncated JSON"].examples[0].startswith(f"{path}:301: truncated JSON")
    assert manifest.origins[0].revision == "mine"
    assert manifest.inputs[0].sha256 == digest(path.read_bytes())
    assert path.is_file()
    assert not (folder / "files").exists()


def test_from_a_folder_as_the_hub_has_it(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.jsonl").write_bytes(DATA)
    (tmp_path / "other.json").write_text("[]")
    _, manifest = fetch(replace(GOEDEL, origin=tmp_path), tmp_path / "out")
    assert manifest.rows_out == 300


@pytest.mark.parametrize(
    ("sha256", "name", "why"), [("0" * 64, "x.jsonl", "another file"), ("", "none.jsonl", "no such file")]
)
def test_from_a_file_that_is_not_the_one(tmp_path, sha256, name, why):
    (tmp_path / "x.jsonl").write_bytes(DATA)
    with pytest.raises(BadInput, match=why):
        fetch(replace(GOEDEL, origin=tmp_path / name, sha256=sha256), tmp_path / "out")


def test_a_refusal_leaves_no_empty_folder_and_takes_none_that_was_there(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"question": "x"}\n')
    (tmp_path / "mine").mkdir()
    for out in (tmp_path / "data" / "raw", tmp_path / "mine"):
        with pytest.raises(BadInput, match="lacks full_proof"):
            fetch(replace(GOEDEL, origin=tmp_path / "x.jsonl"), out)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "x.jsonl"]
    assert list((tmp_path / "mine").iterdir()) == []


def test_patterns_stop_at_slashes():
    assert matches("data/train-*.parquet", "data/train-0.parquet")
    assert not matches("*.parquet", "data/train-0.parquet")
    assert not matches("a.jsonl", "axjsonl")


# --- the command line

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def call(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        environ = {**os.environ, "NO_PROXY": "127.0.0.1", **environment}
        command = [sys.executable, "-m", "burnqed", "data", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environ, check=False)

    return call


def test_the_command_fetches_from_the_hub_that_the_environment_names(host, run, tmp_path):
    rows = [{"state_before": "⊢ a", "tactic": "simp", "state_after": "no goals", "file": f"{i}.lean"} for i in range(3)]
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    host.publish("internlm/Lean-Github", {"lean-github.parquet": Answer(out.getvalue())})
    done = run("fetch", "lean-github", HF_ENDPOINT=host.address + "/")
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 rows read, 3 written" in done.stdout
    assert "licence: Apache-2.0" in done.stdout
    folder = tmp_path / "data" / "raw" / "lean-github"
    assert sorted(p.name for p in folder.iterdir()) == ["files", "manifest.json", "tactics.jsonl"]
    assert "burnqed data fetch lean-github" in Manifest.read(folder).command


def test_the_command_says_what_is_wrong_in_one_sentence(host, run):
    done = run("fetch", "goedel", HF_ENDPOINT=host.address)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("burnqed: no set is called goedel; near to it: ")
    done = run("fetch", "stp", HF_ENDPOINT=host.address)
    assert done.returncode == 2
    assert done.stderr.startswith("burnqed: there is nothing at")
    assert done.stderr.count("\n") == 1


def test_the_sets_are_listed(run):
    done = run("sets", "--json")
    lines = [json.loads(text) for text in done.stdout.splitlines()]
    assert {line["name"] for line in lines} == set(SOURCES)
    assert {line["name"] for line in lines if line["benchmark"]} >= {"minif2f-v1", "minif2f-v2s", "putnambench"}
