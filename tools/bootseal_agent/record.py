# SPDX-License-Identifier: MIT
"""The record of an update in progress: one small file that outlives the power.

It is on the encrypted data partition, and encryption does not say who wrote it: what is there is
read as a bounded, strict document, and a link, a FIFO or a device is not opened.
"""

from __future__ import annotations

import json
import logging
import os
import stat
from pathlib import Path
from typing import Final

from bootseal_agent import document, strict
from bootseal_agent.errors import Refusal
from bootseal_agent.events import Record
from bootseal_agent.wire import JOB

SCHEMA: Final = "bootseal.agent-record/1"
_MAX_SIZE: Final = 4096
_HIGHEST: Final = (1 << 63) - 1
_KEYS: Final = frozenset({"schema", "job", "number", "slot", "version", "boot"})
_log: Final = logging.getLogger(__name__)


def load(path: Path) -> Record | None:
    """Return the record, or None if there is none.

    One that cannot be read counts as none, and the log says why: the job is then begun again.

    Args:
        path: The file.
    """
    try:
        return _parse(_content(path))
    except FileNotFoundError:
        return None
    except (OSError, Refusal) as error:
        _log.warning("the record is not used: %s", error)
        return None


def save(path: Path, record: Record) -> None:
    """Write the record; it is complete on the disk, or the old one is, whatever happens.

    Args:
        path: The file.
        record: What to keep.

    Raises:
        OSError: It cannot be written.
    """
    members = {"schema": SCHEMA} | {key: getattr(record, key) for key in _KEYS - {"schema"}}
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    # Fails rather than write through anything that is there.
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
        file.write(json.dumps(members).encode())
        file.flush()
        os.fsync(descriptor)
    new.replace(path)
    _sync(path.parent)


def forget(path: Path) -> None:
    """Remove the record, if there is one.

    Raises:
        OSError: It cannot be removed.
    """
    path.unlink(missing_ok=True)
    _sync(path.parent)


def _content(path: Path) -> bytes:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Refusal(f"{path} is not a regular file")
        return file.read(_MAX_SIZE + 1)


def _parse(data: bytes) -> Record:
    what = "the record"
    found = strict.parse(data, what, limit=_MAX_SIZE)
    if found.get("schema") != SCHEMA or found.keys() != _KEYS:
        raise Refusal(f"{what} is not one of schema {SCHEMA}")
    return Record(
        job=strict.text(found, "job", what, JOB),
        number=strict.number(found, "number", what, 0, _HIGHEST),
        slot=strict.text(found, "slot", what, "[ab]"),
        version=strict.text(found, "version", what, document.VERSION),
        boot=strict.text(found, "boot", what, r"[0-9a-f-]{36}"),
    )


def _sync(directory: Path) -> None:
    """Make a rename last through a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
