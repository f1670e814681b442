"""Asks providers which models the credentials at hand reach, for `zerogate models discover`. Nothing is called."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

ANTHROPIC_VERSION = "2023-06-01"
TIMEOUT_SECONDS = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A model, as an entry of models.yaml would name it; `params` are its litellm_params beside `model`."""

    name: str
    model: str
    params: Mapping[str, str]


class DiscoveryError(Exception):
    """The provider could not be asked; the text says why, without the credential."""


def discover(provider: str, environ: Mapping[str, str]) -> list[Found]:
    """The chat models of one provider, in its order.

    Raises:
        DiscoveryError: it cannot be asked, or there is no way to ask it.
    """
    ask = ASK.get(provider)
    if ask is None:
        message = "has no list to ask; its models are served under a wildcard"
        raise DiscoveryError(message)
    try:
        return ask(environ)
    except httpx.HTTPStatusError as error:
        message = f"answered with status {error.response.status_code}"
        raise DiscoveryError(message) from error
    except (httpx.HTTPError, ValueError, KeyError) as error:
        message = f"could not be asked ({type(error).__name__})"
        raise DiscoveryError(message) from error


def _get(url: str, headers: Mapping[str, str]) -> Any:
    response = httpx.get(url, headers=dict(headers), timeout=TIMEOUT_SECONDS)
    response.raise_for_status()
    return response.json()


def _openai(environ: Mapping[str, str]) -> list[Found]:
    base = environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1"
    listed = _get(f"{base.rstrip('/')}/models", {"authorization": f"Bearer {environ['OPENAI_API_KEY']}"})
    params = {"api_key": "os.environ/OPENAI_API_KEY"}
    if "OPENAI_BASE_URL" in environ:
        params["api_base"] = "os.environ/OPENAI_BASE_URL"
    chat = [m["id"] for m in listed["data"] if _may_chat(m["id"]) or "OPENAI_BASE_URL" in environ]
    return [Found(name=name, model=f"openai/{name}", params=params) for name in chat]


def _may_chat(name: str) -> bool:
    """OpenAI lists everything it has; its chat models begin so."""
    other = ("audio", "realtime", "image", "transcribe", "tts", "search", "instruct", "embedding")
    return name.startswith(("gpt-", "o1", "o3", "o4", "chatgpt-")) and not any(word in name for word in other)


def _anthropic(environ: Mapping[str, str]) -> list[Found]:
    base = environ.get("ANTHROPIC_BASE_URL") or "https://api.anthropic.com"
    headers = {"x-api-key": environ["ANTHROPIC_API_KEY"], "anthropic-version": ANTHROPIC_VERSION}
    listed = _get(f"{base.rstrip('/')}/v1/models?limit=1000", headers)
    params = {"api_key": "os.environ/ANTHROPIC_API_KEY"}
    if "ANTHROPIC_BASE_URL" in environ:
        params["api_base"] = "os.environ/ANTHROPIC_BASE_URL"
    return [Found(name=m["id"], model=f"anthropic/{m['id']}", params=params) for m in listed["data"]]


def _azure(environ: Mapping[str, str]) -> list[Found]:
    # The data plane's list of deployments; it has had no newer version since.
    url = f"{environ['AZURE_API_BASE'].rstrip('/')}/openai/deployments?api-version=2022-12-01"
    listed = _get(url, {"api-key": environ["AZURE_API_KEY"]})
    params = {name: f"os.environ/AZURE_{name.upper()}" for name in ("api_key", "api_base", "api_version")}
    return [Found(name=d["id"], model=f"azure/{d['id']}", params=params) for d in listed["data"]]


def _bedrock(environ: Mapping[str, str]) -> list[Found]:  # noqa: ARG001  boto3 reads the environment itself
    """Inference profiles (the only way to most newer models) and the models that can be called directly."""
    import boto3  # noqa: PLC0415  loads slowly
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    try:
        client = boto3.session.Session().client("bedrock")
        profiles = client.list_inference_profiles(maxResults=1000)["inferenceProfileSummaries"]
        models = client.list_foundation_models(byOutputModality="TEXT", byInferenceType="ON_DEMAND")["modelSummaries"]
    except (BotoCoreError, ClientError) as error:
        code = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
        message = f"could not be asked ({code})"
        raise DiscoveryError(message) from error
    ids = [p["inferenceProfileId"] for p in profiles if p["status"] == "ACTIVE"]
    ids += [m["modelId"] for m in models if m.get("responseStreamingSupported")]
    region = {"aws_region_name": client.meta.region_name}
    return [Found(name=name, model=f"bedrock/{name}", params=region) for name in dict.fromkeys(ids)]


ASK: Mapping[str, Callable[[Mapping[str, str]], list[Found]]] = {
    "openai": _openai,
    "anthropic": _anthropic,
    "azure": _azure,
    "bedrock": _bedrock,
}
