# SPDX-License-Identifier: MIT
"""Encrypted bundles, RAUC's format crypt: payload, manifest and signature for some devices only.

The payload is encrypted as dm-crypt reads it, and its hash tree is over what is encrypted. The key
is in the manifest, and the signed manifest is encrypted for the recipients.

Spec: RAUC's reference manual, "crypt Format".
"""

from __future__ import annotations

import secrets
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bootseal.disk.image import Disk
from bootseal.errors import UsageError
from bootseal.files import mapped, opened, write_parts
from bootseal.formats.update import bundle
from bootseal.formats.update import manifest as manifests
from bootseal.keys import envelope
from bootseal.update import payload

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bootseal.formats.update.manifest import Manifest
    from bootseal.keys.cms import Certificate
    from bootseal.progress import Progress
    from bootseal.update.sign import Signing

_KEY: Final = 32
"""Bytes of the payload's key."""


def encrypt(
    path: Path,
    manifest: bytes,
    signing: Signing,
    recipients: Sequence[Certificate],
    output: Path,
    progress: Progress,
) -> None:
    """Write an encrypted bundle with the contents of another one, under a new key.

    Args:
        path: The bundle, of format verity.
        manifest: What `sign.whole` found in it.
        signing: Who signs it; the manifest has another key and another hash tree each time.
        recipients: Whose keys open it.
        output: Where it is written; may be the same file.
        progress: Told about the long steps.

    Raises:
        UsageError: A recipient cannot be one, or there are too many; or the certificate of the
            signer is for another key.
        VerificationRefused: What was signed does not verify.
    """
    old = manifests.parse(manifest)
    key = secrets.token_bytes(_KEY)
    with tempfile.TemporaryDirectory(prefix="bootseal-bundle-") as name:
        packed = Path(name) / "payload"
        with mapped(path) as view, packed.open("wb") as file:
            data = view[: bundle.parse(view).payload - old.tree_size]
            with progress.step("encrypt the payload"):
                file.writelines(envelope.blocks(data, key, decrypt=False))
        with progress.step("hash every block of the bundle"):
            tree = payload.append_tree(packed)
        new = replace(
            old,
            form=manifests.CRYPT,
            root_hash=tree.root_hash.hex(),
            salt=tree.salt.hex(),
            tree_size=payload.tree_size(tree),
            crypt_key=key.hex(),
        )
        sealed = envelope.seal(signing.message(manifests.emit(new)), recipients)
        if len(sealed) > bundle.MAX_SIGNATURE:
            raise UsageError(
                f"{len(recipients)} recipients make a signature of {len(sealed)} bytes: devices "
                f"read {bundle.MAX_SIGNATURE}",
                hint="make several bundles, each for a part of the devices",
            )
        with mapped(packed) as view:
            write_parts(output, [view, bundle.trailer(sealed)])


@contextmanager
def decrypted(disk: Disk, size: int, manifest: Manifest) -> Iterator[Disk]:
    """Give the payload of an encrypted bundle as it was, in a file that ends with the context.

    Args:
        disk: The bundle, whose hash tree was found good.
        size: Bytes of its payload.
        manifest: Its manifest, with the key.
    """
    key = bytes.fromhex(manifest.crypt_key)
    with tempfile.TemporaryDirectory(prefix="bootseal-bundle-") as name:
        path = Path(name) / "payload"
        with path.open("wb") as file:
            data = disk.view(0, size - manifest.tree_size)
            file.writelines(envelope.blocks(data, key, decrypt=True))
        with opened(path) as file:
            yield Disk.of_file(file, path, disk.name)
