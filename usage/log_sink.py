"""One JSON line per call through Powertools Logger: CloudWatch Logs in AWS, a stream elsewhere.

Fields follow OpenTelemetry's `gen_ai.*` terms where it has one. Every value comes from the record, which holds neither
message text nor secrets.
"""

from typing import TYPE_CHECKING, Any, TextIO

from gateway.records import UsageRecord

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger

MESSAGE = "usage"


class LogSink:
    """`gateway.ports.UsageSink`.

    Args:
        stream: where the lines go; stdio transports keep stdout for the protocol.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._logger: Logger | None = None

    def record(self, record: UsageRecord) -> None:
        """Write the line."""
        if self._logger is None:
            # At the first call, so that starting up does not wait for it.
            from aws_lambda_powertools import Logger  # noqa: PLC0415

            self._logger = Logger(service="zerogate", level="INFO", stream=self._stream, use_rfc3339=True, utc=True)
            self._logger.remove_keys(["location"])
        self._logger.info(MESSAGE, extra=fields(record))


def fields(record: UsageRecord) -> dict[str, Any]:
    """The record as flat JSON fields; those that are None are left out."""
    usage = record.usage
    found = {
        "request_id": record.request_id,
        "surface": record.surface,
        "endpoint": record.endpoint,
        "key_id": record.key_id,
        "owner": record.owner,
        "team": record.team,
        "gen_ai.request.model": record.model,
        "gen_ai.response.model": record.provider_model,
        "streamed": record.streamed,
        "outcome": record.outcome.value,
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "gen_ai.usage.cache_read_tokens": usage.cache_read_tokens,
        "gen_ai.usage.cache_write_tokens": usage.cache_write_tokens,
        "gen_ai.usage.reasoning_tokens": usage.reasoning_tokens,
        "usage.source": record.usage_source.value,
        # As text: a price of a few millionths of a dollar must not go through a float.
        "cost_usd": format(record.cost_usd, "f") if record.cost_usd is not None else None,
        "latency_ms": record.latency_ms,
        "time_to_first_token_ms": record.time_to_first_token_ms,
        "attempts": record.attempts,
        "error_code": record.error_code,
        "notice_code": record.notice_code,
    }
    return {name: value for name, value in found.items() if value is not None}
