# SPDX-License-Identifier: MIT
"""The result of a boot matrix, read again from the document that was written of it."""

from __future__ import annotations

from bootseal import documents
from bootseal.boot.scenario.model import MATRIX_SCHEMA, MatrixResult
from bootseal.errors import FormatError


def parse(data: bytes, what: str) -> MatrixResult:
    """Read the result of a matrix, without the power cycles of its scenarios.

    Args:
        data: A document of the schema `bootseal.matrix/3`.
        what: What it is, for messages.

    Raises:
        FormatError: It is none, or names a scenario twice.
    """
    document = documents.parse(data, what)
    if (schema := document.pop("schema", None)) != MATRIX_SCHEMA:
        raise FormatError(f"{what} has schema {schema!r:.80}: expected {MATRIX_SCHEMA!r}")
    results = document.get("results")
    for each in results if isinstance(results, list) else []:
        if isinstance(each, dict) and isinstance(each.get("steps"), list):
            each["steps"] = []
    found = documents.decode(MatrixResult, document, what)
    names = [each.id for each in found.results]
    if len(set(names)) != len(names):
        raise FormatError(f"{what} names a scenario twice")
    return found
