# SPDX-License-Identifier: MIT
from __future__ import annotations

import pytest

from bootseal.errors import ToolError
from bootseal.reference import sources
from bootseal.reference.apt import Download, parse_uris

DIGEST = "ab" * 32
PRINTED = f"""\
Reading package lists...
Need to get 33.1 MB of source archives.
'http://m/pool/u-boot_1.dsc' u-boot_2025.01-3+deb13u1.dsc 4329 SHA256:{DIGEST}
'http://m/b.deb' busybox-static_1%3a1.37.0-6+b9_arm64.deb 5 SHA256:{DIGEST}
'http://m/pool/weak.deb' weak_1_all.deb 5 MD5Sum:{"ab" * 16}
"""


def test_files_are_read_with_version_and_digest() -> None:
    first, second = parse_uris(PRINTED)

    assert (first.size, first.sha256) == (4329, DIGEST)
    assert (second.package, second.version) == ("busybox-static", "1:1.37.0-6+b9")


def test_file_without_a_strong_digest_is_not_taken() -> None:
    assert "weak" not in {item.package for item in parse_uris(PRINTED)}


def test_source_package_without_debian_archive_is_refused() -> None:
    files = [Download(uri="u", file="u-boot_1.orig.tar.bz2", size=1, sha256=DIGEST)]

    with pytest.raises(ToolError, match="no usable source package 'u-boot'"):
        sources.of_files("u-boot", files)
