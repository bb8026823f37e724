"""Who may import whom, and what a module may be. The table is the rule; a change of it is a decision."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import burnqed

ROOT = Path(burnqed.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

ANY = frozenset(
    {"core", "policy", "value", "trajectory", "lean", "theorems", "verify", "search", "testing", "run", "observe"}
    | {
        "prompts",
        "models",
        "joint",
        "remote",
        "serve",
        "assemble",
        "data",
        "train",
        "report",
        "evaluate",
        "iterate",
        "premises",
    }
)
MAY_IMPORT: dict[str, frozenset[str]] = {
    "core": frozenset(),
    # parts: they know the core's words and ports, never each other
    "lean": frozenset({"core"}),
    "prompts": frozenset({"core"}),
    "remote": frozenset({"core"}),
    "trajectory": frozenset({"core"}),
    "theorems": frozenset({"core"}),
    "observe": frozenset({"core"}),
    "search": frozenset({"core"}),
    "report": frozenset(),
    "premises": frozenset({"core"}),
    "testing": frozenset({"core"}),
    "models": frozenset({"core", "prompts"}),
    # what joins parts
    "train": frozenset({"core", "prompts", "models", "data", "trajectory", "report"}),
    "joint": frozenset({"core", "prompts", "models", "data", "trajectory", "train"}),
    "policy": frozenset({"core", "prompts", "remote", "models", "premises"}),
    "value": frozenset({"core", "prompts", "remote", "models", "joint"}),
    "serve": frozenset({"core", "prompts", "models", "joint"}),
    "verify": frozenset({"core", "lean"}),
    "run": frozenset({"core", "search", "verify", "trajectory", "theorems"}),
    "data": frozenset({"core", "lean", "prompts", "theorems", "trajectory", "report", "premises"}),
    "assemble": frozenset(
        {"core", "prompts", "remote", "models", "joint", "policy", "value", "search", "lean"}
        | {"theorems", "trajectory", "verify", "run", "observe"}
    ),
    # whole experiments: they use everything below them
    "evaluate": ANY - {"serve", "testing", "remote", "iterate"},
    "iterate": ANY - {"serve", "testing", "remote"},
    # composition roots: they choose the parts, and nobody imports them
    "cli": ANY - {"testing"},
    "__main__": frozenset({"cli"}),
    "__init__": frozenset(),
}

MAX_LINES = 400
LONGER: dict[str, str] = {
    "lean/embedded/glue.py": "one table of text repairs, each beside its reason; split, they would be harder to audit",
}
VAGUE = {"utils.py", "util.py", "common.py", "helpers.py", "misc.py"}


def part(path: Path) -> str:
    """The package of burnqed that a module belongs to, or its own name at the top."""
    inside = path.relative_to(ROOT)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


def imported(path: Path) -> set[str]:
    """The parts of burnqed that a module imports, wherever in it."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert all(alias.name != "*" for alias in node.names), f"{path}: no star imports"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    parts = {name.split(".")[1] for name in names if name.startswith("burnqed.")}
    return {p for p in parts if (ROOT / p).is_dir() or (ROOT / f"{p}.py").is_file()}


def test_every_part_is_in_the_table():
    assert {part(path) for path in MODULES} == set(MAY_IMPORT)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_imports_only_what_its_part_may(path):
    mine = part(path)
    assert imported(path) - {mine} <= MAY_IMPORT[mine]


def test_the_rule_sees_a_forbidden_import(tmp_path):
    path = tmp_path / "x.py"
    path.write_text("def f():\n    from burnqed.cli.main import app\n    import burnqed.run.folder\n")
    assert imported(path) == {"cli", "run"}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_module_is_short_named_for_what_it_does_and_documented(path):
    text = path.read_text(encoding="utf-8")
    inside = path.relative_to(ROOT).as_posix()
    assert len(text.splitlines()) <= MAX_LINES or inside in LONGER
    assert path.name not in VAGUE
    assert ast.get_docstring(ast.parse(text)) or inside == "__main__.py"


def test_exceptions_to_the_length_are_still_needed():
    assert [p for p in LONGER if len((ROOT / p).read_text(encoding="utf-8").splitlines()) <= MAX_LINES] == []


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("burnqed", ("torch", "rich", "pyarrow", "pydantic", "msgspec", "httpx2")),
        ("burnqed.core.ports", ("torch", "rich", "pyarrow", "pydantic", "msgspec", "httpx2")),
        ("burnqed.search.engine", ("torch", "rich", "pyarrow", "msgspec", "httpx2")),
        ("burnqed.cli.main", ("torch", "transformers", "fastapi")),
    ],
)
def test_importing_it_stays_light(module, heavy):
    code = f"import sys, {module}; print(*sorted(set(sys.modules) & {set(heavy)!r}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert loaded == []
