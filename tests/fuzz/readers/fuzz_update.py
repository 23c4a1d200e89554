# SPDX-License-Identifier: MIT
"""Coverage-guided fuzzing of what reads update bundles before anything vouches for them.

    python -m tests.fuzz.readers.fuzz_update CORPUS -max_total_time=600

Any bytes must end in a model or a `FormatError`, and no message but the genuine one may be
accepted. The first byte chooses the reader.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["bootseal"]):
    from tests import update_samples as samples

    from bootseal.errors import FormatError
    from bootseal.findings.model import errors
    from bootseal.formats.update import bundle, cms
    from bootseal.formats.update import manifest as manifests
    from bootseal.keys import cms as messages

MANIFEST = b"""[update]
compatible=a
version=1

[bundle]
format=verity
verity-hash=%b
verity-salt=%b
verity-size=4096

[image.root]
filename=root.img
size=1
sha256=%b
adaptive=block-hash-index
""" % ((b"0" * 64,) * 3)
KEYS = samples.keys()
GENUINE = samples.signed(MANIFEST, KEYS.update, KEYS.when)


def read_message(data: bytes) -> None:
    signed = cms.parse(data)
    if signed is None:
        return
    if not errors(messages.check(signed, KEYS.authority.certificate)):
        assert signed.content == MANIFEST
        assert signed.signing_time == KEYS.when


def read_manifest(data: bytes) -> None:
    found = manifests.parse(data)
    assert manifests.parse(manifests.emit(found)) == found


def read_bundle(data: bytes) -> None:
    found = bundle.parse(data)
    assert data[found.payload :] == bundle.trailer(found.message)


READERS = (read_message, read_manifest, read_bundle)


def check(data: bytes) -> None:
    """Give the input to one of the readers."""
    if data:
        with suppress(FormatError):
            READERS[data[0] % len(READERS)](data[1:])


def main() -> None:
    """Run until libFuzzer ends, with its figures on standard error."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    directory = Path(sys.argv[1])
    directory.mkdir(exist_ok=True)
    seeds = (GENUINE, MANIFEST, bytes(4096) + bundle.trailer(GENUINE))
    for number, seed in enumerate(seeds):
        (directory / f"seed-{number}").write_bytes(bytes([number]) + seed)
    atheris.Setup([sys.argv[0], *sys.argv[2:], "-max_len=16384", str(directory)], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
