# SPDX-License-Identifier: MIT
"""Which TF-A is built, and what of it is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bootseal.errors import VerificationRefused
from bootseal.firmware import rom
from bootseal.reference import sources, tfa
from bootseal.reference.apt import Download

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bootseal.reference.sources import SourcePackage

pytestmark = pytest.mark.tool("dpkg")
SOUND = b"code" + rom.HEAD + rom.PLACEHOLDER


def package(version: str) -> SourcePackage:
    file = f"{tfa.PACKAGE}_{version}.debian.tar.xz"
    return sources.of_files(tfa.PACKAGE, [Download(uri="u", file=file, size=1, sha256="0" * 64)])


def test_version_with_our_patch_is_taken(tmp_path: Path) -> None:
    patches = [tmp_path / "0001-io-CVE-2026-34878.patch"]

    assert tfa.safe(package("2.12.1+dfsg-1"), patches).version == "2.12.1+dfsg-1"


def test_version_with_the_fix_needs_no_patch() -> None:
    assert tfa.safe(package("2.15.0+dfsg-1"), []).version == "2.15.0+dfsg-1"


def test_version_without_the_fix_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(VerificationRefused, match="CVE-2026-34878"):
        tfa.safe(package("2.12.1+dfsg-1"), [tmp_path / "0002-banks.patch"])


def test_version_that_reads_behind_certificates_is_refused_in_spite_of_the_patch(
    tmp_path: Path,
) -> None:
    with pytest.raises(VerificationRefused, match="CVE-2022-47630"):
        tfa.safe(package("2.8.0+dfsg-1"), [tmp_path / "0001-io-CVE-2026-34878.patch"])


class Make:
    """Stands in for make: leaves these images behind."""

    def __init__(self, images: Mapping[str, bytes]) -> None:
        self.images = images
        self.arguments: list[str] = []

    def __call__(self, tree: Path, arguments: Sequence[str], *, env: Mapping[str, str]) -> None:
        assert env == {"SOURCE_DATE_EPOCH": "1"}
        self.arguments += arguments
        key, root_hash = tree / "no-key", tree / "root-hash"
        assert key.stat().st_mtime < root_hash.stat().st_mtime
        assert root_hash.read_bytes() == rom.PLACEHOLDER
        release = tree / "build/qemu/release"
        release.mkdir(parents=True)
        for name, content in self.images.items():
            (release / name).write_bytes(content)


def test_tf_a_is_compiled_without_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = Make(dict.fromkeys(tfa.IMAGES, SOUND))
    monkeypatch.setattr(sources, "make", make)
    tfa.compile_tree(tmp_path, tmp_path / "mbedtls", epoch=1)

    assert make.arguments[-3:] == ["bl1", "bl2", "bl31"]
    assert "TRUSTED_BOARD_BOOT=1" in make.arguments
    assert f"ROT_KEY={tmp_path}/no-key" in make.arguments


@pytest.mark.parametrize("name", ["bl1.bin", "bl2.bin"])
@pytest.mark.parametrize(
    "content",
    [b"code", SOUND + SOUND, SOUND + rom.HEAD + bytes(32), b"code" + rom.PLACEHOLDER],
    ids=["none", "two", "another", "without its head"],
)
def test_image_without_one_place_for_the_hash_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes
) -> None:
    monkeypatch.setattr(sources, "make", Make(dict.fromkeys(tfa.IMAGES, SOUND) | {name: content}))

    with pytest.raises(VerificationRefused, match=f"TF-A's {name} does not have exactly one"):
        tfa.compile_tree(tmp_path, tmp_path / "mbedtls", epoch=1)
