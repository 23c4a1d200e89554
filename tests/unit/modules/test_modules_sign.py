# SPDX-License-Identifier: MIT
"""Modules are signed in their place, or not at all; a signature is over exactly one module."""

from __future__ import annotations

import gzip
import lzma
from typing import TYPE_CHECKING

import pytest
import zstandard
from tests import update_samples
from tests.unit.modules import module_samples as samples

from bootseal.errors import FormatError, UsageError
from bootseal.formats import module_signature
from bootseal.keys import cms
from bootseal.keys.profile import Role
from bootseal.keys.signers.file import FileSigner
from bootseal.modules import check as checking
from bootseal.modules import find
from bootseal.modules import sign as signing
from bootseal.modules.sign import Signing
from bootseal.progress import Silent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bootseal.keys.certificate import CertifiedKey

GOOD = samples.module()


def sign(*paths: Path, replace: bool = False, made: CertifiedKey | None = None) -> None:
    made = made or samples.key()
    who = Signing(signer=FileSigner(made.private), certificate=made.certificate)
    signing.sign(paths, who, replace=replace, progress=Silent())


def found(*paths: Path, made: CertifiedKey | None = None) -> list[str]:
    pinned = (made or samples.key()).certificate
    return [each.id for each in checking.check(paths, pinned)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.ko"
    path.write_bytes(GOOD)
    path.chmod(0o640)
    return path


def test_module_is_signed_in_its_place(path: Path) -> None:
    assert found(path) == ["module.unsigned"]

    sign(path)

    assert path.read_bytes().startswith(GOOD)
    assert path.stat().st_mode & 0o777 == 0o640
    assert found(path) == []
    assert path.read_bytes() == samples.signed(GOOD)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("place", [0, 20, len(GOOD) - 1])
def test_changed_module_is_refused(path: Path, place: int) -> None:
    sign(path)
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)

    # Where the change breaks the object file, that is said instead.
    assert found(path) in (["module.signature"], ["module.damaged"])


def test_changed_text_is_refused_for_its_signature(path: Path) -> None:
    sign(path)
    path.write_bytes(path.read_bytes().replace(b"license=GPL", b"license=BSD"))

    (only,) = checking.check([path], samples.key().certificate)
    assert only.id == "module.signature"
    assert "is not by key" in only.message


def test_signature_of_another_module_is_refused(path: Path) -> None:
    whole = samples.signed(samples.module(b"license=BSD\0"))
    split = module_signature.split(whole)
    assert split
    path.write_bytes(GOOD + samples.trailer(split.message))

    assert found(path) == ["module.signature"]


def test_module_by_another_key_is_refused(path: Path) -> None:
    sign(path, made=samples.key(2))

    assert found(path) == ["module.certificate"]
    assert found(path, made=samples.key(2)) == []


def test_message_with_a_certificate_or_of_another_form_is_refused(path: Path) -> None:
    made = samples.key()
    message = cms.sign_detached(GOOD, made.certificate, FileSigner(made.private))
    path.write_bytes(GOOD + samples.trailer(message))
    assert found(path) == ["module.signature"]
    path.write_bytes(GOOD + samples.trailer(message + b"\0"))
    assert found(path) == ["module.signature"]
    path.write_bytes(GOOD + samples.trailer(message, id_type=1))
    assert found(path) == ["module.damaged"]


def test_signed_module_is_signed_again_only_when_told(path: Path) -> None:
    sign(path, made=samples.key(2))
    before = path.read_bytes()

    with pytest.raises(UsageError, match="signed already") as caught:
        sign(path)
    assert "--replace" in caught.value.hint
    assert path.read_bytes() == before
    sign(path, replace=True)
    assert path.read_bytes() == samples.signed(GOOD)


def test_signature_below_a_signature_is_refused(path: Path) -> None:
    path.write_bytes(samples.signed(samples.signed(GOOD)))

    with pytest.raises(FormatError, match="second signature"):
        sign(path, replace=True)


@pytest.mark.parametrize(
    ("start", "command"),
    [
        (lzma.compress, "xz -d"),
        (gzip.compress, "gzip -d"),
        (zstandard.ZstdCompressor().compress, "zstd -d --rm"),
    ],
)
def test_compressed_module_is_checked_but_not_signed(
    tmp_path: Path, start: Callable[[bytes], bytes], command: str
) -> None:
    ends = {"xz -d": "xz", "gzip -d": "gz", "zstd -d --rm": "zst"}
    path = tmp_path / f"a.ko.{ends[command]}"
    path.write_bytes(start(GOOD))
    with pytest.raises(UsageError, match="is compressed") as caught:
        sign(path)
    assert caught.value.hint == f"{command} {path}"
    assert found(path) == ["module.unsigned"]

    path.write_bytes(start(samples.signed(GOOD)))
    assert found(path) == []
    path.write_bytes(start(samples.signed(GOOD))[:-9])
    assert found(path) == ["module.damaged"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "ends inside its header"),
        (b"#!/bin/sh\n" * 20, "unknown class"),
        (GOOD[:-9], "damaged|sections"),
        (samples.module(kind=samples.EXECUTABLE), "of another type"),
        (samples.module(sections=(b"", b".modinfo", b".shstrtab")), "this_module"),
        (samples.module(sections=(b"", b".modinfo2", b".gnu.linkonce.this_module", b".s")),
         "no section .modinfo"),
        (samples.module(sections=(b"",)).replace(b"\1\0\0\0@\0", b"\0\0\0\0@\0"), "section"),
    ],
)  # fmt: skip
def test_what_is_no_module_is_not_signed(path: Path, data: bytes, reason: str) -> None:
    path.write_bytes(data)

    with pytest.raises(FormatError, match=reason):
        sign(path)
    assert path.read_bytes() == data
    assert found(path) == ["module.damaged"]


def test_none_is_signed_if_one_cannot_be(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "b.ko"
    other.write_bytes(b"text")

    with pytest.raises(FormatError, match=r"b\.ko is not a kernel module"):
        sign(path, other)
    assert path.read_bytes() == GOOD


def test_modules_are_found_in_directories_and_links_are_not_followed(tmp_path: Path) -> None:
    for name in ("m/x/b.ko", "m/a.ko.xz", "m/c.txt", "m/d.ko.bak"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "m/link.ko").symlink_to("x/b.ko")
    (tmp_path / "m/build").symlink_to("x")

    assert find.find([tmp_path / "m"]) == (tmp_path / "m/a.ko.xz", tmp_path / "m/x/b.ko")
    # What is named is taken, and once.
    assert find.find([tmp_path / "m/c.txt", tmp_path / "m/c.txt"]) == (tmp_path / "m/c.txt",)
    (tmp_path / "none").mkdir()
    with pytest.raises(UsageError, match=r"none has no files called \*.ko"):
        find.find([tmp_path / "m", tmp_path / "none"])
    with pytest.raises(UsageError, match="there is no"):
        find.find([tmp_path / "nothing"])


def test_certificate_of_another_kind_does_not_sign() -> None:
    signing.demand_signer(samples.key().certificate)
    root = update_samples.keys().root
    with pytest.raises(UsageError, match="that of a CA"):
        signing.demand_signer(root.certificate)
    with pytest.raises(UsageError, match="lacks the extension"):
        signing.demand_signer(update_samples.key(Role.POLICY, root).certificate)
    with pytest.raises(UsageError, match="kernels verify modules with RSA"):
        signing.demand_signer(samples.key(kind="ecdsa256").certificate)
