"""Settings: which origin wins, and what a wrong one is told."""

from __future__ import annotations

import pytest

from burnqed.assemble.config import RunConfig
from burnqed.assemble.sources import as_toml, load_config
from burnqed.core.errors import BadInput


def load(*, file=None, environment=None, flags=None, assignments=()):
    return load_config(file=file, environment=environment or {}, flags=flags or {}, assignments=assignments)


@pytest.fixture
def toml(tmp_path):
    def write(text: str):
        path = tmp_path / "run.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_defaults_without_any_source():
    assert load() == RunConfig()


def test_the_later_source_wins(toml):
    path = toml("[search]\nmax_nodes = 1\nmax_depth = 2\nseed = 3\ncandidates = 4\n")
    environment = {"BURNQED_SEARCH__MAX_DEPTH": "20", "BURNQED_SEARCH__SEED": "30", "BURNQED_SEARCH__CANDIDATES": "40"}
    flags = {"search.seed": 300, "search.candidates": 400}
    search = load(file=path, environment=environment, flags=flags, assignments=["search.candidates=4000"]).search
    assert (search.max_nodes, search.max_depth, search.seed, search.candidates) == (1, 20, 300, 4000)


def test_nested_sections_from_every_source(toml):
    path = toml(
        '[policy]\nkind = "sglang"\nurl = "http://a"\nprompt_format = "markers"\n[policy.sampling]\nsamples = 5\n'
    )
    environment = {"BURNQED_POLICY__ENDPOINT__TIMEOUT_S": "7.5", "BURNQED_VALUE__ACCEPT": '["dtype"]'}
    config = load(file=path, environment=environment, assignments=["policy.sampling.top_p=0.5"])
    assert (config.policy.sampling.samples, config.policy.sampling.top_p) == (5, 0.5)
    assert config.policy.endpoint.timeout_s == 7.5
    assert config.value.accept == ("dtype",)


def test_other_variables_of_the_environment_are_left_alone():
    assert load(environment={"BURNQED_HOME": "/x", "PATH": "/bin", "OTHER__THING": "1"}) == RunConfig()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[search]\nmax_node = 1\n", r"run\.toml: unknown key search\.max_node; did you mean search\.max_nodes\?"),
        ("[serach]\nmax_nodes = 1\n", r"unknown key serach\.max_nodes; did you mean search\?"),
        ("[policy.sampling]\nqqq = 1\n", r"unknown key policy\.sampling\.qqq; policy\.sampling has samples, "),
        ("search = 1\n", r"run\.toml: search is a section, not a value"),
        ("[search.max_nodes]\nx = 1\n", r"search\.max_nodes is a value, not a section"),
        ("[search]\nmax_nodes = 0\n", r"run\.toml: search\.max_nodes = 0: input should be greater than or equal to 1"),
        ('[search]\nmax_nodes = "many"\n', r"run\.toml: search\.max_nodes = many: input should be a valid integer"),
        ('[policy]\nkind = "oracle"\n', r"run\.toml: policy\.kind = oracle: input should be 'menu'"),
        ("[search\n", r"run\.toml: this is not TOML"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(toml, text, message):
    with pytest.raises(BadInput, match=message):
        load(file=toml(text))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(BadInput, match=r"nowhere\.toml: there is no such configuration file"):
        load(file=tmp_path / "nowhere.toml")


def test_what_is_wrong_in_the_environment_is_named():
    with pytest.raises(BadInput, match=r"the environment variable BURNQED_SEARCH__SEED: search\.seed = -1: "):
        load(environment={"BURNQED_SEARCH__SEED": "-1"})
    with pytest.raises(
        BadInput, match=r"the environment variable BURNQED_SEARCH__SED: unknown key search\.sed; did you"
    ):
        load(environment={"BURNQED_SEARCH__SED": "1"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("search.max_nodes", "it is KEY=VALUE"),
        ("max_nodes=3", "unknown key max_nodes"),
        ("search.seed=x", "--set search.seed=x: "),
    ],
)
def test_what_is_wrong_in_an_assignment_is_named(text, message):
    with pytest.raises(BadInput, match=message):
        load(assignments=[text])


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["policy.kind=model"], "kind model needs the model's folder"),
        (["policy.kind=sglang"], "kind sglang needs the server's address"),
        (["policy.kind=openai", "policy.url=http://x"], "needs the format that the served model was trained on"),
        (["value.kind=head"], "kind head needs the head's folder"),
        (["value.kind=head", "value.head=h"], "there is no model in this process to share"),
        (["value.kind=server"], "kind server needs the encode server's address"),
        (["search.whole_proofs=2"], "the menu cannot write whole proofs"),
    ],
)
def test_settings_that_demand_others(assignments, message):
    with pytest.raises(BadInput, match=message):
        load(assignments=assignments)


def test_what_is_printed_can_be_read_back(toml):
    config = load(
        assignments=[
            "policy.kind=sglang",
            "policy.url=http://a:1",
            "policy.prompt_format=markers",
            'value.accept=["dtype"]',
        ]
    )
    assert load(file=toml(as_toml(config))) == config
    assert load(file=toml(as_toml(RunConfig()))) == RunConfig()


def test_a_token_is_never_shown():
    config = load(assignments=["policy.endpoint.token=geheim"])
    assert config.policy.endpoint.token.get_secret_value() == "geheim"
    assert "geheim" not in as_toml(config) + config.model_dump_json() + repr(config)
