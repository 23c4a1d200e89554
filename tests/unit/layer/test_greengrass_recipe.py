# SPDX-License-Identifier: MIT
"""What the layer adds to AWS IoT Greengrass nucleus lite, without bitbake and the nucleus."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from configparser import RawConfigParser
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from bootseal.assembly.layer import Layer
from bootseal.identity import greengrass

LAYER: Final = Path(__file__).parents[3] / "meta-secureboot"
DYNAMIC: Final = LAYER / "dynamic-layers/meta-aws"
RECIPE: Final = DYNAMIC / "recipes-core/bootseal-greengrass/bootseal-greengrass_1.0.bb"
GROUP: Final = DYNAMIC / "recipes-core/packagegroups/packagegroup-bootseal-greengrass.bb"
FILES: Final = RECIPE.parent / "files"
NUCLEUS: Final = DYNAMIC / "recipes-iot/aws-iot-greengrass/greengrass-lite-bootseal.inc"
TOKEN: Final = LAYER / "recipes-core/bootseal-identity/bootseal-identity_1.0.bb"
UNITS: Final = "usr/lib/systemd/system"
PIN: Final = "/run/bootseal/identity/pin"
# SYSTEMD_SERVICE of greengrass-lite 2.5.1 in meta-aws, without its options.
INSTALLED: Final = (
    "ggl.aws_iot_mqtt.socket",
    "ggl.aws_iot_tes.socket",
    "ggl.aws.greengrass.TokenExchangeService.service",
    "ggl.core.gg-fleet-statusd.service",
    "ggl.core.ggconfigd.service",
    "ggl.core.ggdeploymentd.service",
    "ggl.core.gghealthd.service",
    "ggl.core.ggipcd.service",
    "ggl.core.ggpubsubd.service",
    "ggl.core.iotcored.service",
    "ggl.core.tesd.service",
    "ggl.gg_config.socket",
    "ggl.gg_deployment.socket",
    "ggl.gg_fleet_status.socket",
    "ggl.gg_health.socket",
    "ggl.gg_pubsub.socket",
    "ggl.gg-ipc.socket.socket",
    "ggl.ipc_component.socket",
    "greengrass-lite.target",
)
VARIABLES: Final = {
    "BOOTSEAL_GREENGRASS_REGION": "eu-central-1",
    "BOOTSEAL_GREENGRASS_DATA_ENDPOINT": "a1-ats.iot.eu-central-1.amazonaws.com",
    "BOOTSEAL_GREENGRASS_CREDENTIALS_ENDPOINT": "c1.credentials.iot.eu-central-1.amazonaws.com",
    "BOOTSEAL_GREENGRASS_ROLE_ALIAS": "gateway",
    "bindir": "/usr/bin",
    "nonarch_libdir": "/usr/lib",
    "sysconfdir": "/etc",
    "systemd_unitdir": "/usr/lib/systemd",
    "systemd_system_unitdir": f"/{UNITS}",
}


def assigned(recipe: Path) -> dict[str, str]:
    """Return the variables that a recipe gives a plain value."""
    found = re.findall(r'^([A-Z_]+) = "([^"]*)"', recipe.read_text(), re.MULTILINE)
    return {name: value.replace("\\\n", " ") for name, value in found}


def run(recipe: Path, task: str, **variables: str) -> None:
    """Run a shell function of a recipe, as bitbake would."""
    body = re.search(
        rf"^{re.escape(task)}\(\) \{{\n(.*?)^\}}", recipe.read_text(), re.MULTILINE | re.DOTALL
    )
    assert body is not None
    text = body[1]
    for name, value in {**VARIABLES, **assigned(recipe), **variables}.items():
        text = text.replace(f"${{{name}}}", value)
    assert "${" not in text, text
    subprocess.run(["/bin/sh", "-ec", f"umask 022\n{text}"], check=True)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("image")
    run(RECIPE, "do_install", D=str(made), S=str(FILES))
    return made


@pytest.mark.parametrize("name", [name for name in VARIABLES if name.startswith("BOOTSEAL_")])
def test_account_of_the_fleet_is_asked_for(tmp_path: Path, name: str) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        run(RECIPE, "do_install", D=str(tmp_path), S=str(FILES), **{name: ""})
    assert list(tmp_path.iterdir()) == []


def settings(directory: Path) -> list[tuple[str, str]]:
    """Return what the drop-ins of a unit say, in the order in which systemd reads them."""
    lines = [line for path in sorted(directory.iterdir()) for line in path.read_text().splitlines()]
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return [(name, value) for name, _, value in pairs]


def left_out() -> set[str]:
    return set(assigned(NUCLEUS)["BOOTSEAL_GREENGRASS_LEFT_OUT"].split())


@pytest.mark.parametrize("recipe", [RECIPE, GROUP], ids=lambda path: path.stem)
def test_build_of_every_recipe_leaves_out_what_asks_for_an_account(recipe: Path) -> None:
    assert assigned(recipe)["EXCLUDE_FROM_WORLD"] == "1"


def test_recipe_fetches_every_file(tree: Path) -> None:
    named = assigned(RECIPE)["SRC_URI"].split()
    assert sorted(named) == sorted(f"file://{path.name}" for path in FILES.iterdir())
    modes = {p.name: p.stat().st_mode & 0o777 for p in tree.rglob("*") if p.is_file()}
    assert {name for name, mode in modes.items() if mode & 0o111} == {"greengrass"}


def test_every_unit_waits_for_the_token_and_the_state(tree: Path) -> None:
    """A condition, because a token that is skipped counts as started."""
    units = set(INSTALLED) - left_out() - {"greengrass-lite.target"}
    made = {path.name.removesuffix(".d"): path for path in (tree / UNITS).glob("*.d")}
    assert made.keys() == units
    for directory in made.values():
        said = settings(directory)
        assert ("ConditionPathExists", PIN) in said
        for name in ("Requires", "After", "PartOf"):
            assert (name, "bootseal-greengrass.service") in said
    unit = RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(FILES / "bootseal-greengrass.service")
    assert unit["Unit"]["ConditionPathExists"] == PIN
    assert unit["Unit"]["Requires"] == "bootseal-identity.service"
    # Requires= would mount the data before the boot is found to be good.
    assert "data.mount" not in unit["Unit"]["Requires"]


def test_sockets_are_not_there_before_the_services_that_they_wait_for(tree: Path) -> None:
    for directory in (tree / UNITS).glob("*.socket.d"):
        assert ("DefaultDependencies", "no") in settings(directory)


def test_daemons_that_speak_tls_have_what_the_key_needs(tree: Path) -> None:
    for name in ("iotcored", "tesd"):
        said = settings(tree / UNITS / f"ggl.core.{name}.service.d")
        assert ("EnvironmentFile", "/usr/lib/bootseal/identity.env") in said
        assert ("SupplementaryGroups", "bootseal-token tss") in said
        # The store is in a directory that the group can only read.
        assert ("Environment", "PKCS11_SQL_LOCK=%t/%N") in said
        assert ("RuntimeDirectory", "%N") in said
    # gg-fleet-statusd sends by iotcored.
    for name in ("gg-fleet-statusd", "ggconfigd", "gghealthd", "ggipcd", "ggpubsubd"):
        said = settings(tree / UNITS / f"ggl.core.{name}.service.d")
        assert {"EnvironmentFile", "SupplementaryGroups"}.isdisjoint(dict(said))


def test_no_service_is_root(tree: Path) -> None:
    """Of those that start, the unit of gghealthd is the only one without a user of its own."""
    said = settings(tree / UNITS / "ggl.core.gghealthd.service.d")
    assert [value for name, value in said if name in {"User", "Group"}] == ["ggcore", "ggcore"]


def test_nothing_that_deploys_is_on_the_root(tmp_path: Path) -> None:
    """It would link units from the data partition, which nothing authenticates."""
    units, programs = tmp_path / UNITS, tmp_path / "usr/bin"
    fragment = tmp_path / "etc/greengrass/config.d/greengrass-lite.yaml"
    for name in INSTALLED:
        (units / name).parent.mkdir(parents=True, exist_ok=True)
        (units / name).touch()
    programs.mkdir(parents=True)
    for name in ("ggconfigd", "ggdeploymentd", "iotcored", "tes-serverd"):
        (programs / name).touch()
    fragment.parent.mkdir(parents=True)
    fragment.touch()

    run(NUCLEUS, "do_install:append", D=str(tmp_path))

    assert {path.name for path in programs.iterdir()} == {"ggconfigd", "iotcored"}
    kept = {path.name for path in units.iterdir()}
    assert set(INSTALLED) - kept == left_out()
    assert {"ggl.core.ggdeploymentd.service", "ggl.gg_deployment.socket"} <= left_out()
    assert not fragment.exists()
    text = NUCLEUS.read_text()
    assert 'SYSTEMD_SERVICE:${PN}:remove = "${BOOTSEAL_GREENGRASS_LEFT_OUT}"' in text
    assert 'PACKAGECONFIG:remove = "fleetprovisioning localdeployment"' in text


def test_no_service_can_write_where_systemd_looks_for_units(tree: Path) -> None:
    for directory in (tree / UNITS).glob("*.service.d"):
        said = settings(directory)
        assert ("ProtectSystem", "strict") in said
        written = [value for name, value in said if name == "ReadWritePaths"]
        assert written == ["/var/lib/greengrass /run/greengrass"]
    assert not (tree / "etc/systemd").exists()
    started = [
        value
        for path in (tree / UNITS).rglob("*")
        if path.is_file()
        for name, _, value in (line.partition("=") for line in path.read_text().splitlines())
        if name.startswith("Exec") and value
    ]
    assert started
    assert all(value.startswith(("/usr/bin/", "/usr/lib/", "umount ")) for value in started)


@pytest.mark.tool("systemd-analyze")
@pytest.mark.parametrize("waits", ["DefaultDependencies=no", "DefaultDependencies=yes"])
def test_nothing_waits_for_itself(tree: Path, tmp_path: Path, waits: str) -> None:
    """Sockets that were started like others would wait for a service that waits for them."""
    root = tmp_path / "root"
    shutil.copytree(tree, root)
    for file in Layer(LAYER).device_files(login=False):
        (root / file.target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file.source, root / file.target)
        (root / file.target).chmod(file.mode)
    units = root / UNITS
    for name in set(INSTALLED) - left_out():
        kind = "Socket" if name.endswith(".socket") else "Service"
        does = f"ListenStream=/run/{name}\nService=ggl.core.ggipcd.service"
        text = f"[Unit]\nDescription=x\nBefore=greengrass-lite.target\n[{kind}]\n"
        text += does if kind == "Socket" else "ExecStart=/usr/bin/ggconfigd"
        (units / name).write_text(f"{text}\n")
    for path in units.glob("*.socket.d/bootseal.conf"):
        path.write_text(path.read_text().replace("DefaultDependencies=no", waits))
    wanted = " ".join(sorted(set(INSTALLED) - left_out() - {"greengrass-lite.target"}))
    basic = "Wants=sockets.target\nAfter=sockets.target sysinit.target"
    for name, text in {
        "basic.target": basic,
        "greengrass-lite.target": f"Wants={wanted}",
        "multi-user.target": "Requires=basic.target\nWants=greengrass-lite.target",
        **dict.fromkeys(("sysinit.target", "sockets.target", "shutdown.target"), ""),
    }.items():
        (units / name).write_text(f"[Unit]\nDescription=x\n{text}\n")
    for name in ("bin/sh", "usr/bin/ggconfigd", "usr/bin/umount"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch(mode=0o755)

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", f"--root={root}", "multi-user.target"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ("ordering cycle" in done.stderr) is (waits == "DefaultDependencies=yes"), done.stderr
    assert "Unknown" not in done.stderr


THING: Final = b'---\nsystem:\n  thingName: "dev-1"\n'


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"", b"", ""),
        (b"pin-source=file:/run/bootseal/identity/pin", b"pin-value=123456", "holds a PIN"),
        (b"type=private?", b"type=secret?", "system.privateKeyPath is"),
        (b"gg_component:gg_component", b"ggcore:ggcore", "posixUser is 'ggcore:ggcore'"),
        (b'"gateway"', b'""', "iotRoleAlias is ''"),
    ],
)
def test_configuration_is_one_that_the_tool_accepts(
    tree: Path, old: bytes, new: bytes, said: str
) -> None:
    data = (tree / "etc/greengrass/config.yaml").read_bytes()
    assert b"@" not in data
    assert old in data

    found = greengrass.check([("config.yaml", data.replace(old, new)), ("thing.yaml", THING)])

    assert bool(found) is bool(said)
    assert all(said in fault for fault in found)


def test_token_has_a_group_that_only_units_have(tree: Path) -> None:
    """No account is in it, so that of two programs of one user one can use the key."""
    group = (TOKEN.parent / "files/token-group").read_text().strip()
    text = TOKEN.read_text()
    assert f'GROUPADD_PARAM:${{PN}} = "--system {group}"' in text
    assert "USERADD_PARAM" not in text
    units = [path for path in tree.rglob("*.conf") if group in path.read_text()]
    agent = LAYER / "dynamic-layers/meta-rauc/recipes-core/bootseal-agent/files"
    units += [path for path in agent.iterdir() if group in path.read_text()]
    assert sorted(path.parent.name for path in units) == [
        "files",
        "ggl.core.iotcored.service.d",
        "ggl.core.tesd.service.d",
    ]
    for path in units:
        assert f"SupplementaryGroups={group} tss\n" in path.read_text()


def certificate(*subject: tuple[x509.ObjectIdentifier, str]) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in subject])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(
        name, name, key.public_key(), 1, now, now + timedelta(days=1)
    ).sign(key, hashes.SHA256())
    return made.public_bytes(Encoding.PEM)


class Device:
    """Directories in the place of a device's, and programs that need root left out."""

    def __init__(self, root: Path) -> None:
        self.root, self.certificate = root, root / "certificate.pem"
        for name in ("bin", "config"):
            (root / name).mkdir()
        for name in ("mount", "install"):
            (root / "bin" / name).write_text(f'#!/bin/sh\necho "{name} $*" >>{root}/calls\n')
            (root / "bin" / name).chmod(0o755)

    def start(self) -> subprocess.CompletedProcess[str]:
        env = {
            "PATH": f"{self.root}/bin:{os.environ['PATH']}",
            "CERTIFICATE": str(self.certificate),
            "STATE": str(self.root / "state"),
            "ROOT": str(self.root / "lib"),
            "CONFIG": str(self.root / "config"),
        }
        args = ["sh", str(FILES / "greengrass")]
        return subprocess.run(args, env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path)


@pytest.mark.tool("openssl")
def test_thing_is_the_one_that_the_certificate_names(device: Device) -> None:
    subject = ((NameOID.SERIAL_NUMBER, "00"), (NameOID.COMMON_NAME, "dev-1"))
    device.certificate.write_bytes(certificate(*subject))

    done = device.start()

    assert done.returncode == 0, done.stderr
    assert (device.root / "config/thing.yaml").read_bytes() == THING
    calls = (device.root / "calls").read_text().splitlines()
    assert calls == [
        f"install -d -m 0755 -o ggcore -g ggcore {device.root}/state",
        f"mount --bind {device.root}/state {device.root}/lib",
    ]


@pytest.mark.tool("openssl")
@pytest.mark.parametrize(
    "subject",
    [
        ((NameOID.COMMON_NAME, 'dev-1"\n  rootPath: "/'),),
        ((NameOID.COMMON_NAME, "dev-1"), (NameOID.COMMON_NAME, "dev-2")),
        ((NameOID.ORGANIZATION_NAME, "x\nCN=dev-1"),),
        ((NameOID.ORGANIZATION_NAME, "CN=dev-1"),),
        ((NameOID.COMMON_NAME, "dev 1"),),
    ],
    ids=["yaml", "two names", "line end", "other part", "blank"],
)
def test_certificate_that_names_no_thing_ends_it(
    device: Device, subject: tuple[tuple[x509.ObjectIdentifier, str], ...]
) -> None:
    device.certificate.write_bytes(certificate(*subject))

    done = device.start()

    assert done.returncode == 1
    assert "the certificate does not name a thing" in done.stderr
    assert not (device.root / "config/thing.yaml").exists()
    assert not (device.root / "calls").exists()


@pytest.mark.tool("openssl")
def test_link_in_the_place_of_certificate_or_state_is_refused(device: Device) -> None:
    device.certificate.symlink_to("/dev/zero")
    assert "there is no certificate" in device.start().stderr

    device.certificate.unlink()
    device.certificate.write_bytes(certificate((NameOID.COMMON_NAME, "dev-1")))
    (device.root / "state").symlink_to("/etc")
    assert "state is a link" in device.start().stderr
    assert not (device.root / "calls").exists()
