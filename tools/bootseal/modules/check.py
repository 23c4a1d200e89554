# SPDX-License-Identifier: MIT
"""Checks who signed kernel modules, as a kernel with one certificate does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bootseal.check.rootfs.programs import MAX_MODULE, decompressed
from bootseal.errors import FormatError
from bootseal.files import read_bounded
from bootseal.findings.catalogue import finding
from bootseal.formats import module_signature
from bootseal.keys import cms
from bootseal.modules.find import demand_module

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from bootseal.findings.model import Finding
    from bootseal.keys.cms import Certificate


def check(paths: Iterable[Path], pinned: Certificate) -> Iterator[Finding]:
    """Yield what is wrong with modules and their signatures.

    Args:
        paths: The modules, plain, .gz, .xz or .zst.
        pinned: The certificate whose key has to have signed each of them.

    Raises:
        UsageError: One is of another kind than a file.
        OSError: One cannot be read.
    """
    for path in paths:
        yield from _module(path, pinned)


def _module(path: Path, pinned: Certificate) -> Iterator[Finding]:
    where = str(path)
    try:
        module = decompressed(read_bounded(path, limit=MAX_MODULE), where)
        signed = module_signature.split(module)
        content = module if signed is None else module[: signed.content]
        demand_module(content, where)
    except FormatError as error:
        yield finding("module.damaged", where, error.message)
        return
    if signed is None:
        yield finding("module.unsigned", where, "it has no signature")
        return
    yield from cms.check_module(signed.message, content, pinned, where)
