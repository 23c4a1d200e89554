# SPDX-License-Identifier: MIT
from __future__ import annotations

import gzip
import io
import os
import tarfile
import time
import zipfile
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from bootseal.keys.directory import audit, contents

if TYPE_CHECKING:
    from pathlib import Path

KEY = rsa.generate_private_key(65537, 2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
DER = KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
DAY = timedelta(days=1)
SHA256 = bytes.fromhex("2a864886f70d01010b")  # sha256WithRSAEncryption


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


def write(directory: Path, name: str, data: bytes, mode: int = 0o600) -> None:
    path = directory / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)


def examine(directory: Path) -> audit.Audit:
    return audit.audit(directory, max_age=1000 * DAY)


def ids(directory: Path) -> list[str]:
    return [finding.id for finding in examine(directory).findings]


def tar(name: str, data: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def zipped(name: str, data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, data)
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        PEM,
        DER,
        b"a: 1\n" + PEM,
        gzip.compress(PEM),
        gzip.compress(tar("a/k", DER)),
        zipped("k", PEM),
    ],
    ids=["pem", "der", "text", "gz", "tar.gz", "zip"],
)
@pytest.mark.parametrize("name", ["notes.txt", "sub/blob"])
def test_private_key_in_any_file_must_be_closed_to_others(
    directory: Path, name: str, data: bytes
) -> None:
    write(directory, name, data)
    assert ids(directory) == []
    assert any(file.keys for file in examine(directory).files)

    (directory / name).chmod(0o644)
    assert ids(directory) == ["keys.permissions"]


def test_what_is_not_looked_at_is_listed(directory: Path) -> None:
    write(directory, "key", PEM)
    assert examine(directory).skipped == ()

    os.mkfifo(directory / "fifo")
    (directory / "link").symlink_to("key")
    (directory / "loop").symlink_to("loop")
    with (directory / "large").open("wb") as file:
        file.truncate(1 << 40)
    found = examine(directory)

    reasons = {each.path.removeprefix(f"{directory}/"): each.reason for each in found.skipped}
    assert reasons.keys() == {"fifo", "link", "loop", "large"}
    assert reasons["fifo"] == "is a FIFO"
    assert reasons["link"] == reasons["loop"] == "is a link, which is not followed"
    assert "has more than 64.0 MiB" in reasons["large"]
    assert {f.id for f in found.findings} == {"keys.symlink", "keys.unseen"}


def test_archives_that_hide_something_are_said_to(directory: Path) -> None:
    deep = PEM
    for _ in range(4):
        deep = gzip.compress(deep)
    write(directory, "deep", deep)
    write(directory, "two", gzip.compress(b"a") + gzip.compress(PEM))
    write(directory, "cut", gzip.compress(PEM)[:-9])
    write(directory, "bomb", gzip.compress(bytes(contents.MAX_FILE + 1)))

    found = {
        each.path.removeprefix(f"{directory}/"): each.reason for each in examine(directory).skipped
    }

    assert "packed more than 3 times" in found["deep: content/content/content"]
    assert "data after its first stream" in found["two"]
    assert "it is truncated" in found["cut"]
    assert "holds more than 64.0 MiB" in found["bomb"]


def test_bounds_of_files_and_time_are_said(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        write(directory, name, b"x")
    monkeypatch.setattr(contents, "_MAX_FILES", 2)
    assert [each.reason for each in examine(directory).skipped] == [
        "is beyond the limit of 2 files, like others"
    ]
    monkeypatch.setattr(contents, "_MAX_SECONDS", -1)
    assert "-1 seconds" in examine(directory).skipped[0].reason


def test_archive_of_many_others_is_left_when_the_time_is_over(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few kilobytes hold gigabytes, none of them above the bound of its own archive."""
    inner = gzip.compress(bytes(contents.MAX_FILE - 1))
    with tarfile.open(directory / "many", "w") as tar:
        for number in range(500):
            member = tarfile.TarInfo(f"{number}.gz")
            member.size = len(inner)
            tar.addfile(member, io.BytesIO(inner))
    monkeypatch.setattr(contents, "_MAX_SECONDS", 1)

    began = time.monotonic()
    skipped = examine(directory).skipped

    # Of the archive, and of the one in it that was being unpacked.
    assert {each.reason for each in skipped} == {"holds more than is unpacked in 1 seconds"}
    assert f"{directory / 'many'}" in {each.path for each in skipped}
    assert len(skipped) <= 2
    assert time.monotonic() - began < 60


def test_one_private_key_under_two_names_is_found(directory: Path) -> None:
    write(directory, "fit", DER)
    write(directory, "sub/fit", DER)
    assert ids(directory) == []

    write(directory, "update", b"text\n" + PEM)
    assert ids(directory) == ["keys.duplicate"]


@pytest.mark.parametrize("others", [["policy.pem"], ["policy.pem", "notes.txt", "policy.pub"]])
def test_two_names_of_one_key_are_reported_once(directory: Path, others: list[str]) -> None:
    public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    write(directory, "fit.key", PEM)
    write(directory, "fit.pub", public)
    assert ids(directory) == []

    for name in others:
        write(directory, name, public if name.endswith(".pub") else PEM)
    names = {name.partition(".")[0] for name in others}
    assert ids(directory) == ["keys.duplicate"] * len(names)


@pytest.mark.parametrize("exponent", [3, 65537])
def test_weak_key_is_found_in_any_file(directory: Path, exponent: int) -> None:
    modulus = KEY.public_key().public_numbers().n
    key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    write(directory, "notes", b"see below\n" + pem)
    assert ids(directory) == (["keys.weak"] if exponent == 3 else [])


def test_primes_in_common_are_found(directory: Path) -> None:
    one, other = KEY.private_numbers(), rsa.generate_private_key(65537, 2048).private_numbers()
    for name, q in (("a", one.q), ("b", other.q)):
        key = rsa.RSAPublicNumbers(65537, one.p * q).public_key()
        pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        write(directory, name, pem)
    assert ids(directory) == ["keys.shared-prime"] * 2

    (directory / "b").unlink()
    assert ids(directory) == []


@pytest.mark.parametrize(
    ("start", "end", "digest", "expected"),
    [
        (-1, 1, SHA256, []),
        (1, 2, SHA256, ["keys.not-yet-valid"]),
        (-2, -1, SHA256, ["keys.expired"]),
        (-1, 1, bytes.fromhex("2a864886f70d010105"), ["keys.weak-digest"]),
        (-1, 1, bytes.fromhex("2a864886f70d010104"), ["keys.weak-digest"]),
    ],
)
@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_certificates_are_valid_and_strongly_signed(
    directory: Path,
    start: int,
    end: int,
    digest: bytes,
    expected: list[str],
    encoding: Encoding,
) -> None:
    name = x509.Name.from_rfc4514_string("CN=x")
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, KEY.public_key(), 1)
        .not_valid_before(now + start * DAY)
        .not_valid_after(now + end * DAY)
        .sign(KEY, hashes.SHA256())
    )
    der = certificate.public_bytes(Encoding.DER).replace(SHA256, digest)
    write(directory, "any", x509.load_der_x509_certificate(der).public_bytes(encoding))
    assert ids(directory) == expected
