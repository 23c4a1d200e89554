# SPDX-License-Identifier: MIT
from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from bootseal.errors import FormatError
from bootseal.formats.fdt import model as fdt
from bootseal.formats.fit import model as fit_format
from bootseal.formats.tpm.eventlog import EventType
from bootseal.measure.predict import predict

if TYPE_CHECKING:
    from collections.abc import Callable


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def extend(*hashed: bytes) -> bytes:
    value = bytes(32)
    for data in hashed:
        value = sha256(value + sha256(data))
    return value


def find(tree: fdt.Node, path: str) -> fdt.Node:
    found = tree.find(path)
    assert found is not None
    return found


def test_prediction_extends_what_the_configuration_names(tree: fdt.Node) -> None:
    board = find(tree, "/images/fdt-b").properties["data"]

    prediction = predict(fit_format.parse(fdt.emit(tree)), "conf-b")

    assert prediction.configuration == "conf-b"
    assert prediction.pcrs == {
        **{pcr: extend(b"\xff\xff\xff\xff") for pcr in range(2, 8)},
        1: extend(board, b"\0", b"\xff\xff\xff\xff"),
        8: extend(b"KERNEL"),
        9: extend(b"RAMDISK"),
    }
    assert [event.type for event in prediction.events] == [
        EventType.COMPACT_HASH,
        EventType.COMPACT_HASH,
        EventType.TABLE_OF_DEVICES,
        EventType.PLATFORM_CONFIG_FLAGS,
        *[EventType.SEPARATOR] * 7,
    ]
    assert not prediction.complete


def test_prediction_with_u_boots_version_is_complete(tree: fdt.Node) -> None:
    prediction = predict(
        fit_format.parse(fdt.emit(tree)), "conf-a", version=b"U-Boot 2026.01 (now)"
    )

    assert prediction.complete
    assert prediction.pcrs[0] == extend(b"U-Boot 2026.01 (now)\0", b"\xff\xff\xff\xff")
    assert sorted(prediction.pcrs) == list(range(10))


def test_prediction_of_several_banks_has_each_and_always_sha256(tree: fdt.Node) -> None:
    banks = predict(fit_format.parse(fdt.emit(tree)), "conf-a", banks=["sha1", "sha384"]).banks

    assert list(banks) == ["sha256", "sha1", "sha384"]
    assert [len(values[8]) for values in banks.values()] == [32, 20, 48]


@pytest.mark.parametrize(
    ("value", "index"), [(b"\0\0\0\x07", 7), (b"", 0), (b"\7", 0)], ids=["set", "empty", "short"]
)
def test_prediction_reads_the_rollback_index(tree: fdt.Node, value: bytes, index: int) -> None:
    chosen = fdt.Node("chosen", {"bootseal,rollback-index": value})
    find(tree, "/images/fdt-a").properties["data"] = fdt.emit(fdt.Node("", {}, [chosen]))

    assert predict(fit_format.parse(fdt.emit(tree)), "conf-a").rollback_index == index
    assert predict(fit_format.parse(fdt.emit(tree)), "conf-b").rollback_index == 0


def test_slots_differ_in_pcr_1_alone(tree: fdt.Node) -> None:
    data = fdt.emit(tree)
    a, b = (
        predict(fit_format.parse(data), "conf-a").pcrs,
        predict(fit_format.parse(data), "conf-b").pcrs,
    )

    assert a[1] != b[1]
    assert (a[8], a[9]) == (b[8], b[9])


@pytest.mark.parametrize(
    ("path", "pcr"), [("/images/kernel-1", 8), ("/images/ramdisk-1", 9), ("/images/fdt-a", 1)]
)
def test_changed_payload_changes_its_pcr_alone(tree: fdt.Node, path: str, pcr: int) -> None:
    before = predict(fit_format.parse(fdt.emit(tree)), "conf-a").pcrs
    payload = bytearray(find(tree, path).properties["data"])
    payload[-1] ^= 1
    find(tree, path).properties["data"] = bytes(payload)

    after = predict(fit_format.parse(fdt.emit(tree)), "conf-a").pcrs

    assert [index for index in before if before[index] != after[index]] == [pcr]


def test_bootargs_change_pcr_1_alone(tree: fdt.Node) -> None:
    data = fdt.emit(tree)
    before, after = (
        predict(fit_format.parse(data), "conf-a", bootargs=args).pcrs
        for args in (b"", b"init=/bin/sh")
    )

    assert [index for index in before if before[index] != after[index]] == [1]


def test_configuration_without_ramdisk_is_predicted_as_u_boot_measures_it(
    tree: fdt.Node,
) -> None:
    del find(tree, "/configurations/conf-a").properties["ramdisk"]

    assert predict(fit_format.parse(fdt.emit(tree)), "conf-a").pcrs[9] == extend(b"initrd\0")


def overlay(tree: fdt.Node) -> None:
    find(tree, "/configurations/conf-a").properties["fdt"] = b"fdt-a\0fdt-b\0"


def absent_ramdisk(tree: fdt.Node) -> None:
    find(tree, "/configurations/conf-a").properties["ramdisk"] = b"ramdisk-2\0"


def no_fdt(tree: fdt.Node) -> None:
    del find(tree, "/configurations/conf-a").properties["fdt"]


def no_kernel(tree: fdt.Node) -> None:
    del find(tree, "/configurations/conf-a").properties["kernel"]


def external(tree: fdt.Node) -> None:
    kernel = find(tree, "/images/kernel-1").properties
    del kernel["data"]
    kernel |= {"data-offset": bytes(4), "data-size": bytes(4)}


def both_kinds_of_data(tree: fdt.Node) -> None:
    find(tree, "/images/kernel-1").properties["data-offset"] = bytes(4)


def encrypted(tree: fdt.Node) -> None:
    find(tree, "/images/kernel-1").children.append(fdt.Node("cipher", {"algo": b"aes256\0"}))


def packed_fdt(tree: fdt.Node) -> None:
    find(tree, "/images/fdt-a").properties["compression"] = b"gzip\0"


def no_device_tree(tree: fdt.Node) -> None:
    find(tree, "/images/fdt-a").properties["data"] = b"something else"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (overlay, "names fdt-a, fdt-b: overlays and several images are not predicted"),
        (absent_ramdisk, "names ramdisk-2: expected one image of the FIT"),
        (no_fdt, "names no fdt"),
        (no_kernel, "names no kernel"),
        (external, "has no embedded data"),
        (both_kinds_of_data, "has no embedded data"),
        (encrypted, "is encrypted"),
        (packed_fdt, "is compressed with 'gzip'"),
        (no_device_tree, "the device tree of 14 bytes"),
    ],
)
def test_what_cannot_be_told_from_the_file_is_refused(
    tree: fdt.Node, change: Callable[[fdt.Node], None], reason: str
) -> None:
    change(tree)

    with pytest.raises(FormatError, match=reason):
        predict(fit_format.parse(fdt.emit(tree)), "conf-a")


def test_unknown_configuration_is_refused(tree: fdt.Node) -> None:
    with pytest.raises(FormatError, match="no configuration 'conf-c': it has conf-a, conf-b"):
        predict(fit_format.parse(fdt.emit(tree)), "conf-c")


def test_file_that_is_no_fit_is_refused() -> None:
    with pytest.raises(FormatError):
        predict(fit_format.parse(b"hello"), "conf-a")


@pytest.mark.parametrize(
    ("value", "version"), [(b"\0\0\0\7", 7), (b"\0\0\0\0", 0), (b"\7", None), (b"", None)]
)
def test_prediction_reads_the_lowest_boot_loader(
    tree: fdt.Node, value: bytes, version: int | None
) -> None:
    chosen = fdt.Node("chosen", {"bootseal,firmware-version": value})
    board = tree.find("/images/fdt-a")
    assert board is not None
    board.properties["data"] = fdt.emit(fdt.Node("", {}, [chosen]))
    assert predict(fit_format.parse(fdt.emit(tree)), "conf-a").firmware_version == version
    assert predict(fit_format.parse(fdt.emit(tree)), "conf-b").firmware_version is None
