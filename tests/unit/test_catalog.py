"""models.yaml, and how a name finds its deployments."""

from random import Random

import pytest

from gateway.catalog import Catalog, Deployment, ModelEntry
from gateway.catalog_file import CatalogError, parse_catalog
from gateway.errors import ModelNotFound
from gateway.identity import Policy, Principal
from gateway.models import ModelDirectory
from providers.price_list import LiteLLMPriceList

ANYONE = Principal(key_id="k", owner="o", policies=(Policy(),))


def only(*patterns: str) -> Principal:
    return Principal(key_id="k", owner="o", policies=(Policy(models=patterns),))


FILE = """
model_list:
  - model_name: fast
    litellm_params: {model: openai/one, api_key: os.environ/KEY, weight: 3, rpm: 10}
    model_info: {base_model: gpt-4o, max_input_tokens: 5}
  - model_name: fast
    litellm_params: {model: openai/two}
  - model_name: careful
    litellm_params: {model: anthropic/claude-sonnet-4-5}
    upstream: plain
  - model_name: "bedrock/*"
    litellm_params: {model: "bedrock/*", aws_region_name: eu-central-1}
  - model_name: "bedrock/us.*"
    litellm_params: {model: "bedrock/us.*", aws_region_name: us-east-1}
fallbacks: [{fast: [careful]}]
aliases: {gpt-4o: fast}
"""


@pytest.fixture
def catalog() -> Catalog:
    return parse_catalog(FILE, {"KEY": "value"})


def test_values_come_from_the_environment_and_router_words_stay_out(catalog: Catalog) -> None:
    first = next(e for e in catalog.entries if e.name == "fast").deployments[0]
    assert dict(first.params) == {"api_key": "value"}
    assert (first.weight, first.base_model, first.facts.max_input_tokens) == (3.0, "gpt-4o", 5)


def test_a_deployment_never_prints_its_credentials(catalog: Catalog) -> None:
    assert "value" not in repr(catalog.entries)


def test_calls_are_spread_by_weight_and_fall_back_behind_each_other(catalog: Catalog) -> None:
    heavy = Catalog(catalog.entries, random=Random(7))
    found = [heavy.resolve("fast", ANYONE) for _ in range(400)]
    orders = [[d.model for d in (*resolved.deployments, *resolved.fallbacks)] for resolved in found]
    assert all(sorted(order[:2]) == ["openai/one", "openai/two"] for order in orders)
    assert all(order[2:] == ["anthropic/claude-sonnet-4-5"] for order in orders)
    share = sum(order[0] == "openai/one" for order in orders) / 400
    assert 0.68 < share < 0.82


def test_the_longest_wildcard_wins_and_passes_the_rest_on(catalog: Catalog) -> None:
    (us,) = catalog.resolve("bedrock/us.amazon.nova-lite-v1:0", ANYONE).deployments
    (eu,) = catalog.resolve("bedrock/eu.amazon.nova-lite-v1:0", ANYONE).deployments
    assert (us.model, us.params["aws_region_name"]) == ("bedrock/us.amazon.nova-lite-v1:0", "us-east-1")
    assert (eu.model, eu.params["aws_region_name"]) == ("bedrock/eu.amazon.nova-lite-v1:0", "eu-central-1")


def test_an_alias_resolves_to_its_entry(catalog: Catalog) -> None:
    resolved = catalog.resolve("gpt-4o", ANYONE)
    assert (resolved.name, resolved.entry) == ("gpt-4o", "fast")


@pytest.mark.parametrize(
    "name",
    [
        "nope",
        "",
        "fas",
        "FAST",
        "bedrock/",
        "bedrock/*",
        "bedrock",
        "*",
        "fast\n",
        "bedrock/a\nb",
        "bedrock/\0",
        "bedrock/../x",
        "bedrock/a?b",
        "bedrock/a#b",
        "bedrock/a%2fb",
    ],
)
def test_other_names_are_not_found(name: str, catalog: Catalog) -> None:
    with pytest.raises(ModelNotFound):
        catalog.resolve(name, ANYONE)


def test_what_a_key_may_not_use_is_as_unknown_as_what_does_not_exist(catalog: Catalog) -> None:
    with pytest.raises(ModelNotFound) as forbidden:
        catalog.resolve("careful", only("fast"))
    with pytest.raises(ModelNotFound) as unknown:
        catalog.resolve("nope", only("fast"))
    assert forbidden.value.message == unknown.value.message


def test_a_key_that_may_use_an_alias_may_use_it_and_no_other_name(catalog: Catalog) -> None:
    assert catalog.resolve("gpt-4o", only("gpt-*")).entry == "fast"
    with pytest.raises(ModelNotFound):
        catalog.resolve("fast", only("gpt-*"))


def test_a_fallback_that_the_key_may_not_use_is_left_out(catalog: Catalog) -> None:
    assert catalog.resolve("fast", only("fast")).fallbacks == ()


def test_aliases_in_a_circle_end() -> None:
    circle = Catalog([ModelEntry(name="x", deployments=(Deployment(model="demo/echo"),))], aliases={"a": "b", "b": "a"})
    with pytest.raises(ModelNotFound):
        circle.resolve("a", ANYONE)


def test_every_problem_of_a_file_is_named_at_once() -> None:
    text = """
model_list:
  - {model_name: a, litellm_params: {model: openai/x, api_key: os.environ/MISSING_ONE}}
  - {model_name: b, litellm_params: {api_key: os.environ/MISSING_TWO}}
  - {model_name: c, litellm_params: {model: openai/x, weight: 0}}
"""
    with pytest.raises(CatalogError) as error:
        parse_catalog(text, {})
    said = "\n".join(error.value.problems)
    assert all(word in said for word in ("MISSING_ONE", "MISSING_TWO", "(b)", "model is missing", "weight"))
    assert len(error.value.problems) == 4


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "model_list"),
        ("[1]", "the file: should be a mapping"),
        ("model_list: []", "model_list"),
        ("model_list: [{model_name: a}]", "litellm_params"),
        ("model_list:\n  - {", "line"),
        ("a: !!python/object/apply:os.system [id]", "YAML"),
        ("model_list: [{model_name: a, litellm_params: {model: x}}]\nfallbacks: {a: [b]}", "'b'"),
        ("model_list: [{model_name: a, litellm_params: {model: x}}]\naliases: {b: c}", "'c'"),
    ],
)
def test_a_file_that_cannot_be_used_says_where(text: str, word: str) -> None:
    with pytest.raises(CatalogError) as error:
        parse_catalog(text, {})
    assert word in str(error.value)


def test_a_litellm_proxy_file_works_as_it_is() -> None:
    text = """
model_list:
  - model_name: gpt
    litellm_params: {model: azure/gpt, api_base: https://x.example, tpm: 5}
    model_info: {id: one, mode: chat, supports_vision: true}
litellm_settings: {drop_params: true, fallbacks: [{gpt: [gpt]}], num_retries: 3}
router_settings: {model_group_alias: {other: gpt}, routing_strategy: simple-shuffle}
general_settings: {master_key: sk-x}
"""
    catalog = parse_catalog(text, {})
    assert catalog.resolve("other", ANYONE).entry == "gpt"


class TestModelDirectory:
    def test_wildcards_are_listed_by_the_models_known(self, catalog: Catalog) -> None:
        listed = {model.id for model in ModelDirectory(catalog, LiteLLMPriceList()).allowed(ANYONE)}
        assert {"fast", "careful", "gpt-4o"} <= listed
        assert "bedrock/us.amazon.nova-lite-v1:0" in listed
        assert not any("*" in name for name in listed)

    def test_only_what_the_key_may_use_is_listed_and_found(self, catalog: Catalog) -> None:
        directory = ModelDirectory(catalog, LiteLLMPriceList())
        assert [model.id for model in directory.allowed(only("careful"))] == ["careful"]
        with pytest.raises(ModelNotFound):
            directory.get("fast", only("careful"))

    def test_the_operators_facts_win_over_the_price_list(self, catalog: Catalog) -> None:
        model = ModelDirectory(catalog, LiteLLMPriceList()).get("fast", ANYONE)
        assert model.facts.max_input_tokens == 5
        assert model.facts.max_output_tokens == 16_384
        assert "tools" in model.facts.capabilities


def test_a_pattern_does_not_reach_over_a_traversal(catalog: Catalog) -> None:
    nova = only("bedrock/us.amazon.nova-lite*")
    assert catalog.resolve("bedrock/us.amazon.nova-lite-v1:0", nova).entry == "bedrock/us.*"
    with pytest.raises(ModelNotFound):
        catalog.resolve("bedrock/us.amazon.nova-lite/../anthropic.claude-opus", nova)


def test_an_arn_is_a_name(catalog: Catalog) -> None:
    name = "bedrock/arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/abc"
    assert catalog.resolve(name, ANYONE).deployments[0].model == name


def test_a_name_is_no_pattern_but_for_one_star() -> None:
    text = 'model_list: [{model_name: "x[1]*", litellm_params: {model: "openai/*"}}]'
    catalog = parse_catalog(text, {})
    with pytest.raises(ModelNotFound):
        catalog.resolve("x1foo", ANYONE)
    with pytest.raises(CatalogError, match="one"):
        parse_catalog('model_list: [{model_name: "a/*/b/*", litellm_params: {model: "openai/*"}}]', {})


@pytest.mark.parametrize("typo", ["aliasses", "fallback", "model_lists"])
def test_a_misspelt_section_is_noticed(typo: str) -> None:
    text = f"model_list: [{{model_name: a, litellm_params: {{model: demo/echo}}}}]\n{typo}: {{}}"
    with pytest.raises(CatalogError, match=typo):
        parse_catalog(text, {})
