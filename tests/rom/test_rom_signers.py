# SPDX-License-Identifier: MIT
"""BL1 and BL2 start what a token and a cloud service signed, and refuse it once it was changed.

Five keys of different kinds take turns at the five places of the chain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from tests.integration.keys import vaults
from tests.integration.keys.vaults import bootseal
from tests.rom.host import OK, REFUSED
from tests.unit.firmware import fips

from bootseal.firmware.chain import CHAIN, Key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.keys.vaults import Vault
    from tests.rom.host import Programs

pytestmark = pytest.mark.tool("clang", "softhsm2-util")

KINDS: Final = {
    "softhsm": ("rsa2048", "rsa3072", "rsa4096", "ecdsa256", "ecdsa384"),
    # AWS signs with P-384 and SHA-384 alone.
    "kms": ("rsa2048", "rsa3072", "rsa4096", "ecdsa256", "ecdsa256"),
}
BELOW: Final = (
    (Key.MRK, Key.BOOT),
    (Key.TRUSTED, Key.SOC),
    (Key.NONTRUSTED, Key.BOOT),
)
"""Places, and those that their keys lead to; tests/unit/firmware/test_places.py has all pairs."""
PROFILE_ENTRY: Final = """\
[keys.{place}]
name = "DEV-{place}"
algorithm = "sha256,{kind}"
subject = "CN=DEV {place}"
authority = true
valid_days = 100
storage = "token"
"""


@pytest.fixture(scope="module")
def unsigned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("unsigned")
    for name, image in fips.IMAGES.items():
        (directory / name).write_bytes(image)
    images = [word for name in fips.IMAGES for word in ("--image", f"{name}={directory / name}")]
    bootseal("firmware", "build", *images, "-o", directory / "unsigned.fip")
    return directory / "unsigned.fip"


@pytest.fixture(scope="module", params=vaults.BACKENDS)
def vault(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Vault]:
    """Keys named by the place where they are in turn 0."""
    kinds = dict(zip(map(str, Key), KINDS[request.param], strict=True))
    with vaults.opened(request.param, kinds, tmp_path_factory.mktemp("vault")) as made:
        yield made


@pytest.mark.parametrize("turn", range(len(Key)))
def test_both_stages_start_what_it_signed(
    rom: Programs, unsigned: Path, vault: Vault, turn: int, tmp_path: Path
) -> None:
    """The tampered twins have one bit changed in a signature: of BL2's certificate, and another."""
    signed, names = tmp_path / "signed.fip", list(Key)
    at = dict(zip(Key, names[turn:] + names[:turn], strict=True))
    keys = [word for place, name in at.items() for word in ("--key", f"{place}={vault.uris[name]}")]

    bootseal("firmware", "sign", unsigned, *keys, "--counter", 1, "--nt-counter", 1, "-o", signed)

    data, root = signed.read_bytes(), vault.hashes[at[Key.MRK]]
    assert fips.verdict(data, root).findings == ()
    first, second = changed(data, CHAIN[0].image), changed(data, CHAIN[turn + 1].image)
    assert rom.ask("bl1", [data, first], root) == [OK, REFUSED]
    assert rom.ask("bl2", [data, second], root) == [OK, REFUSED]


def changed(data: bytes, name: str) -> bytes:
    """Flip a bit in the last byte of a certificate, which is its signature's."""
    certificate = fips.images(data)[name]
    last = data.index(certificate) + len(certificate) - 1
    return data[:last] + bytes([data[last] ^ 1]) + data[last + 1 :]


def test_key_does_not_sign_above_its_place(unsigned: Path, vault: Vault, tmp_path: Path) -> None:
    """A key directory knows the keys that it has in a vault, whatever URI names them."""
    keys, signed = tmp_path / "keys", tmp_path / "signed.fip"
    entries = [PROFILE_ENTRY.format(place=place, kind=kind) for place, kind in vault.kinds.items()]
    (tmp_path / "own.toml").write_text('name = "own"\ndevelopment = true\n' + "".join(entries))
    named = [word for key, uri in vault.uris.items() for word in ("--token", f"{key}={uri}")]
    bootseal("keys", "generate", keys, "--profile", tmp_path / "own.toml", *named)
    sign = ("firmware", "sign", unsigned, "--keys", keys, "-o", signed)

    for place, below in BELOW:
        said = bootseal(*sign, "--key", f"{place}={vault.uris[below]}", good=False)
        assert f"the key for {place} is DEV-{below}, the {below} key of" in said
    assert not signed.exists()

    bootseal(*sign)
    assert fips.verdict(signed.read_bytes(), vault.hashes[Key.MRK]).findings == ()
