"""models.yaml: the `model_list` that LiteLLM proxy users already have, plus `fallbacks` and `aliases`.

model_list:
  - model_name: fast                                   # what callers send
    litellm_params:
      model: bedrock/us.amazon.nova-lite-v1:0          # what the provider is asked for
      api_key: os.environ/NAME                         # or ssm:/path/of/a/parameter
      weight: 2                                        # share among the deployments of one name
    model_info: {base_model: ..., input_cost_per_token: ..., max_input_tokens: ...}
    upstream: plain                                    # ask without streaming
fallbacks: {fast: [careful]}
aliases: {gpt-4o: fast}
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from gateway.catalog import Catalog, Deployment, ModelEntry, ModelFacts
from gateway.places import place_of

ENVIRONMENT_PREFIX: Final = "os.environ/"
# Parameters of LiteLLM's Router; they mean nothing to a single call.
ROUTER_ONLY: Final = frozenset({"model", "weight", "rpm", "tpm", "order", "max_parallel_requests", "tags", "stream"})
SECTIONS: Final = ("model_list", "fallbacks", "aliases", "router_settings", "litellm_settings")


class CatalogError(Exception):
    """`source` cannot be used. `problems` names each one."""

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.source = source
        self.problems = tuple(problems)
        super().__init__(f"{source}: " + "; ".join(problems))


class _ModelInfo(BaseModel):
    model_config = ConfigDict(extra="ignore")

    base_model: str | None = None
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    input_cost_per_token: float | None = None
    output_cost_per_token: float | None = None
    mode: str | None = None


class _Entry(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    model_name: Annotated[str, Field(min_length=1)]
    litellm_params: dict[str, Any]
    model_info: _ModelInfo = _ModelInfo()
    upstream: Literal["stream", "plain"] = "stream"


def _merged(fallbacks: object) -> object:
    """LiteLLM writes fallbacks as a list of one-key mappings."""
    if not isinstance(fallbacks, list):
        return fallbacks
    return {name: targets for mapping in fallbacks if isinstance(mapping, dict) for name, targets in mapping.items()}


Fallbacks = Annotated[dict[str, list[str]], BeforeValidator(_merged)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="ignore")

    fallbacks: Fallbacks = {}
    model_group_alias: dict[str, str] = {}


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    model_list: Annotated[list[_Entry], Field(min_length=1)]
    fallbacks: Fallbacks = {}
    aliases: dict[str, str] = {}
    router_settings: _Settings = _Settings()
    litellm_settings: _Settings = _Settings()


def read_catalog(path: Path, environment: Mapping[str, str]) -> Catalog:
    """The catalog in a file.

    Raises:
        CatalogError: it cannot be read, or anything in it is wrong; every problem is named.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogError(str(path), [f"cannot be read ({type(error).__name__})"]) from error
    return parse_catalog(text, environment, source=str(path))


def parse_catalog(text: str, environment: Mapping[str, str], *, source: str = "models.yaml") -> Catalog:
    """The catalog in a YAML text; `os.environ/NAME` values are taken from `environment`.

    Raises:
        CatalogError: anything in it is wrong; every problem is named.
    """
    try:
        document = yaml.safe_load(text) or {}
        file = _File.model_validate(document)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise CatalogError(source, [f"not valid YAML{where}"]) from error
    except ValidationError as error:
        raise CatalogError(source, _wrong_fields(error)) from None
    problems = _misspelt(document)
    deployments: dict[str, list[Deployment]] = {}
    for number, entry in enumerate(file.model_list):
        found = _deployment(entry, environment, f"model_list[{number}] ({entry.model_name})", problems)
        deployments.setdefault(entry.model_name, []).extend(found)
    fallbacks = {**file.litellm_settings.fallbacks, **file.router_settings.fallbacks, **file.fallbacks}
    aliases = {**file.router_settings.model_group_alias, **file.aliases}
    catalog = Catalog(
        (
            ModelEntry(name=name, deployments=tuple(found), fallbacks=tuple(fallbacks.get(name, ())))
            for name, found in deployments.items()
            if found
        ),
        aliases=aliases,
    )
    if not problems:
        problems += [f"fallbacks: no entry serves {n!r}" for n in fallbacks if n not in deployments]
        problems += [
            f"fallbacks.{name}: no entry serves {target!r}"
            for name, targets in fallbacks.items()
            for target in targets
            if not catalog.knows(target)
        ]
        problems += [f"aliases.{n}: no entry serves {t!r}" for n, t in aliases.items() if not catalog.knows(n)]
    if problems:
        raise CatalogError(source, problems)
    return catalog


def _wrong_fields(error: ValidationError) -> list[str]:
    problems = []
    for found in error.errors():
        place = place_of(found["loc"]) or "the file"
        # pydantic would name our class.
        said = "should be a mapping" if found["type"] == "model_type" else found["msg"]
        problems.append(f"{place}: {said}")
    return problems


def _misspelt(document: Mapping[str, object]) -> list[str]:
    """Sections that are nearly ours. LiteLLM's proxy has many more, which mean nothing here and are ignored."""
    problems = []
    for section in document:
        near = get_close_matches(str(section), SECTIONS, n=1, cutoff=0.8)
        if section not in SECTIONS and near:
            problems.append(f"{section}: is this meant to be '{near[0]}'?")
    return problems


def _deployment(entry: _Entry, environment: Mapping[str, str], where: str, problems: list[str]) -> list[Deployment]:
    params = {
        name: _from_environment(value, environment, where, problems) for name, value in entry.litellm_params.items()
    }
    if entry.model_name.count("*") > 1:
        problems.append(f"{where}: a name may hold one '*' at the most")
        return []
    model = params.get("model")
    if not isinstance(model, str) or not model:
        problems.append(f"{where}: litellm_params.model is missing")
        return []
    weight = params.get("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or weight <= 0:
        problems.append(f"{where}: litellm_params.weight must be a number above 0")
        return []
    info = entry.model_info
    return [
        Deployment(
            model=model,
            params={name: value for name, value in params.items() if name not in ROUTER_ONLY},
            weight=float(weight),
            base_model=info.base_model,
            facts=ModelFacts(
                max_input_tokens=info.max_input_tokens,
                max_output_tokens=info.max_output_tokens,
                input_cost_per_token=info.input_cost_per_token,
                output_cost_per_token=info.output_cost_per_token,
                mode=info.mode,
            ),
            plain_upstream=entry.upstream == "plain",
        )
    ]


def _from_environment(value: object, environment: Mapping[str, str], where: str, problems: list[str]) -> object:
    if not isinstance(value, str) or not value.startswith(ENVIRONMENT_PREFIX):
        return value
    name = value.removeprefix(ENVIRONMENT_PREFIX)
    if name not in environment:
        problems.append(f"{where}: the environment variable {name} is not set")
    return environment.get(name, "")
