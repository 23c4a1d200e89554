# SPDX-License-Identifier: MIT
"""The configuration of Greengrass nucleus lite: what is written, and what is refused."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from typing import TYPE_CHECKING, Final

import pytest
import yaml
from typer.testing import CliRunner

from bootseal import identity
from bootseal.cli.app import app
from bootseal.errors import FormatError, ToolError, UsageError
from bootseal.identity import greengrass

if TYPE_CHECKING:
    from pathlib import Path

CORE: Final = greengrass.Core(
    thing="dev-1",
    region="eu-central-1",
    data_endpoint="a1-ats.iot.eu-central-1.amazonaws.com",
    credentials_endpoint="c1.credentials.iot.eu-central-1.amazonaws.com",
    role_alias="gateway",
    root_ca="/usr/share/ca-certificates/mozilla/Amazon_Root_CA_1.crt",
)
MADE: Final = greengrass.configuration(CORE)
OPTIONS: Final = [
    *("--thing", CORE.thing, "--region", CORE.region, "--endpoint", CORE.data_endpoint),
    *("--credentials-endpoint", CORE.credentials_endpoint, "--role-alias", CORE.role_alias),
]
URI: Final = b"pkcs11:token=device;object=identity;type=private?pin-source=file:"


def test_configuration_is_what_the_nucleus_reads() -> None:
    assert yaml.safe_load(MADE) == {
        "system": {
            "privateKeyPath": "pkcs11:token=device;object=identity;type=private"
            "?pin-source=file:/run/bootseal/identity/pin",
            "certificateFilePath": "pkcs11:token=device;object=identity;type=cert"
            "?pin-source=file:/run/bootseal/identity/pin",
            "rootCaPath": "/usr/share/ca-certificates/mozilla/Amazon_Root_CA_1.crt",
            "rootPath": "/var/lib/greengrass",
            "thingName": "dev-1",
        },
        "services": {
            "aws.greengrass.NucleusLite": {
                "componentType": "NUCLEUS",
                "configuration": {
                    "awsRegion": "eu-central-1",
                    "iotCredEndpoint": "c1.credentials.iot.eu-central-1.amazonaws.com",
                    "iotDataEndpoint": "a1-ats.iot.eu-central-1.amazonaws.com",
                    "iotRoleAlias": "gateway",
                    "runWithDefault": {"posixUser": "gg_component:gg_component"},
                    "greengrassDataPlanePort": "8443",
                },
            }
        },
    }
    assert greengrass.check([("it", MADE)]) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (URI, b"/var/lib/greengrass/device.key#", "privateKeyPath is the file /var/lib"),
        (b"type=private?pin-source=file:", b"type=private?pin-value=1234", "holds a PIN"),
        (b";type=private", b"", "system.privateKeyPath is 'pkcs11:token=device;object=identity?"),
        (
            b"token=device;object=identity;type=cert",
            b"object=identity;type=cert",
            "certificateFile",
        ),
        (b"bootseal/identity/pin", b"../data/pin", "system.privateKeyPath is"),
        (b"/usr/share/", b"/data/", "rootCaPath is '/data/ca-certificates/mozilla/"),
        (b'"a1-ats', b'"https://a1-ats', "iotDataEndpoint is 'https://a1-ats"),
        (b"gg_component:gg_component", b"root:root", "posixUser is 'root:root'"),
        (b'"thingName"', b'"thing"', "system.thingName is missing"),
        (
            b'"system"',
            b'"aws.greengrass.fleet_provisioning": {}\n"more": {"x": "1"}\n"system"',
            "more.x is not a",
        ),
    ],
)
def test_other_configurations_are_refused(old: bytes, new: bytes, said: str) -> None:
    changed = MADE.replace(old, new)
    assert changed != MADE

    faults = greengrass.check([("it", changed)])

    assert any(said in fault for fault in faults), faults
    assert not any("1234" in fault for fault in faults)


@pytest.mark.parametrize(
    "path", ["/etc/../data/evil.pem", "/usr/./x.pem", "/etc/.pem", "/etc//x.pem", "/etcetera.pem"]
)
def test_root_certificates_are_on_the_read_only_root(path: str) -> None:
    (fault,) = greengrass.check(
        [("it", greengrass.configuration(dataclasses.replace(CORE, root_ca=path)))]
    )
    assert fault.startswith(f"system.rootCaPath is {path!r}")


@pytest.mark.parametrize(
    "text",
    [
        b"system:\n  privateKeyPath: 'pkcs11:x?pin-value=1234\n",
        b"system:\n  privateKeyPath: pkcs11:x?pin-value=1234: x\n",
        MADE.replace(b"pin-source=file:", b"PIN-VALUE=1234"),
    ],
    ids=["no-end", "colon", "upper-case"],
)
def test_pin_is_not_shown(text: bytes) -> None:
    try:
        said = "".join(greengrass.check([("it", text)]))
    except FormatError as error:
        said = error.message
    assert said
    assert "1234" not in said


@pytest.mark.parametrize(
    ("more", "shown"),
    [
        (b'"system.privateKeyPath": "%s"', '"system.privateKeyPath"'),
        (b'"": {"system": {"privateKeyPath": "%s"}}', '"".system.privateKeyPath'),
        (b'".system": {"privateKeyPath": "%s"}', '".system".privateKeyPath'),
    ],
)
def test_key_that_reads_like_a_path_is_not_that_setting(more: bytes, shown: str) -> None:
    """The nucleus would use the key file."""
    file = MADE.replace(URI, b"/data/device.key#", 1)
    good = URI + b"/run/bootseal/identity/pin"

    faults = greengrass.check([("it", file + more % good + b"\n")])

    assert faults[0].startswith("system.privateKeyPath is the file /data/device.key")
    assert f"{shown} is not a setting of a device with an identity key" in faults


def test_later_file_replaces_a_setting_of_an_earlier_one() -> None:
    """As the fragment that meta-aws installs does."""
    fragment = b"services:\n  aws.greengrass.NucleusLite:\n    configuration:\n"
    fragment += b'      runWithDefault:\n        posixUser: "ggcore:ggcore"\n'

    (fault,) = greengrass.check([("config.yaml", MADE), ("fragment", fragment)])
    assert "posixUser is 'ggcore:ggcore': expected gg_component:gg_component" in fault
    assert greengrass.check([("fragment", fragment), ("config.yaml", MADE)]) == []


def test_setting_has_one_value_in_the_files_of_a_directory() -> None:
    """The nucleus takes whichever file the directory names last."""
    files = [("config.yaml", MADE), ("a.yaml", b"system:\n  thingName: a\n")]

    (fault,) = greengrass.check([*files, ("b.yaml", b"system:\n  thingName: b\n")])

    assert fault.startswith("system.thingName has one value in a.yaml and another in b.yaml")
    assert greengrass.check([*files, ("b.yaml", b"system:\n  thingName: a\n")]) == []


@pytest.mark.parametrize(
    "path", ["/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem", "/etc/pki/ca-bundle.crt"]
)
def test_every_public_authority_is_too_many(path: str) -> None:
    """The nucleus would take a certificate of any of them for the broker's, whatever its name."""
    (fault,) = greengrass.check(
        [("it", greengrass.configuration(dataclasses.replace(CORE, root_ca=path)))]
    )
    assert "which has every public authority: expected a file with AWS's own" in fault


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"a: &x 1\nb: *x\n", "has a YAML alias"),
        (b"a: &x [*x]\n", "has a YAML alias"),
        (b"a: 1\na: 2\n", "'a' is twice below the document"),
        (b"a: [1]\n", "a is not a mapping"),
        (b"a:" + b" {a:" * 20 + b" 1" + b"}" * 20, "nested too deeply"),
        (b"{" * 5000, "nested too deeply"),
        (b"[" * 8192, "nested too deeply"),
        (b"- " * 4000, "nested too deeply"),
        (b'a: "\\UFFFFFFFF"\n', "is not YAML"),
        (b"? [a]\n: 1\n", "is not text"),
        (b"\xff\xfe\xff", "is not YAML"),
        (b"#" * 8193, "8193 bytes: expected at most 8192"),
        (b"text", "the document is not a mapping"),
    ],
)
def test_yaml_of_other_kinds_is_refused(text: bytes, said: str) -> None:
    with pytest.raises(FormatError, match=said):
        greengrass.check([("it", text)])


@pytest.mark.parametrize("cut", range(0, len(MADE), 40))
def test_no_prefix_is_accepted(cut: int) -> None:
    with contextlib.suppress(FormatError):
        assert greengrass.check([("it", MADE[:cut])]) != []


def test_command_writes_what_it_accepts(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    run = CliRunner().invoke
    verb = ["identity", "greengrass"]
    assert run(app, [*verb, *OPTIONS, "-o", str(path)]).exit_code == 0
    assert path.read_bytes() == MADE
    assert run(app, [*verb, str(path)]).exit_code == 0

    path.write_bytes(MADE.replace(URI, b"/x.key#"))
    refused = run(app, [*verb, str(path), "--json"])

    assert refused.exit_code == 3
    assert json.loads(refused.stdout)["verdict"] == "refused"


def test_option_that_would_not_do_is_refused() -> None:
    with pytest.raises(UsageError, match="thingName is 'a b'"):
        CliRunner().invoke(
            app, ["identity", "greengrass", *OPTIONS, "--thing", "a b"], catch_exceptions=False
        )
    wrong = dataclasses.replace(CORE, region="")
    assert greengrass.check([("it", greengrass.configuration(wrong))]) != []


@pytest.mark.parametrize("option", [["--thing", "dev-2"], ["-o", "made"]])
def test_options_are_not_ignored_when_files_are_checked(tmp_path: Path, option: list[str]) -> None:
    """The file is for dev-1, and nothing would be written."""
    path = tmp_path / "config.yaml"
    path.write_bytes(MADE)

    with pytest.raises(UsageError, match="expected no options"):
        CliRunner().invoke(
            app, ["identity", "greengrass", str(path), *option], catch_exceptions=False
        )


def test_missing_yaml_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "bootseal.identity.greengrass")
    monkeypatch.delattr(identity, "greengrass")
    monkeypatch.setitem(sys.modules, "yaml", None)

    with pytest.raises(ToolError, match="the Python package yaml") as refusal:
        CliRunner().invoke(app, ["identity", "greengrass"], catch_exceptions=False)
    assert refusal.value.hint == "pip install 'bootseal[greengrass]'"
