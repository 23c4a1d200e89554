# SPDX-License-Identifier: MIT
"""Attacks on boot loaders do what they say, and those by their maker are signed."""

from __future__ import annotations

from bootseal.boot.attacks import firmware
from bootseal.firmware import chain, verify
from bootseal.formats import fip

IMAGES = {name: name.encode() * 100 for name in chain.REQUIRED}


def test_signed_anew_holds_the_other_image_and_verifies_with_the_other_root_key_alone() -> None:
    content = firmware.foreign(fip.emit(IMAGES | dict.fromkeys(chain.CERTIFICATES, b"old")))
    found = fip.parse(content)
    root = verify.check(found, "0" * 64).findings[0]
    verdict = verify.check(found, root.observed)

    assert root.id == "firmware.root-key"
    assert verdict.findings == ()
    assert set(verdict.counters.values()) == {1}
    assert {name: found.image(name) for name in chain.REQUIRED} == IMAGES


def test_flips_change_one_bit_where_they_say() -> None:
    content = fip.emit(IMAGES)
    entry = next(e for e in fip.parse(content).entries if e.name == "soc-fw")
    for change, place in (
        (firmware.at(8), 8),
        (firmware.inside("soc-fw"), entry.offset + entry.size // 2),
        (firmware.last_byte("soc-fw"), entry.end - 1),
    ):
        changed = change(content)
        differing = [i for i, (a, b) in enumerate(zip(content, changed, strict=True)) if a != b]
        assert differing == [place]


def test_torn_fip_is_its_beginning() -> None:
    content = fip.emit(IMAGES)

    assert content.startswith(firmware.half(content))
    assert firmware.behind(content) == content + b"\1"
