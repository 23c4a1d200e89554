# SPDX-License-Identifier: MIT
"""Modules of the signing tool that bitbake reads too, so that a rule is in one place."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType


def load(source: str, name: str) -> ModuleType:
    """Load a module; its file is named, so that no other tool that is installed is taken.

    Args:
        source: Directory of the repository that the layer is in.
        name: File of the module, below `tools/bootseal`.

    Raises:
        OSError: It is not there.
    """
    path = Path(source) / "tools/bootseal" / name
    spec = importlib.util.spec_from_file_location(f"bootseal_rule_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
