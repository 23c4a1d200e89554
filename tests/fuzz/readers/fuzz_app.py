# SPDX-License-Identifier: MIT
"""Coverage-guided fuzzing of what reads application images before anything vouches for them.

    python -m tests.fuzz.readers.fuzz_app image|signature|release CORPUS -max_total_time=600

`image` changes a whole signed image in one place and, with one bit of the input, gives its tables
checksums that fit again. Any input must end in findings or a `FormatError`, and nothing but the
genuine image, signature or text may be accepted.
"""

from __future__ import annotations

import struct
import sys
import tempfile
import zlib
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["bootseal"]):
    from tests import app_samples as samples

    from bootseal.app.build import parts
    from bootseal.errors import FormatError
    from bootseal.formats.app import release, signature
    from bootseal.keys import cms

SECTOR, BLOCK = 512, 4096
_ENTRIES = 128 * 128
_HEADER = 92
ROOT = b"".join(bytes([n]) * BLOCK for n in range(200))
GENUINE = b"".join(parts(memoryview(ROOT), samples.signing(samples.key()).partition))
SIGNED = samples.signed(GENUINE)
PINNED = samples.key().certificate
# The identifiers that are left to the maker of an image: disk, signature partition, superblock.
_ROOT, _TREE, _SIGNATURE = samples.entries(GENUINE)
_PLACES = (
    *(0, 446, SECTOR, 2 * SECTOR, 2 * SECTOR + 128, 2 * SECTOR + 256),
    *(_ROOT.offset - BLOCK, _ROOT.offset, _TREE.offset, _TREE.offset + BLOCK),
    *(_SIGNATURE.offset, _SIGNATURE.end, len(GENUINE) - SECTOR - _ENTRIES, len(GENUINE) - SECTOR),
)


def fitting(data: bytearray) -> None:
    """Copy the first table to the end, with checksums that fit."""
    table = data[2 * SECTOR : 2 * SECTOR + _ENTRIES]
    first = bytearray(data[SECTOR : SECTOR + _HEADER])
    struct.pack_into("<I", first, 88, zlib.crc32(table))
    last = bytearray(first)
    struct.pack_into("<2Q", last, 24, len(data) // SECTOR - 1, 1)
    struct.pack_into("<Q", last, 72, (len(data) - SECTOR - _ENTRIES) // SECTOR)
    data[-SECTOR - _ENTRIES : -SECTOR] = table
    for place, header in ((SECTOR, first), (len(data) - SECTOR, last)):
        header[16:20] = bytes(4)
        header[16:20] = zlib.crc32(header).to_bytes(4, "little")
        data[place : place + _HEADER] = header


def anonymous(data: bytes) -> bytes:
    """Return an image without the identifiers that are left to its maker."""
    made = bytearray(data)
    superblock = _TREE.offset + 16
    for place in (SECTOR + 56, 2 * SECTOR + 2 * 128 + 16, superblock):
        made[place : place + 16] = bytes(16)
    fitting(made)
    return bytes(made)


class Bench:
    """A file for images."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "image"
        self.genuine = anonymous(GENUINE)

    def check(self, data: bytes) -> None:
        """Check the image with the input over one of its places."""
        if len(data) < 4:
            return
        place = _PLACES[data[0] % len(_PLACES)] + int.from_bytes(data[1:3]) % BLOCK
        image = bytearray(GENUINE)
        changed = data[4:][: max(0, len(image) - place)]
        image[place : place + len(changed)] = changed
        if data[3] & 1:
            fitting(image)
        if data[3] & 2:
            del image[len(image) - int.from_bytes(data[1:3]) :]
        self.path.write_bytes(image)
        with suppress(FormatError):
            if not samples.check(self.path, inside=False).errors:
                assert anonymous(bytes(image)) == self.genuine


def read_signature(data: bytes) -> None:
    """Read a signature partition, and a message on its own."""
    with suppress(FormatError):
        found = signature.parse(data)
        assert found is None or signature.emit(found).rstrip(b"\0") == data.rstrip(b"\0")
        if found and not cms.check_detached(found.message, found.signed, PINNED):
            assert found.root_hash == SIGNED.root_hash
    if not cms.check_detached(data, SIGNED.signed, PINNED):
        assert data == SIGNED.message
    with suppress(FormatError):
        signature.parse(signature.emit(signature.Signature(
            root_hash="0" * 64, certificate="0" * 64, message=data)))  # fmt: skip


def read_release(data: bytes) -> None:
    with suppress(FormatError):
        said = release.parse(data)
        assert release.parse(release.emit(data, said)) == said


def main() -> None:
    """Run until libFuzzer ends, with its figures on standard error."""
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    directory = Path(sys.argv[2])
    directory.mkdir(exist_ok=True)
    partition = GENUINE[_SIGNATURE.offset : _SIGNATURE.end].rstrip(b"\0")
    seeds = {
        "image": [bytes([n, 0, 0, bits]) + b"\0" for n in range(len(_PLACES)) for bits in (0, 1)],
        "signature": [partition, SIGNED.message],
        "release": [b'ID=a\nIMAGE_ID="a"\nIMAGE_VERSION=1\n'],
    }[sys.argv[1]]
    for number, seed in enumerate(seeds):
        (directory / f"seed-{number}").write_bytes(seed)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as scratch:
        targets = {
            "image": Bench(Path(scratch)).check,
            "signature": read_signature,
            "release": read_release,
        }
        options = [sys.argv[0], "-timeout=20", "-rss_limit_mb=512", "-max_len=8192"]
        atheris.Setup([*options, *sys.argv[3:], str(directory)], targets[sys.argv[1]])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
