# SPDX-License-Identifier: MIT
"""How scenarios ended, compared with those of the release before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bootseal.boot.scenario.model import Outcome
from bootseal.dossier.model import Change, Course

if TYPE_CHECKING:
    from bootseal.boot.scenario.model import MatrixResult


def compare(before: MatrixResult, now: MatrixResult) -> tuple[Change, ...]:
    """Return every scenario of two runs once, those that got worse first.

    Args:
        before: The run of the release before.
        now: That of this one.
    """
    old = {each.id: each for each in before.results}
    new = {each.id: each for each in now.results}
    changes = []
    for name in dict.fromkeys([*new, *old]):
        was = old[name].verdict if name in old else None
        is_ = new[name].verdict if name in new else None
        title = (new if name in new else old)[name].title
        changes.append(Change(id=name, title=title, course=_course(was, is_), before=was, now=is_))
    return tuple(sorted(changes, key=lambda each: list(Course).index(each.course)))


def _course(before: Outcome | None, now: Outcome | None) -> Course:
    if now is None:
        return Course.GONE
    if before is None:
        return Course.NEW
    if before is now:
        return Course.SAME
    if now is Outcome.PASSED:
        return Course.REPAIRED
    return Course.BROKEN if before is Outcome.PASSED else Course.OTHER
