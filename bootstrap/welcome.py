"""The page that `zerogate serve` prints: everything to paste, with the key in it once."""

from collections.abc import Sequence
from dataclasses import dataclass

PLACEHOLDER = "<your key>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where the server answers. `root` has no trailing slash."""

    root: str

    @property
    def openai(self) -> str:
        """The base URL of OpenAI clients."""
        return f"{self.root}/v1"

    @property
    def mcp(self) -> str:
        """The address of the MCP server."""
        return f"{self.root}/mcp"

    @property
    def admin(self) -> str:
        """The key-lifecycle endpoints."""
        return f"{self.root}/admin/v1"


def page(
    addresses: Addresses,
    *,
    api_key: str | None,
    models: Sequence[str],
    known_keys: Sequence[str],
    warning: str | None = None,
) -> str:
    """The text. What is to be pasted begins at the first column, so that here-documents work.

    Args:
        api_key: a new key, or None where those made before are to be used.
        models: the catalog's names; the examples ask the first that is no wildcard.
        known_keys: ids of keys that were made before.
    """
    model = next((name for name in models if "*" not in name), models[0])
    if api_key is not None:
        key = f"Your API key, shown this once:\n\n{api_key}"
    else:
        key = f"Your keys from before still work ({_some(known_keys, 3)}). For a new one: make serve ARGS=--new-key"
    return f"""
zerogate is ready at {addresses.root}      (Ctrl-C stops it)
{f"Mind: {warning}" if warning else ""}
  OpenAI base URL   {addresses.openai}
  MCP server        {addresses.mcp}
  Models            {_some(models, 6)}

{key}

Paste into a second terminal:

export OPENAI_BASE_URL={addresses.openai} OPENAI_API_KEY="{api_key or PLACEHOLDER}"

curl -N $OPENAI_BASE_URL/chat/completions -H "Authorization: Bearer $OPENAI_API_KEY" \\
  -H 'content-type: application/json' \\
  -d '{{"model":"{model}","stream":true,"messages":[{{"role":"user","content":"Hello from curl"}}]}}'

.venv/bin/python - <<'PY'
from openai import OpenAI
stream = OpenAI().chat.completions.create(
    model="{model}", stream=True, messages=[{{"role": "user", "content": "Hello from the OpenAI SDK"}}])
for chunk in stream:
    print(chunk.choices[0].delta.content or "", end="", flush=True)
PY

printenv OPENAI_API_KEY | .venv/bin/keycli verify --url {addresses.root}

An MCP client (Claude Code; others read the same JSON from their settings):

claude mcp add --transport http zerogate {addresses.mcp} --header "Authorization: Bearer $OPENAI_API_KEY"

{{"mcpServers": {{"zerogate": {{"type": "http", "url": "{addresses.mcp}",
  "headers": {{"Authorization": "Bearer {PLACEHOLDER}"}}}}}}}}

"""


def _some(names: Sequence[str], count: int) -> str:
    return ", ".join(names[:count]) + (f" and {len(names) - count} more" if len(names) > count else "")
