# SPDX-License-Identifier: MIT
"""What BOOTSEAL_STATE declares, by the rule of the signing tool: tools/bootseal/state.py."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType


def problem(declared: str, source: str) -> str:
    """Return why what is declared cannot be kept; "" when it can.

    Args:
        declared: Value of BOOTSEAL_STATE.
        source: Directory of the repository that the layer is in.
    """
    if not declared.split():
        return ""
    try:
        rule = _rule(source)
    except OSError as error:
        return (
            "BOOTSEAL_STATE is checked by the rule of the signing tool, which is not there:"
            f" {error}. BOOTSEAL_SOURCE is the repository that the layer is in"
        )
    try:
        rule.places(declared)
    except rule.StateError as error:
        return str(error)
    return ""


def install(declared: str, source: str, root: str) -> None:
    """Write the files of a root file system that keep what is declared, with plain permissions.

    Args:
        declared: Value of BOOTSEAL_STATE, without a problem.
        source: Directory of the repository that the layer is in.
        root: The root file system.
    """
    _rule(source).install(declared, Path(root))


def _rule(source: str) -> ModuleType:
    """Load the module; its file is named, so that no other tool that is installed is taken.

    Raises:
        OSError: It is not there.
    """
    path = Path(source) / "tools/bootseal/state.py"
    spec = importlib.util.spec_from_file_location("bootseal_state_rule", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
