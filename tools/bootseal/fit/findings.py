# SPDX-License-Identifier: MIT
"""How the judges of a FIT say what they found."""

from __future__ import annotations

from bootseal.findings.model import Finding, Severity


def error(name: str, where: str, message: str) -> Finding:
    """Make a finding that refuses the FIT; `name` is its id without `fit.`."""
    return Finding(id=f"fit.{name}", severity=Severity.ERROR, where=where, message=message)


def warning(name: str, where: str, message: str) -> Finding:
    """Make a finding that is worth a look; `name` is its id without `fit.`."""
    return Finding(id=f"fit.{name}", severity=Severity.WARNING, where=where, message=message)


def info(name: str, where: str, message: str) -> Finding:
    """Make a finding that is good to know; `name` is its id without `fit.`."""
    return Finding(id=f"fit.{name}", severity=Severity.INFO, where=where, message=message)
