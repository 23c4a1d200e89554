# SPDX-License-Identifier: MIT
from __future__ import annotations

from pathlib import Path

import pytest

from bootseal.boot.attacks import release
from bootseal.errors import UsageError
from bootseal.formats.fdt import model as fdt

LAYER = Path(__file__).parents[4] / "meta-secureboot"


def test_device_tree_of_another_release_names_its_root_and_index_and_nothing_else() -> None:
    bootargs = b"quiet bootseal.slot=b bootseal.roothash=aa bootseal.salt=00ff bootseal.blocks=1\0"
    properties = {"bootseal,rollback-index": (1).to_bytes(4), "bootargs": bootargs}
    old = fdt.emit(fdt.Node("", {"model": b"board\0"}, [fdt.Node("chosen", properties, [])]))

    new = fdt.read(release.device_tree(old, root_hash="bb", blocks=22, index=7))

    chosen = new.find("/chosen")
    assert chosen is not None
    assert new.root.value("model") == b"board\0"
    assert chosen.value("bootseal,rollback-index") == (7).to_bytes(4)
    assert chosen.value("bootargs") == (
        b"quiet bootseal.slot=b bootseal.roothash=bb bootseal.salt=00ff bootseal.blocks=22\0"
    )


UNIT = b"[Service]\nExecStart=systemctl start data.mount\nExecStart=/usr/lib/bootseal/mark-good\n"


def test_edit_keeps_the_length_of_a_root_and_changes_nothing_else() -> None:
    root = b"before" + UNIT + b"behind"
    changed = release._edited(root, release.NEVER_GOOD)

    assert len(changed) == len(root)
    assert changed == root.replace(b"/usr/lib/bootseal/mark-good", b"false".ljust(27))


@pytest.mark.parametrize("root", [b"compressed", UNIT + UNIT])
def test_edit_of_lines_that_a_root_has_not_once_is_refused(root: bytes) -> None:
    with pytest.raises(UsageError, match=r"the root has .* [02] times: expected once"):
        release._edited(root, release.NEVER_GOOD)


@pytest.mark.parametrize(
    "edit", [release.HANGS, release.NEVER_GOOD, release.KEEPS_CLOSED, release.SOON]
)
def test_edits_are_of_units_that_the_layer_has(edit: release.Edit) -> None:
    units = [
        path.read_bytes() for path in LAYER.rglob("*") if path.suffix in {".service", ".timer"}
    ]

    assert sum(unit.count(edit.lines) for unit in units) == 1
    assert len(edit.others) <= len(edit.lines)
