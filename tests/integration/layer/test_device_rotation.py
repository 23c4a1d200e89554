# SPDX-License-Identifier: MIT
"""A key slot replaced by systemd-cryptenroll itself: the device's check accepts every stage."""

from __future__ import annotations

import base64
import json
import re
import secrets
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.vectors import luks2_headers as headers

from bootseal import proc
from bootseal.boot.machine import swtpm
from bootseal.check.data import header as described
from bootseal.errors import ToolError
from bootseal.formats import luks2

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.tool("systemd-cryptenroll"),
    pytest.mark.tool("swtpm"),
    pytest.mark.tool("cryptsetup"),
]

SCRIPT = (
    Path(__file__).parents[3] / "meta-secureboot/recipes-core/bootseal-device/files/check-header"
)
# The first that unlocks with a key file and pins the storage root key.
OLDEST = 257


class Volume:
    """A volume in a file, laid out as systemd-repart does it, and the TPM that its slot is for."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.path = directory, directory / "volume"
        self.key = directory / "key"
        self.key.write_text(base64.b64encode(secrets.token_bytes(32)).decode())
        self.key.chmod(0o600)
        pem = base64.b64decode(headers.escrowed()["tokens"]["0"]["tpm2_pubkey"])
        (directory / "policy.pem").write_bytes(pem)
        with self.path.open("wb") as file:
            file.truncate(64 << 20)
        args = ["luksFormat", "-q", "--type", "luks2", "--label", "data", "--key-size", "512"]
        args += ["--cipher", "aes-xts-plain64", "--sector-size", "512", "--pbkdf", "pbkdf2"]
        args += ["--pbkdf-force-iterations", "1000", "--key-file", str(self.key), str(self.path)]
        proc.run("cryptsetup", args, timeout=60)

    def enrol(self, *args: str) -> str:
        unlock = f"--unlock-key-file={self.key}"
        done = proc.run("systemd-cryptenroll", [unlock, *args, str(self.path)], timeout=120)
        return done.stdout.decode()

    def enrol_tpm(self, pcrs: str) -> None:
        self.enrol(
            f"--tpm2-device=swtpm:path={self.directory / 's'}",
            f"--tpm2-public-key={self.directory / 'policy.pem'}",
            "--tpm2-public-key-pcrs=1+8+9",
            "--wipe-slot=tpm2",
            f"--tpm2-pcrs={pcrs}",
        )

    def mark(self, kind: str, *slots: str) -> None:
        token = json.dumps({"type": kind, "keyslots": slots})
        args = ["token", "import", "--json-file", "-", str(self.path)]
        proc.run("cryptsetup", args, stdin=token.encode(), timeout=60)

    def tokens(self, kind: str) -> dict[str, list[str]]:
        """Return the key slots of the tokens of a type, by number."""
        found = json.loads(self.metadata())["tokens"].items()
        return {number: t["keyslots"] for number, t in found if t["type"] == kind}

    def metadata(self) -> bytes:
        args = ["luksDump", "--dump-json-metadata", str(self.path)]
        return proc.run("cryptsetup", args, timeout=60).stdout

    def refusal(self) -> str:
        """Return what the device's check says, "" when it accepts."""
        args = ["sh", str(SCRIPT), str(self.directory / "policy.pem"), "1,8,9"]
        done = subprocess.run(args, input=self.metadata(), capture_output=True, check=False)
        assert done.returncode == bool(done.stdout)
        return done.stdout.decode()

    def look(self) -> None:
        """Have the device's check and that of `disk check` accept it."""
        assert not self.refusal()
        header = luks2.parse(self.path.read_bytes()[: 1 << 20])
        assert [*described.differences(header), *described.contradictions(header)] == []


@pytest.fixture
def volume(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Volume]:
    said = proc.run("systemd-cryptenroll", ["--version"], timeout=30).stdout.decode()
    match = re.match(r"systemd (\d+)", said)
    if match is None or int(match[1]) < OLDEST:
        pytest.skip(f"needs systemd-cryptenroll {OLDEST}")
    directory = tmp_path_factory.mktemp("r")
    swtpm.manufacture(directory / "tpm")
    with swtpm.serving(directory / "tpm", directory / "s", directory / "said"):
        made = Volume(directory)
        try:
            made.enrol_tpm("")
        except ToolError as error:
            if "tcti" not in error.message.lower():
                raise
            pytest.skip("systemd-cryptenroll finds no TCTI for swtpm")
        yield made


def test_header_is_accepted_at_every_stage_of_a_rotation(volume: Volume) -> None:
    recovery = volume.enrol("--recovery-key").strip()
    volume.key.write_text(recovery)
    volume.enrol("--wipe-slot=password")
    volume.look()
    volume.mark("bootseal-escrowed", *volume.tokens("systemd-recovery").popitem()[1])
    volume.look()
    before = volume.tokens("systemd-tpm2")
    volume.mark("bootseal-rotate")
    volume.look()
    volume.enrol_tpm("12")
    volume.look()
    volume.enrol_tpm("")
    volume.look()
    (request,) = volume.tokens("bootseal-rotate")
    args = ["token", "remove", "--token-id", request, str(volume.path)]
    proc.run("cryptsetup", args, timeout=60)
    volume.look()
    assert len(volume.tokens("systemd-tpm2")) == len(before) == 1
    # At rest the slot in between is refused.
    volume.enrol_tpm("12")
    assert re.fullmatch(r"tokens\.\d+\.tpm2-pcrs\.0 is 12\n", volume.refusal())
