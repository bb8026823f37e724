"""Provers as folders: what is read, which is the default, and what lies below a run's settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from burnqed.assemble.effective import effective_config
from burnqed.assemble.prover_folder import PROVER, prover_file, read_prover, write_prover
from burnqed.assemble.provers import CONFIG_HOME, DEFAULT, VARIABLE, Provers
from burnqed.assemble.shorthand import policy_settings
from burnqed.assemble.sources import as_toml, load_config
from burnqed.cli.models import app
from burnqed.core.errors import BadInput, RunError

SETTINGS = {
    "policy": {"menu_share": 0.3},
    "search": {"max_depth": 20, "value_weight": 2.5},
    "value": {"accept": ["dtype"]},
}


def prover(folder: Path, *, head: bool = True, **more: object) -> Path:
    """A prover whose weights are empty files: nothing here loads them."""
    for name in (
        "model/config.json",
        "model/model.safetensors",
        *(("head/head.json", "head/head.safetensors") if head else ()),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    about = {"name": folder.name, "about": "A test.", "created": "2026-01-31", "licence": "MIT", "settings": SETTINGS}
    write_prover(folder, prover_file(about | more, origin="test"))
    return folder


@pytest.fixture
def provers(tmp_path) -> Provers:
    """One that comes along, `small`, which is the default."""
    prover(tmp_path / "shipped" / "small")
    (tmp_path / "shipped" / DEFAULT).write_text("small\n")
    return Provers(shipped=tmp_path / "shipped", choice_file=tmp_path / "home" / "choice.toml")


# -- a folder ----------------------------------------------------------------------------------------------


def test_a_folder_gives_complete_settings_with_its_own_paths(tmp_path):
    folder = prover(tmp_path / "p", parameters=7)
    found = read_prover(folder)
    assert (found.name, found.file.parameters, found.file.created.isoformat()) == ("p", 7, "2026-01-31")
    assert found.settings == {
        "policy.kind": "model",
        "policy.model": str(folder / "model"),
        "policy.menu_share": 0.3,
        "value.kind": "head",
        "value.head": str(folder / "head"),
        "value.accept": ["dtype"],
        "search.max_depth": 20,
        "search.value_weight": 2.5,
    }


def test_a_prover_without_a_head_or_with_another_value_has_no_head(tmp_path):
    assert "value.kind" not in read_prover(prover(tmp_path / "p", head=False)).settings
    other = read_prover(prover(tmp_path / "q", settings={"value": {"kind": "goals"}})).settings
    assert (other["value.kind"], "value.head" in other) == ("goals", False)


def test_paths_in_its_settings_are_relative_to_the_folder(tmp_path, monkeypatch):
    prover(tmp_path / "p", settings={"policy.menu": "mine.txt"})
    monkeypatch.chdir(tmp_path)
    assert read_prover(Path("p")).settings["policy.menu"] == str(tmp_path / "p" / "mine.txt")


def test_its_digest_changes_with_its_weights_only(tmp_path):
    folder = prover(tmp_path / "p")
    before = read_prover(folder).digest
    (folder / "README.md").write_text("card")
    assert read_prover(folder).digest == before
    (folder / "head" / "head.safetensors").write_text("other")
    assert read_prover(folder).digest != before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("x = 1\n", "x: extra inputs are not permitted"),
        ('name = "a b"\n', "name: string should match pattern"),
        ('name = "menu"\n', "name: menu is the tactic menu's own"),
        ("created = 3.5\n", "created: "),
        ("name = \n", "this is not TOML"),
        ("[settings.search]\nmax_dept = 3\n", "unknown key search.max_dept; did you mean search.max_depth?"),
        ("[settings.search]\nmax_depth = 0\n", "search.max_depth = 0: input should be greater"),
        ("[settings.lean]\nworkers = 3\n", "lean.workers is not for a prover to say"),
        ('[settings.policy]\nmodel = "x"\n', "policy.model is what the prover's folder says"),
    ],
)
def test_a_wrong_prover_file_is_one_sentence_with_its_place(tmp_path, change, says):
    folder = prover(tmp_path / "p")
    key = change.partition(" ")[0]
    kept = ['name = "p"', 'about = "x"', "created = 2026-01-31", 'licence = "MIT"']
    (folder / PROVER).write_text("\n".join([*(line for line in kept if not line.startswith(f"{key} ")), change]))
    with pytest.raises(BadInput) as told:
        read_prover(folder)
    assert str(told.value).startswith(f"{folder / PROVER}: ")
    assert says in str(told.value)
    assert "\n" not in str(told.value)


def test_a_key_that_is_missing_is_named(tmp_path):
    folder = prover(tmp_path / "p")
    (folder / PROVER).write_text('name = "p"\nabout = "x"\ncreated = 2026-01-31\n')
    with pytest.raises(BadInput, match="licence: field required"):
        read_prover(folder)


@pytest.mark.parametrize(
    ("gone", "says"),
    [
        ("model/model.safetensors", "the prover has no model"),
        ("model/config.json", "the prover has no model"),
        ("head/head.json", "head/ must hold head.json and head.safetensors"),
        (PROVER, "is no prover: it has no prover.toml"),
    ],
)
def test_a_missing_part_is_told(tmp_path, gone, says):
    folder = prover(tmp_path / "p")
    (folder / gone).unlink()
    with pytest.raises(BadInput, match=says):
        read_prover(folder)


# -- which one ---------------------------------------------------------------------------------------------


def test_what_comes_along_is_the_default_and_the_menu_where_nothing_does(provers, tmp_path):
    assert provers.default().name == "small"
    assert Provers(shipped=tmp_path / "none", choice_file=tmp_path / "no.toml").default() is None


def test_a_choice_is_kept_and_a_folder_of_ones_own_is_found_by_name_from_then_on(provers, tmp_path):
    prover(tmp_path / "mine", name="big")
    with pytest.raises(BadInput, match="there is no prover big"):
        provers.use("big")
    assert provers.use(str(tmp_path / "mine")).name == "big"
    assert provers.default().path == tmp_path / "mine"
    assert provers.use("menu") is None
    assert provers.default() is None
    assert [(one.name, one.default) for one in provers.listed()[0]] == [
        ("menu", True),
        ("small", False),
        ("big", False),
    ]
    provers.use("big")
    assert provers.default().path == tmp_path / "mine"
    provers.reset()
    provers.reset()
    assert provers.default().name == "small"


def test_the_environment_comes_before_the_choice(provers, tmp_path):
    provers.use("small")
    folder = tmp_path / "config"
    found = Provers.here({VARIABLE: "menu", CONFIG_HOME: str(folder)})
    assert found.choice_file.parent == folder
    assert found.default() is None
    with pytest.raises(BadInput, match=f"the environment variable {VARIABLE}: there is no prover nobody"):
        Provers.here({VARIABLE: "nobody", CONFIG_HOME: str(folder)}).default()


def test_a_chosen_folder_that_has_gone_is_told_on_use_and_does_not_hide_the_others(provers, tmp_path):
    mine = prover(tmp_path / "mine")
    provers.use(str(mine))
    mine.rename(tmp_path / "moved")
    with pytest.raises(BadInput, match=r"you chose cannot be used: .*folder is gone; .*burnqed models use --reset"):
        provers.default()
    found, notice = provers.listed()
    assert "the folder is gone" in notice
    assert [(one.name, bool(one.trouble)) for one in found] == [("menu", False), ("small", False), ("mine", True)]
    provers.use("menu")
    assert [one.name for one in provers.listed()[0]] == ["menu", "small"], (
        "what is gone is forgotten with the next choice"
    )


@pytest.mark.parametrize("text", ["prover = ", "other = 1", "prover = 1", "\xff"])
def test_a_damaged_choice_is_told_and_replaced_by_the_next(provers, text):
    provers.choice_file.parent.mkdir()
    provers.choice_file.write_bytes(text.encode("latin-1"))
    with pytest.raises(BadInput, match=r"choice.toml, which says who proves, cannot be read \(.*models use --reset"):
        provers.default()
    found, notice = provers.listed()
    assert [one.name for one in found] == ["menu", "small"]
    assert "choice.toml" in notice
    provers.use("small")
    assert provers.default().name == "small"


def test_a_damaged_prover_is_listed_with_its_trouble(provers):
    (provers.shipped / "small" / PROVER).write_text("x")
    found, notice = provers.listed()
    assert found[1].trouble.startswith(str(provers.shipped))
    assert "the prover that comes with burnqed" in notice


def test_a_disk_that_refuses_is_a_sentence(provers):
    provers.choice_file.parent.write_text("a file where the folder should be")
    with pytest.raises(RunError, match="cannot be made"):
        provers.use("menu")


def test_a_model_is_not_a_prover_and_is_told_how_to_become_one(provers, tmp_path):
    prover(tmp_path / "p")
    with pytest.raises(BadInput, match=r"is a model, not a prover: .* `burnqed models pack` makes a prover"):
        provers.use(str(tmp_path / "p" / "model"))


# -- what a run has in effect ------------------------------------------------------------------------------


def effect(provers, *, policy=None, env=None, **given):
    flags = given.pop("flags", {}) | (policy_settings(policy, provers) if policy else {})
    return effective_config(environment=env or {}, flags=flags, policy=policy, provers=provers, **given)


def test_the_default_lies_under_everything_that_is_said(provers, tmp_path):
    file = tmp_path / "run.toml"
    file.write_text("[search]\nmax_depth = 30\nmax_nodes = 5\n")
    found = effect(provers, file=file, env={"BURNQED_SEARCH__MAX_NODES": "6"}, assignments=["search.max_seconds=7"])
    config = found.config
    assert found.prover.name == "small"
    assert (config.policy.kind, config.policy.model) == ("model", provers.shipped / "small" / "model")
    assert (config.policy.menu_share, config.value.kind, config.value.accept) == (0.3, "head", ("dtype",))
    search = config.search
    assert (search.max_depth, search.max_nodes, search.max_seconds, search.value_weight) == (30, 6, 7.0, 2.5)
    assert found.told == {"prover": {"name": "small", "digest": found.prover.digest}}


@pytest.mark.parametrize(
    "said",
    [
        {"policy": "menu"},
        {"flags": {"policy.menu": "mine.txt"}},
        {"assignments": ["policy.kind=menu"]},
        {"env": {"BURNQED_POLICY__KIND": "menu"}},
    ],
)
def test_whoever_says_who_proposes_gets_nothing_of_the_default(provers, said):
    found = effect(provers, **said)
    assert (found.prover, found.told) == (None, {})
    without = load_config(
        environment=said.get("env", {}), flags=said.get("flags", {}), assignments=said.get("assignments", ())
    )
    assert found.config == without


def test_a_file_that_says_who_proposes_gets_nothing_of_the_default(provers, tmp_path):
    file = tmp_path / "run.toml"
    file.write_text('[policy]\nkind = "menu"\n')
    assert effect(provers, file=file).config == load_config(environment={}, flags={})


def test_a_model_folder_is_only_a_model(provers, tmp_path):
    (tmp_path / "plain").mkdir()
    found = effect(provers, policy=str(tmp_path / "plain"))
    assert (found.prover, found.config.policy.menu_share, found.config.value.kind) == (None, 0.0, "size")
    inside = effect(provers, policy=str(provers.shipped / "small" / "model"))
    assert (inside.prover, inside.config.value.kind) == (None, "size")


@pytest.mark.parametrize("by", ["name", "path"])
def test_a_prover_is_a_policy_whatever_is_the_default(provers, tmp_path, by):
    provers.use("menu")
    text = "small" if by == "name" else str(provers.shipped / "small")
    file = tmp_path / "run.toml"
    file.write_text('[policy]\nkind = "menu"\n[value]\nkind = "goals"\n')
    found = effect(provers, policy=text, file=file, flags={"policy.menu_share": 0.1})
    assert found.prover.name == "small"
    assert (found.config.policy.kind, found.config.policy.menu_share) == ("model", 0.1)
    assert found.config.value.kind == "goals", "the file's value is later than the prover's"


@pytest.mark.parametrize("said", [{"flags": {"value.kind": "size"}}, {"env": {"BURNQED_VALUE__KIND": "size"}}])
def test_another_value_takes_the_place_of_all_that_the_prover_says_of_values(provers, said):
    found = effect(provers, **said)
    assert found.prover.name == "small"
    assert found.config.policy.kind == "model"
    assert (found.config.value.kind, found.config.value.head, found.config.value.accept) == ("size", None, ())
    assert "value_weight" not in found.config.search.model_fields_set
    assert found.config.search.max_depth == 20


def test_what_is_printed_can_be_read_back_to_the_same(provers, tmp_path):
    found = effect(provers).config
    (tmp_path / "run.toml").write_text(as_toml(found))
    again = effect(provers, file=tmp_path / "run.toml")
    assert (again.config, again.prover) == (found, None)


def test_a_head_with_the_menu_is_told_that_it_has_no_model(provers):
    with pytest.raises(BadInput, match=r"value.encoder: there is no model"):
        effect(provers, policy="menu", assignments=["value.kind=head", "value.head=x"])


# -- the commands ------------------------------------------------------------------------------------------


def command(*arguments: object, config: Path):
    return CliRunner().invoke(app, [str(a) for a in arguments], env={CONFIG_HOME: str(config), VARIABLE: ""})


def test_the_commands_list_and_choose(tmp_path):
    mine = prover(tmp_path / "mine", parameters=17_300_000)
    used = command("use", mine, config=tmp_path / "home")
    assert used.output == "mine proves by default\n"
    rows = [json.loads(line) for line in command("list", "--json", config=tmp_path / "home").stdout.splitlines()]
    assert [(row["name"], row["default"]) for row in rows if row["default"]] == [("mine", True)]
    assert rows[0]["name"] == "menu"
    shown = command("list", config=tmp_path / "home").stdout
    assert "17.3 M" in shown
    assert isinstance(command("use", config=tmp_path / "home").exception, BadInput)
    assert isinstance(command("use", "mine", "--reset", config=tmp_path / "home").exception, BadInput)
    assert command("use", "--reset", config=tmp_path / "home").exit_code == 0
    assert not (tmp_path / "home" / "choice.toml").exists()


def test_a_list_with_a_damaged_choice_is_a_list_and_a_sentence(tmp_path):
    (tmp_path / "choice.toml").write_text("nonsense")
    shown = command("list", config=tmp_path)
    assert shown.exit_code == 0
    assert "menu" in shown.stdout
    assert shown.stderr.startswith("burnqed: ")
