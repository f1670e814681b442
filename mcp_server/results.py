"""What the tools return. The structured part holds the whole answer: some clients show the model nothing else."""

from dataclasses import asdict
from typing import Any

from mcp_types import CallToolResult, TextContent
from pydantic import BaseModel, Field

from gateway.chat_types import ChatResult, Choice
from gateway.errors import GatewayError
from gateway.models import ModelInfo

ERROR_META = "zerogate/error"


class TokenUsage(BaseModel):
    """Tokens of the call."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


class NoticeInfo(BaseModel):
    """Why an answer is only a part."""

    code: str
    message: str
    limit: float
    elapsed: float


class ChatAnswer(BaseModel):
    """The answer of `chat` and `completion`."""

    text: str = Field(description="The model's answer.")
    model: str = Field(description="The model that was asked.")
    finish_reason: str = Field(description="`stop`, or `length` when the answer was cut, or `content_filter`.")
    usage: TokenUsage
    notice: NoticeInfo | None = Field(None, description="Set when the answer is incomplete, with the reason.")


class ModelDescription(BaseModel):
    """A model that this key may use."""

    id: str
    provider: str
    context_window: int | None = None
    max_output_tokens: int | None = None


class ModelList(BaseModel):
    """The answer of `list_models`."""

    models: list[ModelDescription]


def answer_result(result: ChatResult, model: str) -> CallToolResult:
    """The answer's first choice; text and structure say the same."""
    choice = result.choices[0]
    notice = NoticeInfo(**asdict(result.notice)) if result.notice else None
    answer = ChatAnswer(
        text=_text(choice),
        model=model,
        finish_reason=choice.finish_reason,
        usage=TokenUsage(
            input_tokens=result.usage.input_tokens,
            output_tokens=result.usage.output_tokens,
            total_tokens=result.usage.input_tokens + result.usage.output_tokens,
        ),
        notice=notice,
    )
    content = [TextContent(type="text", text=answer.text)]
    if notice:
        content.append(TextContent(type="text", text=f"[{notice.message}]"))
    return CallToolResult(content=list(content), structured_content=_json(answer))


def models_result(models: list[ModelInfo]) -> CallToolResult:
    """The list, one id a line in the text."""
    described = [
        ModelDescription(
            id=model.id,
            provider=model.provider,
            context_window=model.facts.max_input_tokens,
            max_output_tokens=model.facts.max_output_tokens,
        )
        for model in models
    ]
    text = "\n".join(model.id for model in described) or "No models."
    return CallToolResult(
        content=[TextContent(type="text", text=text)], structured_content=_json(ModelList(models=described))
    )


def error_result(error: GatewayError) -> CallToolResult:
    """A failure that the calling model can read, and that a program can act on."""
    details: dict[str, Any] = {
        "code": error.code,
        "message": error.message,
        "param": error.param,
        "retry": error.should_retry if error.should_retry is not None else error.retry_after is not None,
        "retry_after_seconds": error.retry_after,
    }
    return CallToolResult(
        content=[TextContent(type="text", text=f"{error.code}: {error.message}")],
        is_error=True,
        meta={ERROR_META: details},
    )


def _text(choice: Choice) -> str:
    return choice.content or choice.refusal or ""


def _json(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(mode="json", exclude_none=True)
