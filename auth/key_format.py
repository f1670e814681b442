"""The text of an API key: `sk-zg_<kid>_<secret><crc>`, 68 characters. See docs/adr/0003.

The kid is public. The secret is 256 random bits in base62. The CRC-32 lets a typo, or a scanner's false find, be told
apart offline; it is no defence. Only the SHA-256 of the secret is stored: a slow hash adds nothing to 256 random bits.
"""

import re
import secrets
import zlib
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from typing_extensions import override

PREFIX: Final = "sk-zg_"
KID_LENGTH: Final = 12
SECRET_LENGTH: Final = 43
CRC_LENGTH: Final = 6
SECRET_BITS: Final = 256
_KID_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz0123456789"
_BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PATTERN: Final = re.compile(r"sk-zg_([a-z0-9]{12})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A whole key. Its `repr` shows the public part alone; use `reveal` where the caller must see it once."""

    kid: str
    secret: str = field(repr=False)

    def reveal(self) -> str:
        """The text that the caller holds."""
        body = f"{PREFIX}{self.kid}_{self.secret}"
        return body + _crc(body)

    @property
    def digest(self) -> str:
        """SHA-256 of the secret in hex: what is stored."""
        return sha256(self.secret.encode()).hexdigest()

    @override
    def __str__(self) -> str:
        return redacted(self.kid)


def generate() -> ApiKey:
    """A new random key."""
    kid = "".join(secrets.choice(_KID_ALPHABET) for _ in range(KID_LENGTH))
    return ApiKey(kid=kid, secret=_base62(secrets.randbits(SECRET_BITS), SECRET_LENGTH))


def parse(text: str) -> ApiKey | None:
    """The key in a text, or None when it is malformed or mistyped. No I/O."""
    # A key is ASCII; `fullmatch` alone would let through what the pattern's classes do not name.
    match = _PATTERN.fullmatch(text)
    if match is None or _crc(text[:-CRC_LENGTH]) != match[3]:
        return None
    return ApiKey(kid=match[1], secret=match[2])


def redacted(kid: str) -> str:
    """How a key is shown after its creation: no character of the secret."""
    return f"{PREFIX}{kid}_***"


def _crc(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), CRC_LENGTH)


def _base62(number: int, width: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 62)
        digits = _BASE62[digit] + digits
    return digits.rjust(width, "0")
