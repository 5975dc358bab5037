"""Folder names for classes of any name."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from urllib.parse import quote

_MOST_BYTES = 100
_KEPT_BYTES = 80

_UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|%~]|^[.\- ]|[. ]$|[\ud800-\udfff]')
"""What a file system or a shell reads otherwise, and the characters that mark a changed name."""

_DEVICES = re.compile(r"(?i)^(con|prn|aux|nul|com\d|lpt\d)(?=\.|$)")

_SPLIT = re.compile(
    r"(?<![^-._ 0-9])(training|train|validation|valid|val|dev|testing|test|evaluation|eval)"
    r"(?![^-._ 0-9])"
)
"""Words that `datasets` takes for the name of a split, wherever they are in a path."""


def same_name(name: str) -> str:
    """Return a text that is equal for names that some file systems do not distinguish."""
    return unicodedata.normalize("NFC", name).casefold()


def folder_name(name: str) -> str:
    """Return the name of a class's folder: the class's own name where that is safe.

    Any name gives one plain folder name of at most 100 bytes, and different names different ones
    (by a hash where they are long). What is unsafe is percent-encoded; "~" follows a word that
    would be taken for a split or a device.

    Args:
        name: of the class; anything, such as ``../x``, ``-rf`` or 300 characters.
    """
    normal = unicodedata.normalize("NFC", name)
    safe = _UNSAFE.sub(lambda found: quote(found[0], safe="", errors="surrogatepass"), normal)
    # quote leaves these alone, and as first or last characters they are unsafe.
    safe = re.sub(r"^[.\-]|\.$", lambda found: f"%{ord(found[0]):02X}", safe)
    safe = safe.replace("~", "%7E")
    marked = _DEVICES.sub(r"\1~", _SPLIT.sub(r"\1~", safe), count=1) if safe else "~"
    content = marked.encode()
    if len(content) <= _MOST_BYTES:
        return marked
    digest = hashlib.sha256(normal.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{content[:_KEPT_BYTES].decode(errors='ignore')}~{digest}"
