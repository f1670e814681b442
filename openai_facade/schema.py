"""OpenAI's request shapes, as far as they are checked. Unknown fields are dropped: clients add some every month.

Messages are TypedDicts, so that what was validated is also what is passed on, without building objects in between.
"""

from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,  # pydantic needs this one below Python 3.12
    TypeAlias,
)

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from gateway.chat_types import ChatRequest


class TextPart(TypedDict):
    """Text inside a message."""

    type: Literal["text"]
    text: str
    cache_control: NotRequired[dict[str, Any]]


class ImageUrl(TypedDict):
    """`url` is `data:` or http(s)."""

    url: str
    detail: NotRequired[str]


class ImagePart(TypedDict):
    """An image."""

    type: Literal["image_url"]
    image_url: ImageUrl
    cache_control: NotRequired[dict[str, Any]]


class InputAudio(TypedDict):
    """`data` is base64."""

    data: str
    format: str


class AudioPart(TypedDict):
    """A recording."""

    type: Literal["input_audio"]
    input_audio: InputAudio


class FileData(TypedDict):
    """`file_data` is `data:` or http(s). A `file_id` would name a file of the deployment's, not of the caller's."""

    file_data: str
    filename: NotRequired[str]


class FilePart(TypedDict):
    """A document."""

    type: Literal["file"]
    file: FileData
    cache_control: NotRequired[dict[str, Any]]


class RefusalPart(TypedDict):
    """An earlier refusal."""

    type: Literal["refusal"]
    refusal: str


Part = Annotated[TextPart | ImagePart | AudioPart | FilePart | RefusalPart, Field(discriminator="type")]
# pydantic wants a list it can build; the alias keeps the messages readable.
Content: TypeAlias = str | Annotated[list[Part], Field(min_length=1)]


class FunctionCall(TypedDict):
    """`arguments` is JSON text."""

    name: str
    arguments: str


class ToolCall(TypedDict):
    """An earlier call of a tool."""

    id: str
    type: Literal["function"]
    function: FunctionCall


class InstructionMessage(TypedDict):
    """Instructions; newer models call the role `developer`."""

    role: Literal["system", "developer"]
    content: Content
    name: NotRequired[str]


class UserMessage(TypedDict):
    """What the person says."""

    role: Literal["user"]
    content: Content
    name: NotRequired[str]


class AssistantMessage(TypedDict):
    """What the model said."""

    role: Literal["assistant"]
    content: NotRequired[Content | None]
    name: NotRequired[str]
    refusal: NotRequired[str | None]
    tool_calls: NotRequired[list[ToolCall] | None]
    reasoning_content: NotRequired[str | None]
    thinking_blocks: NotRequired[list[dict[str, Any]] | None]


class ToolMessage(TypedDict):
    """What a tool returned."""

    role: Literal["tool"]
    content: Content
    tool_call_id: str


Message = Annotated[
    InstructionMessage | UserMessage | AssistantMessage | ToolMessage,
    Field(discriminator="role"),
]


class FunctionDefinition(TypedDict):
    """A function on offer; `parameters` is a JSON schema."""

    name: str
    description: NotRequired[str | None]
    parameters: NotRequired[dict[str, Any] | None]
    strict: NotRequired[bool | None]


class FunctionTool(TypedDict):
    """A tool on offer."""

    type: Literal["function"]
    function: FunctionDefinition


class FunctionName(TypedDict):
    """Which function."""

    name: str


class NamedTool(TypedDict):
    """`tool_choice` that demands one function."""

    type: Literal["function"]
    function: FunctionName


class TextFormat(TypedDict):
    """`response_format` for text, or for any JSON object."""

    type: Literal["text", "json_object"]


class JsonSchema(TypedDict):
    """`schema` is a JSON schema."""

    name: str
    description: NotRequired[str | None]
    schema: NotRequired[dict[str, Any] | None]
    strict: NotRequired[bool | None]


class JsonSchemaFormat(TypedDict):
    """`response_format` for JSON of a given shape."""

    type: Literal["json_schema"]
    json_schema: JsonSchema


ResponseFormat = Annotated[TextFormat | JsonSchemaFormat, Field(discriminator="type")]


class StreamOptions(BaseModel):
    """`stream_options`."""

    model_config = ConfigDict(extra="ignore", strict=True)

    include_usage: bool | None = None


class ChatBody(BaseModel):
    """The body of POST /v1/chat/completions. The fields below `stream_options` are passed on; see CHAT_PARAMS."""

    model_config = ConfigDict(extra="ignore", strict=True, hide_input_in_errors=True, allow_inf_nan=False)

    model: Annotated[str, Field(min_length=1, max_length=300)]
    messages: Annotated[list[Message], Field(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    audio: dict[str, Any] | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    modalities: list[str] | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    parallel_tool_calls: bool | None = None
    prediction: dict[str, Any] | None = None
    presence_penalty: float | None = None
    prompt_cache_key: str | None = None
    reasoning_effort: str | None = None
    response_format: ResponseFormat | None = None
    safety_identifier: str | None = None
    seed: int | None = None
    service_tier: str | None = None
    stop: str | list[str] | None = None
    temperature: float | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    tools: list[FunctionTool] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    top_p: float | None = None
    user: str | None = None
    verbosity: str | None = None

    def to_request(self) -> ChatRequest:
        """What the gateway is asked."""
        params = self.model_dump(exclude={"model", "messages", "stream", "stream_options"}, exclude_none=True)
        return ChatRequest(model=self.model, messages=self.messages, params=params, stream=bool(self.stream))

    @property
    def include_usage(self) -> bool:
        """Whether the caller wants the usage chunk of a stream."""
        return bool(self.stream_options and self.stream_options.include_usage)
