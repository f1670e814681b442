"""Every setting, and the only place that reads the environment. docs/configuration.md lists them; a test compares."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "ZEROGATE_"
MIB = 1024 * 1024

Seconds = Annotated[float, Field(gt=0)]
Words = Annotated[tuple[str, ...], NoDecode]


class SettingsError(Exception):
    """The environment holds settings that cannot be used; every one is named."""


class Settings(BaseSettings):
    """Read once at start, then frozen. Each field is the variable ZEROGATE_<NAME>; lists are separated by commas."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True)

    models_file: Path | None = Field(
        None, description="models.yaml; left out, what the environment's credentials reach."
    )
    default_model: str | None = Field(None, description="For MCP calls that name no model; left out, the first one.")

    max_request_bytes: int = Field(4 * MIB, ge=1024, le=64 * MIB, description="Largest request body, decoded.")
    stream_seconds: Seconds = Field(840.0, description="Time limit of a streamed answer.")
    collected_seconds: Seconds = Field(290.0, description="Time limit of an answer in one piece.")
    waiting_seconds: Seconds = Field(10.0, description="Silence after which a stream carries a keep-alive.")
    grace_seconds: Seconds = Field(10.0, description="Kept free before Lambda's own end of a request.")
    stalled_reader_seconds: Seconds = Field(10.0, description="After the time limit, how long a slow reader may take.")

    attachment_bytes: int = Field(20 * MIB, ge=1, description="Largest sum of what a request names by URL.")
    attachment_seconds: Seconds = Field(20.0, description="Time limit for fetching one URL.")
    attachment_networks: Words = Field((), description="Private networks (CIDR) that URLs may lead to all the same.")

    cognito_user_pool_id: str | None = Field(None, description="The user pool that holds the keys.")
    cognito_region: str | None = Field(None, description="Its Region; left out, the pool id's.")
    cognito_endpoint_url: str | None = Field(None, description="Another address of Cognito, for tests.")
    key_cache_seconds: Seconds = Field(60.0, description="How long a key's record counts as fresh.")
    missing_key_cache_seconds: Seconds = Field(30.0, description="How long an unknown key stays unknown.")
    stale_key_seconds: Seconds = Field(300.0, description="How old a record may get while Cognito does not answer.")

    cors_origins: Words = Field(("*",), description="Origins that browsers may call from.")
    mcp_stream: bool = Field(default=True, description="Whether /mcp may answer with SSE.")
    mcp_hosts: Words = Field((), description="Host headers that /mcp accepts; empty accepts all.")
    response_mode: Literal["stream", "buffered"] = Field("stream", description="How API Gateway invokes the function.")
    settle_seconds: Seconds = Field(2.0, description="On Lambda, how long work after an answer may take.")
    fill_empty_bodies: bool = Field(default=False, description="On Lambda, send one byte where an answer is empty.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Of the log on stderr.")
    data_dir: Path | None = Field(None, description="Where `zerogate serve` keeps the records of its local keys.")

    @field_validator("attachment_networks", "cors_origins", "mcp_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(word for part in value.split(",") if (word := part.strip())) if isinstance(value, str) else value

    @field_validator("models_file", "default_model", "cognito_region", "cognito_endpoint_url", mode="before")
    @classmethod
    def _blank_is_unset(cls, value: object) -> object:
        """A template's parameter is empty where a shell's variable is not there at all."""
        return None if value == "" else value

    @field_validator("attachment_networks")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        from ipaddress import ip_network  # noqa: PLC0415  rarely set

        for network in value:
            ip_network(network)
        return value

    @property
    def pool_region(self) -> str:
        """The user pool's Region: as set, or the part of its id before the underscore."""
        return self.cognito_region or (self.cognito_user_pool_id or "").partition("_")[0]


def read_settings(**overrides: Any) -> Settings:
    """The settings of this process; arguments win over the environment.

    Raises:
        SettingsError: naming every variable that is wrong, and what is wrong with it.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        problems = [f"{PREFIX}{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors(include_input=False)]
        raise SettingsError("\n".join(problems)) from None


def environment() -> Mapping[str, str]:
    """The process's environment, for `os.environ/NAME` values and provider credentials."""
    return dict(os.environ)
