# SPDX-License-Identifier: MIT
"""Where finished pieces of the build are kept, each under the hash of all it was made from."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from bootseal import device, files

# Changed inputs make a new entry; without an end to the old ones the cache only grows.
_KEPT: Final = 30 * 24 * 3600


def directory() -> Path:
    """Return the cache directory: `BOOTSEAL_CACHE`, or `bootseal` in the user's cache."""
    if chosen := os.environ.get("BOOTSEAL_CACHE"):
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "bootseal"


def key(inputs: Mapping[str, object], *code: str) -> str:
    """Hash what a piece is made from.

    Args:
        inputs: Everything that decides the content, as JSON values.
        code: `__file__` of the modules that make it: changed code makes anew.

    Returns:
        32 hex digits.

    >>> key({"a": 1}) == key({"a": 1}) != key({"a": 2})
    True
    """
    document = {"inputs": inputs, "code": [device.digest_file(Path(file)) for file in code]}
    text = json.dumps(document, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def entry(kind: str, name: str, make: Callable[[Path], None]) -> tuple[Path, bool]:
    """Return a directory of the cache, made now when it is not there.

    The directory appears under its name only when `make` has finished, so that an interrupted
    build leaves nothing that a later one would trust. Making one forgets those of its kind that
    were not used for 30 days. Others that want one of the same kind made wait for it: it may be
    the one they want.

    Args:
        kind: What it is, for example `uboot`.
        name: The `key` of its inputs.
        make: Fills the empty directory it is given.

    Returns:
        The directory, and whether it was there before.
    """
    target = directory() / kind / name
    if target.is_dir():
        os.utime(target)
        return target, True
    target.parent.mkdir(parents=True, exist_ok=True)
    with files.locked(directory() / f"{kind}.lock"):
        if target.is_dir():
            return target, True
        partial = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=target.parent))
        try:
            partial.chmod(0o755)
            make(partial)
            partial.replace(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        _forget(target.parent)
    return target, False


def _forget(entries: Path) -> None:
    limit = time.time() - _KEPT
    for old in entries.iterdir():
        if old.stat().st_mtime < limit:
            shutil.rmtree(old, ignore_errors=True)
