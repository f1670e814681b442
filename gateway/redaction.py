"""Takes credentials and account details out of text that comes from elsewhere, before it is logged or shown."""

import re
import traceback
from typing import Final

HIDDEN: Final = "[redacted]"

_SECRETS: Final = re.compile(
    r"""
      sk-[A-Za-z0-9_\-]{8,}                               # OpenAI-like keys, ours included
    | (?:AKIA|ASIA)[A-Z0-9]{12,}                          # AWS access key ids
    | (?i:bearer)\s+[A-Za-z0-9_\-.=+/]{8,}
    | (?i:x-api-key|api-key|api_key|authorization)["']?\s*[:=]\s*["']?[^\s"',}]{8,}
    | (?<=[?&])(?i:key|api_key|token|sig|signature|x-amz-[a-z\-]+)=[^&\s"']+
    | eyJ[A-Za-z0-9_\-]{10,}\.[A-Za-z0-9_\-]{10,}\.[A-Za-z0-9_\-]*   # JSON web tokens
    """,
    re.VERBOSE,
)
_DETAILS: Final = re.compile(
    r"""
      arn:aws[a-z\-]*:[^\s"',}]+                          # holds the account number
    | https?://[^\s"',}]+                                 # internal addresses, links to file a bug
    | \b\d{12}\b                                          # account numbers
    """,
    re.VERBOSE,
)


def without_secrets(text: str) -> str:
    """The text with everything that looks like a credential replaced. For logs."""
    return _SECRETS.sub(HIDDEN, text)


def without_details(text: str) -> str:
    """Also without addresses, ARNs and account numbers. For what a caller may see."""
    return _DETAILS.sub(HIDDEN, without_secrets(text))


def stack_of(error: BaseException) -> str:
    """The error's class and where it came from, without its text, which may quote what a caller sent."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    return f"{type(error).__name__}\n{frames}"
