"""The tools. Each asks the same gateway as the HTTP surfaces do."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal, TypeAlias
from uuid import uuid4

import anyio
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult, ToolAnnotations
from pydantic import BaseModel, Field

from gateway.answer import Answer
from gateway.call import ARRIVED, PLATFORM_DEADLINE, REQUEST_ID, Call
from gateway.chat import Gateway
from gateway.chat_types import ChatRequest, ChatResult, JsonObject, Waiting
from gateway.collect import Collector
from gateway.errors import GatewayError
from gateway.identity import PRINCIPAL, Principal
from gateway.models import ModelDirectory
from mcp_server.progress import TextProgress
from mcp_server.results import ChatAnswer, ModelList, answer_result, error_result, models_result

ToolContext: TypeAlias = Context[Any, Any]
RequestContext: TypeAlias = ServerRequestContext[Any, Any]

# They spend money, but change nothing that the caller could see again.
ASKS_A_MODEL = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=False, open_world_hint=True)
READS_THE_CATALOG = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)


class ChatMessage(BaseModel):
    """A message of the conversation."""

    role: Literal["system", "user", "assistant"] = "user"
    content: str


Model = Annotated[
    str | None, Field(max_length=300, description="A model from list_models; left out, the server's default.")
]
MaxTokens = Annotated[int | None, Field(ge=1, description="The most tokens that the answer may have.")]
Temperature = Annotated[float | None, Field(ge=0, le=2, description="0 is the most predictable.")]


class Tools:
    """The tools' functions over one gateway.

    Args:
        default_model: asked when the caller names none.
        stream: whether the transport can show progress; without it the shorter time limit counts.
        local_principal: who calls over stdio, where no request carries a key.
    """

    def __init__(
        self,
        gateway: Gateway,
        directory: ModelDirectory,
        *,
        default_model: str,
        stream: bool = True,
        local_principal: Principal | None = None,
    ) -> None:
        self._gateway = gateway
        self._directory = directory
        self._default_model = default_model
        self._stream = stream
        self._local_principal = local_principal

    def all(self) -> list[Tool]:
        """As the SDK wants them."""
        return [
            Tool.from_function(self.chat, name="chat", title="Ask a model", annotations=ASKS_A_MODEL),
            Tool.from_function(self.completion, name="completion", title="Complete a text", annotations=ASKS_A_MODEL),
            Tool.from_function(
                self.list_models, name="list_models", title="List the models", annotations=READS_THE_CATALOG
            ),
        ]

    async def chat(
        self,
        context: ToolContext,
        messages: Annotated[
            list[ChatMessage],
            Field(min_length=1, description='The conversation, e.g. [{"role": "user", "content": "Hello"}].'),
        ],
        model: Model = None,
        max_tokens: MaxTokens = None,
        temperature: Temperature = None,
    ) -> Annotated[CallToolResult, ChatAnswer]:
        """Ask a language model for its answer to a conversation. The text comes as progress while it is written."""
        asked = [{"role": message.role, "content": message.content} for message in messages]
        return await self._ask(context, "chat", asked, model, max_tokens=max_tokens, temperature=temperature)

    async def completion(
        self,
        context: ToolContext,
        prompt: Annotated[str, Field(min_length=1, description="What the model is to answer or to go on with.")],
        model: Model = None,
        max_tokens: MaxTokens = None,
    ) -> Annotated[CallToolResult, ChatAnswer]:
        """Ask a language model with a single prompt. The text comes as progress while it is written."""
        asked = [{"role": "user", "content": prompt}]
        return await self._ask(context, "completion", asked, model, max_tokens=max_tokens)

    async def list_models(
        self,
        context: ToolContext,
        provider: Annotated[str | None, Field(description="Only this provider's, e.g. bedrock.")] = None,
    ) -> Annotated[CallToolResult, ModelList]:
        """List the models that this key may use, with their context windows. Costs nothing."""
        found = self._directory.allowed(self._principal(context.request_context))
        return models_result([model for model in found if provider in {None, model.provider}])

    async def _ask(
        self,
        context: ToolContext,
        tool: str,
        messages: Sequence[JsonObject],
        model: str | None,
        **params: object,
    ) -> CallToolResult:
        model = model or self._default_model
        given = {name: value for name, value in params.items() if value is not None}
        request = ChatRequest(model=model, messages=messages, params=given, stream=self._stream)
        try:
            async with (
                self._gateway.open(self._call(context.request_context, tool)) as account,
                self._gateway.chat(account, request) as answer,
            ):
                return answer_result(await _reported(answer, TextProgress(context)), model)
        except GatewayError as error:
            return error_result(error)
        # Reached when the gateway gave up on a reader that takes nothing any more.
        raise TimeoutError

    async def refused(self, context: RequestContext, tool: str, error: GatewayError) -> CallToolResult:
        """The result of a call whose arguments are wrong; that of a model is written down."""
        if tool != "list_models":
            with suppress(GatewayError):
                async with self._gateway.open(self._call(context, tool)):
                    raise error
        return error_result(error)

    def _principal(self, context: RequestContext) -> Principal:
        request = context.request
        if request is not None:
            principal: Principal = request.scope[PRINCIPAL]
            return principal
        if self._local_principal is None:
            message = "a request without a transport that checks keys"
            raise RuntimeError(message)
        return self._local_principal

    def _call(self, context: RequestContext, tool: str) -> Call:
        request = context.request
        scope = request.scope if request is not None else {}
        return Call(
            request_id=scope.get(REQUEST_ID) or f"req_{uuid4().hex}",
            principal=self._principal(context),
            surface="mcp",
            endpoint=f"tools/{tool}",
            started=scope.get(ARRIVED, anyio.current_time()),
            platform_deadline=scope.get(PLATFORM_DEADLINE),
        )


async def _reported(answer: Answer, progress: TextProgress) -> ChatResult:
    """The whole answer; its text goes out as progress meanwhile."""
    collector = Collector()
    async with progress.running():
        async for event in answer:
            if isinstance(event, Waiting):
                await progress.waiting()
                continue
            collector.add(event)
            for delta in event.choices:
                if delta.index == 0 and delta.content:
                    progress.add(delta.content)
    return collector.result(answer)
