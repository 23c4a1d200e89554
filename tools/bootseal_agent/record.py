# SPDX-License-Identifier: MIT
"""The record of an update in progress: one small file that outlives the power.

It is on the encrypted data partition, and encryption does not say who wrote it: what is there is
read as a bounded, strict document, and a link, a FIFO or a device is not opened.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Final

from bootseal_agent import document, files, strict
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
        with files.opened(path) as file:
            return _parse(file.read(_MAX_SIZE + 1))
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
    files.write(path, json.dumps(members).encode())


def forget(path: Path) -> None:
    """Remove the record, if there is one.

    Raises:
        OSError: It cannot be removed.
    """
    path.unlink(missing_ok=True)
    files.sync(path.parent)


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
