# SPDX-License-Identifier: MIT
"""Pages that need no network and no script: where text of others is made harmless.

Text in a report came from a device or a disk. Whatever a template puts out is escaped for HTML,
and characters that could hide something are shown as escapes.
"""

from __future__ import annotations

from collections.abc import Mapping

import jinja2
from markupsafe import Markup

import bootseal
from bootseal.text import visible


def fill(template: str, values: Mapping[str, object]) -> str:
    """Fill one of the templates; all of them know `version`.

    Args:
        template: File name in `templates/`.
        values: The template's variables.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bootseal.report", "templates"),
        autoescape=True,
        finalize=_shown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(values, version=bootseal.__version__)


def _shown(value: object) -> object:
    """Return what a template puts out; markup is what a template made itself."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
