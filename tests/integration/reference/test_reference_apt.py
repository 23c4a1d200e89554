# SPDX-License-Identifier: MIT
"""The private apt, against a mirror that answers nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bootseal import proc
from bootseal.errors import ToolError, UsageError
from bootseal.progress import Silent
from bootseal.reference.apt import KEYRING, Apt, Download

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.tool("apt-get"),
    pytest.mark.skipif(not KEYRING.exists(), reason="Debian's archive keys are not installed"),
]
DOWNLOAD = Download(uri="http://127.0.0.1:9/x", file="x_1.tar.xz", size=1, sha256="0" * 64)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Apt:
    monkeypatch.setenv("BOOTSEAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BOOTSEAL_DEBIAN_MIRROR", "http://127.0.0.1:9/")
    return Apt.prepare()


def test_private_apt_is_set_up_for_the_device_and_apart_from_the_host(source: Apt) -> None:
    environment = {"APT_CONFIG": str(source.root / "apt.conf")}
    dump = proc.run("apt-config", ["dump"], timeout=60, env=environment).stdout.decode()

    assert 'APT::Architecture "arm64";' in dump
    assert f'Dir::State "{source.root}/state";' in dump
    assert f'Dir::State::status "{source.root}/status";' in dump
    assert (
        "127.0.0.1:9/debian-security"
        in (source.root / "etc/sources.list.d/debian.sources").read_text()
    )


def test_apt_of_another_build_reads_whole_files_while_one_is_being_set_up(source: Apt) -> None:
    # An apt that reads sources that are just being written says that there are none.
    files = [source.root / "etc/sources.list.d/debian.sources", source.root / "apt.conf"]
    for file in files:
        file.write_text("of an older release\n")
    readers = [file.open() for file in files]

    again = Apt.prepare()

    assert again.root == source.root
    assert "deb-src" in files[0].read_text()
    for reader in readers:
        with reader:
            assert reader.read() == "of an older release\n"


def test_first_build_without_network_is_refused_with_what_apt_said(source: Apt) -> None:
    with pytest.raises(ToolError, match=r"127\.0\.0\.1:9") as caught:
        source.update(Silent())

    assert "check the network" in caught.value.hint
    assert not (source.root / "updated").exists()


def test_later_build_without_network_goes_on_with_what_is_there(source: Apt) -> None:
    stamp = source.root / "updated"
    stamp.touch()
    old = stamp.stat().st_mtime - 2 * 24 * 60 * 60
    proc.run("touch", ["-d", f"@{int(old)}", stamp], timeout=60)

    source.update(Silent())


def test_failed_download_leaves_no_file_and_has_the_lists_fetched_anew(source: Apt) -> None:
    (source.root / "updated").touch()

    with pytest.raises(ToolError, match="download-file"):
        source.fetch(DOWNLOAD)

    assert list((source.root / "cache" / "sources").iterdir()) == []
    assert not (source.root / "updated").exists()


def test_download_that_is_not_what_the_index_says_is_refused(source: Apt, tmp_path: Path) -> None:
    served = tmp_path / "served.tar.xz"
    served.write_bytes(b"something else")
    download = Download(uri=f"file:{served}", file="x_1.tar.xz", size=14, sha256="0" * 64)

    with pytest.raises(ToolError, match="Hash Sum mismatch"):
        source.fetch(download)

    assert list((source.root / "cache" / "sources").iterdir()) == []


def test_package_that_does_not_exist_is_refused_by_name(source: Apt) -> None:
    with pytest.raises(ToolError, match="Unable to locate package no-such-package"):
        source.resolve(["no-such-package"])


@pytest.mark.parametrize("name", ['quote"d', "two words", "a:b"])
def test_cache_directory_that_apt_or_make_cannot_name_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOOTSEAL_CACHE", str(tmp_path / name))

    with pytest.raises(UsageError, match="a space, a colon or a quote"):
        Apt.prepare()
