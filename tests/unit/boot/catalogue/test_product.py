# SPDX-License-Identifier: MIT
"""What the checks of the product's state make of serial logs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from bootseal.boot.catalogue import product
from bootseal.errors import VerificationRefused

if TYPE_CHECKING:
    from bootseal.boot.scenario.workspace import Workspace

FIRST = ("1" * 32, "a" * 32)
SECOND = ("2" * 32, "b" * 32)


def workspace(directory: Path, *steps: tuple[tuple[str, str], ...]) -> Workspace:
    """Return a workspace with a serial log for each step, as the device writes them."""
    for number, pairs in enumerate(steps, start=1):
        lines = ["   12.345 # echo product: $(cat /etc/machine-id) $(cat /var/lib/product/key)"]
        lines += [f"  {120 + n}.095 product: {' '.join(pair)}" for n, pair in enumerate(pairs)]
        (directory / f"step-{number}.log").write_text("\n".join(lines) + "\n")
    return cast("Workspace", SimpleNamespace(work=directory))


def test_state_that_stayed_is_accepted(tmp_path: Path) -> None:
    product.kept(2)(workspace(tmp_path, (FIRST, FIRST)))
    product.kept(3)(workspace(tmp_path, (FIRST, FIRST), (FIRST,)))


@pytest.mark.parametrize(
    "steps",
    [
        ((FIRST, SECOND), (FIRST,)),
        ((FIRST, FIRST), (SECOND,)),
        ((FIRST, FIRST), ((FIRST[0], SECOND[1]),)),
        ((FIRST, FIRST), ()),
        ((), ()),
    ],
    ids=["after a restart", "after an update", "key", "not printed", "never printed"],
)
def test_state_that_did_not_stay_is_refused(
    tmp_path: Path, steps: tuple[tuple[tuple[str, str], ...], ...]
) -> None:
    with pytest.raises(VerificationRefused, match="did not stay in 3 boots"):
        product.kept(3)(workspace(tmp_path, *steps))


def test_state_after_a_wipe_has_to_be_new(tmp_path: Path) -> None:
    product.new(workspace(tmp_path, (FIRST,), (FIRST,), (SECOND,)))


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (((FIRST[0], SECOND[1]),), f"still there after a wipe: {FIRST[0]}$"),
        (((SECOND[0], FIRST[1]),), f"still there after a wipe: {FIRST[1]}$"),
        ((), "did not print machine id"),
    ],
    ids=["machine id", "key", "not printed"],
)
def test_state_that_outlived_a_wipe_is_refused(
    tmp_path: Path, after: tuple[tuple[str, str], ...], said: str
) -> None:
    with pytest.raises(VerificationRefused, match=said):
        product.new(workspace(tmp_path, (FIRST,), (FIRST,), after))
