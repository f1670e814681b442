"""A chat request and the pieces of its answer, in OpenAI's terms, whichever provider serves it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

JsonObject: TypeAlias = Mapping[str, object]

# The parameters of POST /v1/chat/completions that may reach a provider. Everything else in a body is ignored:
# `api_base`, `aws_*`, `extra_headers` and the like would send the deployment's credentials to a host of the caller's
# choice.
CHAT_PARAMS: Final = frozenset(
    {
        "audio",
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "modalities",
        "n",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """What the caller asks for.

    Attributes:
        model: the name as the caller sent it.
        messages: OpenAI-shaped messages, already validated.
        params: OpenAI-named parameters; `gateway` keeps those in CHAT_PARAMS only.
        stream: whether the caller wants pieces; it decides the time limit, not how the provider is asked.
    """

    model: str
    messages: Sequence[JsonObject]
    params: JsonObject = field(default_factory=dict)
    stream: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallDelta:
    """A piece of a tool call. Only the first piece of each index has `id` and `name`."""

    index: int
    arguments: str = ""
    id: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceDelta:
    """What one choice of the answer grew by."""

    index: int = 0
    content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: tuple[ToolCallDelta, ...] = ()
    logprobs: JsonObject | None = None

    @property
    def has_output(self) -> bool:
        """Whether there is anything in it that a person or a tool would miss."""
        return bool(self.content or self.reasoning or self.refusal or self.tool_calls)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one call, in OpenTelemetry's terms.

    `output_tokens` includes the reasoning tokens, `input_tokens` the cached ones.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One event of a provider's stream.

    Attributes:
        finish_reasons: by choice index, where the provider says that a choice is finished. The core keeps them for the
            ending: what a caller is handed while the stream runs holds none.
        usage: set on the event that reports it.
    """

    choices: tuple[ChoiceDelta, ...] = ()
    finish_reasons: Mapping[int, str] = field(default_factory=dict)
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing has come for a while: the moment for a keep-alive."""


WAITING: Final = Waiting()


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Why an answer is only a part, for machines: sent as `zerogate.notice` beside the finish reason."""

    code: str
    message: str
    limit: float
    elapsed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How an answer ended. The only place that a finish reason comes from, so that none can be made up on the way.

    Attributes:
        finish_reasons: one of OpenAI's enum per choice index.
        notice: set when the answer is a part of what the model would have said.
    """

    finish_reasons: Mapping[int, str]
    usage: Usage
    notice: Notice | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A whole tool call; `arguments` is JSON text, as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One whole choice of an answer."""

    index: int
    finish_reason: str
    content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: JsonObject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatResult:
    """A whole answer: the stream, collected."""

    choices: tuple[Choice, ...]
    usage: Usage
    notice: Notice | None = None
