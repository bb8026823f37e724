"""Recipes of iterations: every mistake in one is told in a sentence that says where it stands, before anything is done."""

from __future__ import annotations

import pytest
from tests.unit.iterate_lab import RECIPE, context_of, lay_out, recipe_in, theorems

from burnqed.core.errors import BadInput
from burnqed.iterate.driver import run_iteration
from burnqed.iterate.place import place_of


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Paths in recipes start where we are."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[theorems]", "[theorem]", r"unknown key theorem\.files; did you mean theorems"),
        ('start = "fresh"', 'starts = "fresh"', r"unknown key train\.starts; did you mean train\.start"),
        ('start = "fresh"', 'mode = "both"', r"train\.mode = both: input should be 'sft', 'decoupled' or 'joint'"),
        ('start = "fresh"', 'start = "fresh"\nmode = "decoupled"', r"train\.start: a head alone needs a model"),
        ('files = ["theorems.jsonl"]', "files = []", r"theorems\.files: name at least one"),
        ('benchmarks = ["held_out.jsonl"]', "benchmarks = []", r"rows\.benchmarks: name the files of benchmarks"),
        (
            "[train]",
            '[evaluate]\nbenchmarks = [{what = "a/toy.jsonl"}, {what = "b/toy.jsonl"}]\n[train]',
            "two of them are called toy",
        ),
        (
            "[train]",
            '[evaluate]\narms = ["own", "sise"]\n[train]',
            r"evaluate\.arms: there is no value sise; choose among",
        ),
        ("about", "about about", "this is not TOML"),
    ],
)
def test_a_mistake_is_told_with_its_place(here, old, new, said):
    folder = lay_out(here, recipe=RECIPE.replace(old, new))
    with pytest.raises(BadInput, match=said):
        recipe_in(folder)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"theorems.jsonl"', '"gone.jsonl"', r"theorems\.files: gone\.jsonl is not there; paths in a recipe start"),
        ('"held_out.jsonl"', '"gone.jsonl"', r"rows\.benchmarks: gone\.jsonl is not there"),
        ("[rows]", '[rows]\nextra = ["gone.jsonl"]', r"rows\.extra: gone\.jsonl is not there"),
        ("[rows]", '[prove.policy]\nmenu = "gone.txt"\n[rows]', r"prove\.policy\.menu: gone\.txt is not there"),
        ("[rows]", '[evaluate]\npairs = "gone.jsonl"\n[rows]', r"evaluate\.pairs: gone\.jsonl is not there"),
        ("[rows]", '[evaluate]\nbenchmarks = [{what = "gone"}]\n[rows]', r"evaluate\.benchmarks: gone: no such file"),
        ('"fresh"', '"models/gone"', r"train\.start: models/gone is no model's folder"),
        ('"fresh"', '"previous"', r"train\.start: there is no model before iter_0"),
    ],
)
def test_what_is_not_there_is_told_before_any_search(here, old, new, said):
    folder = lay_out(here, recipe=RECIPE.replace(old, new))
    with pytest.raises(BadInput, match=said):
        run_iteration(context_of(folder))
    assert not (folder / "begun.json").exists()


def test_a_recipe_with_windows_line_ends_is_read(here):
    folder = lay_out(here)
    (folder / "recipe.toml").write_bytes(RECIPE.replace("\n", "\r\n").encode())
    assert recipe_in(folder).about == "A toy."


def test_the_folder_of_an_iteration_has_its_number_in_its_name(here):
    with pytest.raises(BadInput, match=r"experiment: the folder of an iteration is called iter_0, iter_1 and so on"):
        place_of(here / "experiment")


def test_the_iteration_before_is_the_one_beside_it_if_it_has_a_recipe(here):
    lay_out(here, number=1)
    assert place_of(here / "iterations" / "iter_2").previous == place_of(here / "iterations" / "iter_1")
    assert place_of(here / "iterations" / "iter_1").previous is None


def test_an_iteration_has_one_path_however_it_is_named(here, monkeypatch):
    folder = lay_out(here)
    (here / "iterations" / "iter_1").mkdir()
    named = [place_of(p) for p in (folder, folder.relative_to(here), here / "iterations/iter_1/../iter_0")]
    assert {p.folder.as_posix() for p in named} == {"iterations/iter_0"}
    monkeypatch.chdir(folder)
    inside = place_of(type(folder)("."))
    assert (inside.folder, inside.splits) == (folder, folder.parent / "splits.json")


def test_a_previous_that_is_not_there_is_an_error(here):
    folder = lay_out(here, number=1, recipe='previous = "elsewhere/iter_0"\n' + RECIPE)
    with pytest.raises(BadInput, match=r"elsewhere/iter_0 is to be the iteration before iter_1, and has no recipe"):
        context_of(folder)


def test_a_previous_that_an_earlier_recipe_names_is_followed(here):
    (here / "old").mkdir()
    first = lay_out(here / "old")
    second = lay_out(here, number=1, recipe=f'previous = "{first}"\n' + RECIPE)
    third = second.with_name("iter_2")
    third.mkdir()
    (third / "recipe.toml").write_text(RECIPE)
    place = context_of(third).place
    assert [p.folder.resolve() for p in place.chain] == [first, second, third]
    assert place.splits.resolve() == first.parent / "splits.json", "one division of theorems for all of them"


def test_iterations_that_follow_themselves_are_refused(here):
    folder = lay_out(here, number=1, recipe='previous = "iterations/iter_1"\n' + RECIPE)
    with pytest.raises(BadInput, match="comes before an iteration of the same name"):
        context_of(folder)


def test_an_iteration_is_not_begun_before_the_one_before_is_finished(here):
    lay_out(here)
    folder = here / "iterations" / "iter_1"
    folder.mkdir()
    (folder / "recipe.toml").write_text(RECIPE)
    theorems(here / "theorems.jsonl", one=": 1 = 1")
    with pytest.raises(
        BadInput, match=r"iter_0 is not finished \(search, .*\); run `burnqed iterate run .*iter_0` first"
    ):
        run_iteration(context_of(folder))
