"""Tells a mistyped key from a possible one, offline. The server's own check is in auth.key_format."""

import re
import zlib

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PATTERN = re.compile(r"(sk-zg_[a-z0-9]{12}_[0-9A-Za-z]{43})([0-9A-Za-z]{6})")


def looks_whole(key: str) -> bool:
    """Whether the key has the right form and its check digits fit: no character was lost or changed."""
    match = _PATTERN.fullmatch(key)
    if match is None:
        return False
    number, digits = zlib.crc32(match[1].encode()), ""
    while number:
        number, digit = divmod(number, 62)
        digits = _BASE62[digit] + digits
    return digits.rjust(6, "0") == match[2]
