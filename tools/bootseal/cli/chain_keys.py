# SPDX-License-Identifier: MIT
"""What commands share that sign boot loaders: a key for each place of TF-A's chain of trust."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bootseal.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bootseal.firmware.chain import Key
    from bootseal.keys.signers.base import Access, Signer


def signers(
    uris: Mapping[str, str],
    remote: Mapping[str, Signer],
    halves: Iterable[Path],
    directory: Path | None,
    access: Access,
) -> dict[Key, Signer]:
    """Return a signer for each key of the chain; each is named once, here or elsewhere.

    Args:
        uris: Key URIs by the name of the key.
        remote: What acts as the signers of keys that are elsewhere, likewise.
        halves: The files of their public halves.
        directory: A key directory, which has those that are not named.
        access: What opening a key may need.

    Raises:
        UsageError: A key is missing, named twice, or is for another place.
    """
    from bootseal.firmware import places
    from bootseal.firmware.chain import Key
    from bootseal.keys.manifest import MANIFEST
    from bootseal.keys.signers import base, schemes

    names = [*uris, *remote]
    wrong = [name for name in names if name not in tuple(Key) or names.count(name) > 1]
    lacking = [name for name in Key if name not in names]
    if wrong or (lacking and directory is None):
        said = f"{wrong[0]!r} is not one of them, or given twice" if wrong else f"no {lacking[0]}"
        raise UsageError(
            f"the chain needs a key for each of {', '.join(Key)}: {said}",
            hint=f"name a key directory with --keys DIR, or {lacking[0]}=URI" if lacking else "",
        )
    opened = {name: base.open(uri, access) for name, uri in uris.items()} | dict(remote)
    rest = {} if directory is None else places.signers(directory, access, wanted=lacking)
    found = {name: rest[name] if name in rest else opened[name] for name in Key}
    files = [Path(uri) for uri in uris.values() if not schemes.find(uri)]
    files += [*halves, *([directory / MANIFEST] if directory else [])]
    places.refuse_others(found, files)
    return found
