# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from bootseal.errors import FormatError
from bootseal.reference import kernel


def test_arm64_image_is_accepted() -> None:
    kernel.check_image(bytes(56) + b"ARM\x64" + bytes(8), "vmlinuz")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"MZ\0\0zimg" + bytes(56), "vmlinuz is a self-extracting EFI image", id="efi"),
        pytest.param(b"\x1f\x8b" + bytes(62), "vmlinuz is not an arm64 Image", id="gzip"),
        pytest.param(b"", "vmlinuz is not an arm64 Image", id="empty"),
    ],
)
def test_other_kernels_are_refused_by_kind(data: bytes, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        kernel.check_image(data, "vmlinuz")
