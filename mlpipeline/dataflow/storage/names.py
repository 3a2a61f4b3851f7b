"""The name of a table or folder for a pipeline and its version."""

from __future__ import annotations

import json
import re
from hashlib import blake2b

_PLAIN = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,62}")  # PostgreSQL cuts names at 63 bytes
_READABLE = 40  # characters that are kept before a digest


def stored_name(name: str, version: object | None) -> str:
    """Return `name-version`, or `name` where there is no version, as it may stand in a file system and in SQL.

    A name that is long, that has other characters than a-z 0-9 _ . - (databases and some file systems do not
    tell capitals apart), or that another name and version could share, gets a digest of both at its end. So two
    pairs never share a name, and no name leads out of its folder.
    """
    text = name if version is None else f"{name}-{version}"
    last_part = name if version is None else str(version)
    if _PLAIN.fullmatch(text) and "-" not in last_part and not _is_reserved(text):
        return text
    pair = json.dumps([name, None if version is None else str(version)])
    readable = re.sub("[^a-z0-9_.-]", "_", text.lower()).lstrip(".-")[:_READABLE]
    prefix = "_" if _is_reserved(readable) else ""
    return f"{prefix}{readable}~{blake2b(pair.encode(), digest_size=8).hexdigest()}"


def _is_reserved(text: str) -> bool:
    return text.startswith(("sqlite_", "pg_"))
