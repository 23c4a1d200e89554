# SPDX-License-Identifier: MIT
from __future__ import annotations

from bootseal.boot.attacks import release
from bootseal.formats.fdt import model as fdt


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
