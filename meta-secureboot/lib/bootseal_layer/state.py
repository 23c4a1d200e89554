# SPDX-License-Identifier: MIT
"""What BOOTSEAL_STATE declares, by the rule of the signing tool: tools/bootseal/state.py."""

from __future__ import annotations

from pathlib import Path

from bootseal_layer import rules


def problem(declared: str, source: str) -> str:
    """Return why what is declared cannot be kept; "" when it can.

    Args:
        declared: Value of BOOTSEAL_STATE.
        source: Directory of the repository that the layer is in.
    """
    if not declared.split():
        return ""
    try:
        rule = rules.load(source, "state.py")
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
    rules.load(source, "state.py").install(declared, Path(root))
