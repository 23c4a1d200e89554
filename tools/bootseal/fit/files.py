# SPDX-License-Identifier: MIT
"""Files that appear complete or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bootseal.formats.fdt import Buffer


def write_file(path: Path, data: Buffer) -> None:
    """Write a file beside its final place, then rename it there.

    The file gets the permissions any new file gets, as it holds nothing secret.

    Raises:
        OSError: The directory does not exist or cannot be written to.
    """
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as new:
        temporary = Path(new.name)
        try:
            new.write(data)
            new.flush()
            os.fsync(new.fileno())
            mask = os.umask(0)
            os.umask(mask)
            temporary.chmod(0o666 & ~mask)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
