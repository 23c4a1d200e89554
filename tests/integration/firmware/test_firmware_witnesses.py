# SPDX-License-Identifier: MIT
"""FIPs against the tools of Trusted Firmware-A: cert_create, fiptool and, for keys, openssl."""

from __future__ import annotations

import json
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from bootseal.cli.app import app
from bootseal.errors import BootsealError, FormatError, VerificationRefused
from bootseal.firmware.chain import CERTIFICATES, Key
from bootseal.formats import fip
from bootseal.keys import tbbr

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.tool("fiptool"), pytest.mark.tool("cert_create")]

IMAGES = {"tb-fw": b"BL2" * 500, "soc-fw": b"BL31" * 400, "nt-fw": b"U-Boot" * 900}
# cert_create's names of the keys.
THEIRS = {
    Key.MRK: "rot-key",
    Key.TRUSTED: "trusted-world-key",
    Key.NONTRUSTED: "non-trusted-world-key",
    Key.SOC: "soc-fw-key",
    Key.BOOT: "nt-fw-key",
}
KEYS = {
    "rsa2048": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "ecdsa256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
}


def run(*arguments: object) -> str:
    """Return what a command prints; raises the error it ends in."""
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    if isinstance(result.exception, BootsealError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def make(directory: Path, kind: str) -> None:
    """Write images, keys, a FIP of theirs and one of ours."""
    directory.mkdir(exist_ok=True)
    for name, data in IMAGES.items():
        (directory / name).write_bytes(data)
    for key in Key:
        private, half = directory / f"{key}.key", directory / f"{key}.pub"
        subprocess.run(
            ["openssl", "genpkey", *KEYS[kind], "-out", private], capture_output=True, check=True
        )
        private.chmod(0o600)
        subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", half], check=True)
    words = [word for name in IMAGES for word in (f"--{name}", name)]
    certificates = [word for name in CERTIFICATES for word in (f"--{name}", name)]
    keys = [word for key, name in THEIRS.items() for word in (f"--{name}", f"{key}.key")]
    algorithm = ["--key-alg", "ecdsa" if kind.startswith("ecdsa") else "rsa"]
    counters = ["--tfw-nvctr", "5", "--ntfw-nvctr", "300"]
    # -n: it wants keys for the trusted OS as well, and makes them.
    subprocess.run(
        ["cert_create", "-n", *algorithm, *counters, *keys, *words, *certificates],
        cwd=directory,
        check=True,
        capture_output=True,
    )
    subprocess.run(
        ["fiptool", "create", "--align", "16", *words, *certificates, "theirs.bin"],
        cwd=directory,
        check=True,
    )
    images = [word for name in IMAGES for word in ("--image", f"{name}={directory / name}")]
    run("firmware", "build", *images, "--align", 16, "-o", directory / "unsigned.bin")
    keys = [word for key in Key for word in ("--key", f"{key}={directory / key}.key")]
    output = ["-o", directory / "ours.bin"]
    numbers = ["--counter", 5, "--nt-counter", 300]
    run("firmware", "sign", directory / "unsigned.bin", *keys, *numbers, *output)


@pytest.fixture(scope="module", params=list(KEYS))
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("made")
    make(directory, request.param)
    return directory


def verify(directory: Path, file: Path) -> dict[str, object]:
    said = run("firmware", "verify", file, "--mrk", directory / "mrk.pub", "--json")
    found = json.loads(said)
    assert isinstance(found, dict)
    return found


def test_what_their_tools_made_is_verified(made: Path) -> None:
    theirs, ours = (verify(made, made / name) for name in ("theirs.bin", "ours.bin"))

    assert theirs["schema"] == "bootseal.firmware-verdict/1"
    assert theirs["counters"] == {"trusted": 5, "nontrusted": 300}
    assert (theirs["keys"], theirs["counters"]) == (ours["keys"], ours["counters"])


def test_theirs_of_another_master_root_key_is_refused(made: Path) -> None:
    for name in ("theirs.bin", "ours.bin"):
        with pytest.raises(VerificationRefused, match=r"firmware\.root-key at tb-fw-cert"):
            run("firmware", "verify", made / name, "--mrk", made / "fw-boot.pub")


def test_fiptool_unpacks_ours_and_openssl_verifies_its_certificates(
    made: Path, tmp_path: Path
) -> None:
    subprocess.run(["fiptool", "unpack", "--out", tmp_path, made / "ours.bin"], check=True)

    unpacked = {path.stem: path.read_bytes() for path in tmp_path.iterdir()}
    assert {name: unpacked[name] for name in IMAGES} == IMAGES
    for name in CERTIFICATES:
        pem = tmp_path / "certificate.pem"
        der = tmp_path / f"{name}.bin"
        subprocess.run(["openssl", "x509", "-inform", "DER", "-in", der, "-out", pem], check=True)
        subprocess.run(
            ["openssl", "verify", "-check_ss_sig", "-ignore_critical", "-CAfile", pem, pem],
            check=True,
            capture_output=True,
        )


def test_certificates_of_both_say_the_same(made: Path) -> None:
    theirs, ours = (fip.parse((made / f"{name}.bin").read_bytes()) for name in ("theirs", "ours"))
    for name in CERTIFICATES:
        one, two = (tbbr.read(each.image(name) or b"") for each in (theirs, ours))
        assert list(one.extensions.items()) == list(two.extensions.items())
        assert (one.hash_name, one.is_rsa, one.public_key) == (
            two.hash_name,
            two.is_rsa,
            two.public_key,
        )


# A place in the FIP that cert_create and fiptool made, and why a bit there is refused.
FIELDS = {
    "header name": (0, "the FIP header's name"),
    "header serial": (4, "the FIP header's serial number"),
    "header flags": (8, "the FIP header's flags"),
    "ToC UUID": (0x10, "ToC entry 0 at 0x10: the UUID"),
    "ToC offset": (0x20, "tb-fw at 0x10: the offset is"),
    "ToC offset, high": (0x27, "tb-fw at 0x10: the offset is"),
    "ToC size, high": (0x2F, "tb-fw at 0x10: the image ends at"),
    "ToC flags": (0x30, "ToC entry 0 at 0x10: the flags are"),
    "end UUID": (0x178, "ToC entry 9 at 0x178: the UUID"),
    "end offset": (0x188, "the end of the ToC: the offset of the end"),
    "end size": (0x190, "the end of the ToC: the size"),
    "end flags": (0x198, "ToC entry 9 at 0x178: the flags are"),
}


def flipped(data: bytes, offset: int) -> bytes:
    return data[:offset] + bytes([data[offset] ^ 1]) + data[offset + 1 :]


@pytest.mark.parametrize("field", FIELDS)
def test_a_flipped_bit_of_the_table_is_refused_by_its_field(
    made: Path, tmp_path: Path, field: str
) -> None:
    offset, said = FIELDS[field]
    (tmp_path / "changed.bin").write_bytes(flipped((made / "theirs.bin").read_bytes(), offset))
    with pytest.raises(FormatError) as caught:
        verify(made, tmp_path / "changed.bin")
    assert said in caught.value.message


@pytest.mark.parametrize("name", [*IMAGES, *CERTIFICATES])
def test_a_flipped_bit_of_an_image_is_refused_by_its_name(
    made: Path, tmp_path: Path, name: str
) -> None:
    data = (made / "theirs.bin").read_bytes()
    entry = next(each for each in fip.parse(data).entries if each.name == name)
    expected = f"firmware.{'hash' if name in IMAGES else 'signature'} at {name}: "
    (tmp_path / "changed.bin").write_bytes(flipped(data, entry.end - 1))
    with pytest.raises(VerificationRefused) as caught:
        verify(made, tmp_path / "changed.bin")
    assert expected in caught.value.message


def test_a_flipped_bit_of_the_padding_is_refused(made: Path, tmp_path: Path) -> None:
    data = (made / "theirs.bin").read_bytes()
    entry = next(each for each in fip.parse(data).entries if each.end % 16)
    (tmp_path / "changed.bin").write_bytes(flipped(data, entry.end))
    with pytest.raises(FormatError, match="the padding "):
        verify(made, tmp_path / "changed.bin")


def test_a_smaller_size_is_refused_by_the_digest_or_the_padding(made: Path, tmp_path: Path) -> None:
    data = bytearray((made / "theirs.bin").read_bytes())
    (size,) = struct.unpack_from("<Q", data, 0x28)
    struct.pack_into("<Q", data, 0x28, size - 1)
    (tmp_path / "changed.bin").write_bytes(data)
    with pytest.raises((FormatError, VerificationRefused), match=r"tb-fw|soc-fw"):
        verify(made, tmp_path / "changed.bin")


def test_the_master_root_key_may_be_on_another_machine(made: Path, tmp_path: Path) -> None:
    """In two steps; openssl answers, as the summary of the requests says."""
    keys = [
        word for key in Key if key is not Key.MRK for word in ("--key", f"{key}={made / key}.key")
    ]
    common = ["firmware", "sign", made / "unsigned.bin", *keys, "--public-key"]
    common += [f"mrk={made / 'mrk.pub'}", "-o", tmp_path / "signed.bin"]
    requests = tmp_path / "requests"
    run(*common, "--export-requests", requests)
    assert not (tmp_path / "signed.bin").exists()
    wanted = json.loads((requests / "requests.json").read_text())["requests"]
    assert len(wanted) == 2
    (requests / "mrk.key").write_bytes((made / "mrk.key").read_bytes())
    for each in wanted:
        subprocess.run(each["command"].split(), cwd=requests, check=True)

    run(*common, "--import-signatures", requests)

    assert verify(made, tmp_path / "signed.bin")["accepted"] is True
    (requests / f"{wanted[0]['name']}.sig").write_bytes(
        (requests / f"{wanted[1]['name']}.sig").read_bytes()
    )
    with pytest.raises(VerificationRefused, match="signature is not by key"):
        run(*common, "--import-signatures", requests)
