# SPDX-License-Identifier: MIT
"""Requests held against botocore's description of AWS, with what botocore itself does not check."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final
from unicodedata import category

import botocore.session
from botocore.validate import ParamValidator

NO_CONTROLS: Final = r"[^\p{C}]+"
"""A pattern of AWS's that Python's re does not know."""


def check(service: str, operation: str, parameters: dict[str, object]) -> None:
    """Hold the parameters of a request against the model of a service."""
    check_shape(_model(service).operation_model(operation).input_shape, parameters, operation)


@cache
def _model(service: str) -> Any:  # noqa: ANN401 - botocore's, untyped
    return botocore.session.get_session().get_service_model(service)


def check_shape(shape: Any, value: object, name: str) -> None:  # noqa: ANN401 - botocore's, untyped
    """Hold a value against a shape: patterns, enumerations and bounds, which botocore skips."""
    report = ParamValidator().validate(value, shape)
    assert not report.has_errors(), report.generate_report()
    match value:
        case dict():
            for key, inner in value.items():
                if shape.type_name == "map":
                    check_shape(shape.key, key, name)
                    check_shape(shape.value, inner, f"{name}.{key}")
                else:
                    check_shape(shape.members[key], inner, f"{name}.{key}")
        case list() | tuple():
            assert shape.metadata.get("min", 0) <= len(value), name
            for inner in value:
                check_shape(shape.member, inner, name)
        case str():
            pattern = shape.metadata.get("pattern", r"[\s\S]*")
            if pattern == NO_CONTROLS:
                pattern = ".+"
                assert not any(category(each).startswith("C") for each in value), name
            # Java's character classes and escapes that matter here mean the same in Python.
            assert re.fullmatch(pattern, value), name
            assert shape.metadata.get("min", 0) <= len(value), name
            assert len(value) <= shape.metadata.get("max", len(value)), name
            assert not getattr(shape, "enum", None) or value in shape.enum, name
        case _:
            assert isinstance(value, int | float), name
            assert shape.metadata.get("min", value) <= value, name
            assert value <= shape.metadata.get("max", value), name
