"""What comes with burnqed: small enough, whole, and in working order. Without a shipped prover there is nothing to see."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from burnqed.assemble.effective import effective_config
from burnqed.assemble.parts import open_parts
from burnqed.assemble.prover_folder import is_prover, read_prover, size_of
from burnqed.assemble.provers import DEFAULT, SHIPPED, Provers
from burnqed.policy.menu import MenuPolicy
from burnqed.policy.menu_rules import load_menu
from burnqed.testing.fakes import state_of

FOLDERS = sorted(path for path in SHIPPED.iterdir() if path.is_dir())
MOST_BYTES = 48 * 10**6


def test_all_together_are_small():
    assert size_of(SHIPPED) <= MOST_BYTES


@pytest.mark.skipif(not FOLDERS, reason="no prover is shipped")
def test_one_of_them_is_the_default(tmp_path):
    assert (SHIPPED / DEFAULT).is_file()
    found = Provers(choice_file=tmp_path / "none").default()
    assert found is not None
    assert found.path in FOLDERS


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)
async def test_it_is_whole_has_a_card_and_works(folder: Path, tmp_path):
    assert is_prover(folder)
    assert read_prover(folder).name == folder.name
    assert (folder / "README.md").stat().st_size > 500
    provers = Provers(choice_file=tmp_path / "none", forced=folder.name)
    config = effective_config(environment={}, provers=provers).config
    async with open_parts(config, menu=MenuPolicy(load_menu())) as parts:
        states = [state_of("n + 0 = n"), state_of("a = b", "c = d")]
        for candidates in await parts.policy.propose(states, 8):
            assert candidates
        assert all(map(math.isfinite, await parts.value.energies([(state, states[0]) for state in states])))


def test_no_file_names_a_place_on_the_machine_where_it_was_made():
    for path in SHIPPED.rglob("*"):
        if path.suffix in (".json", ".toml", ".md", ".txt") and path.name != "tokenizer.json":
            text = path.read_text(encoding="utf-8")
            assert not any(f'"/{root}/' in text for root in ("home", "work", "root", "tmp", "Users")), path
