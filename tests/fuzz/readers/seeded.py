# SPDX-License-Identifier: MIT
"""What the fuzzers have in common whose first byte chooses a reader.

They import it where they have their imports instrumented, which does not nest.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import atheris

from bootseal.errors import BootsealError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def run(
    readers: Sequence[Callable[[bytes], object]], seeds: Callable[[], Mapping[str, bytes]]
) -> None:
    """Run until libFuzzer ends, with its figures on standard error.

    Args:
        readers: Of which the first byte chooses; a `BootsealError` is one right end.
        seeds: Well-formed inputs by name, for the corpus that the command line names, when it is
            empty. A reader must take its own ones.
    """

    def one_input(data: bytes) -> None:
        if data:
            with suppress(BootsealError):
                readers[data[0] % len(readers)](data[1:])

    atheris.Setup(sys.argv, one_input)
    corpus = next((Path(arg) for arg in sys.argv[1:] if not arg.startswith("-")), None)
    if corpus is not None:
        corpus.mkdir(exist_ok=True)
        if not any(corpus.iterdir()):
            for name, data in seeds().items():
                readers[data[0]](data[1:])
                (corpus / name).write_bytes(data)
    atheris.Fuzz()
