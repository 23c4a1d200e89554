# SPDX-License-Identifier: MIT
"""What the layer's classes compute before and during a build."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TypedDict

import pytest
from bootseal_layer import checks, fit, fragments, image, keys, state, tfa


class Change(TypedDict, total=False):
    """Fields of a configuration to put in the place of good ones."""

    architecture: str
    init_manager: str
    capabilities: frozenset[str]
    requests: frozenset[str]
    layers: frozenset[str]
    profile: str
    keys: str
    unset: tuple[str, ...]
    state: str
    source: str
    watchdog: str


SOURCE = str(Path(__file__).parents[3])
TRUSTED = frozenset({"verified-boot", "slots", "tpm2"})
ROM: Change = {
    "capabilities": TRUSTED | {"rom"},
    "requests": frozenset({"measured-boot", "rom"}),
    "layers": frozenset({"core", "meta-arm"}),
}


GREENGRASS: Change = {
    "requests": frozenset({"measured-boot", "encrypted-data", "greengrass"}),
    "layers": frozenset({"core", "meta-aws"}),
}
UPDATES: Change = {
    "requests": frozenset({"measured-boot", "encrypted-data", "updates"}),
    "layers": frozenset({"core", "rauc"}),
}


def write_keys(directory: Path, *, development: bool, more: tuple[str, ...] = ()) -> str:
    entries = {
        role: {"name": f"{role}-1", "algorithm": "sha256,rsa4096", "fingerprint": "00"}
        for role in (*keys.ROLES, *keys.FIRMWARE_ROLES, *keys.UPDATE_ROLES, *more)
    }
    document = {
        "schema": keys.SCHEMA,
        "profile": "dev",
        "development": development,
        "keys": entries,
    }
    (directory / keys.MANIFEST).write_text(json.dumps(document))
    for role in entries:
        for suffix in ("crt", "pub"):
            (directory / f"{role}-1.{suffix}").touch()
    return str(directory)


@pytest.fixture
def good(tmp_path: Path) -> checks.Configuration:
    return checks.Configuration(
        machine="qemuarm64",
        architecture="aarch64",
        init_manager="systemd",
        capabilities=TRUSTED,
        requests=frozenset({"measured-boot", "encrypted-data"}),
        profile="dev",
        keys=write_keys(tmp_path, development=True),
    )


def test_configuration_whose_requests_are_met_has_no_problems(good: checks.Configuration) -> None:
    assert checks.configuration(good) == []


def test_configuration_with_state_and_a_watchdog_has_no_problems(
    good: checks.Configuration,
) -> None:
    change: Change = {"state": " /var/log  /etc/machine-id", "source": SOURCE, "watchdog": "30"}
    assert checks.configuration(dataclasses.replace(good, **change)) == []


def test_state_is_installed_by_the_rule_of_the_tool(tmp_path: Path) -> None:
    state.install("/var/log", SOURCE, str(tmp_path))
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.mount")}
    units = "usr/lib/systemd/system"
    assert names == {f"{units}/var-log.mount", f"{units}/local-fs.target.wants/var-log.mount"}


def test_configuration_is_read_from_the_data_store(good: checks.Configuration) -> None:
    class Store:
        def getVar(self, name: str) -> str | None:  # noqa: N802 - bitbake's name
            return {
                "MACHINE": "qemuarm64",
                "TARGET_ARCH": "aarch64",
                "INIT_MANAGER": "systemd",
                "BOOTSEAL_CAPABILITIES": " verified-boot slots tpm2",
                "BOOTSEAL_REQUESTS": " encrypted-data  measured-boot",
                "BOOTSEAL_KERNEL_ADDRESS": "0x40200000",
                "BOOTSEAL_UBOOT_BOARD_DIR": "board/emulation/qemu-arm",
                "BOOTSEAL_PROFILE": "dev",
                "BOOTSEAL_KEYS": good.keys,
                "BBFILE_COLLECTIONS": "core meta-arm",
                "BOOTSEAL_STATE": "/var/log",
                "BOOTSEAL_SOURCE": "/src",
                "BOOTSEAL_WATCHDOG": "30",
            }.get(name)

    read = checks.Configuration.read(Store())
    assert read == dataclasses.replace(
        good,
        layers=frozenset({"core", "meta-arm"}),
        state="/var/log",
        source="/src",
        watchdog="30",
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"capabilities": TRUSTED - {"tpm2"}}, "does not declare tpm2"),
        ({"capabilities": TRUSTED - {"slots"}}, "does not declare slots"),
        ({"capabilities": TRUSTED | {"tmp2"}}, "'tmp2', did you mean tpm2?"),
        ({"requests": frozenset({"encrypted-data"})}, "encrypted-data needs measured-boot"),
        ({"requests": frozenset({"measured-bot"})}, "did you mean measured-boot?"),
        (ROM | {"capabilities": TRUSTED}, "rom was requested, and the machine qemuarm64 does not"),
        (ROM | {"requests": frozenset({"rom"})}, "rom needs measured-boot"),
        (ROM | {"layers": frozenset({"core"})}, "rom needs the layer meta-arm"),
        (GREENGRASS | {"layers": frozenset({"core"})}, "greengrass needs the layer meta-aws"),
        (
            GREENGRASS | {"requests": frozenset({"measured-boot", "greengrass"})},
            "greengrass needs encrypted-data",
        ),
        (
            {"state": "/var/log /etc/pam.d", "source": SOURCE},
            "BOOTSEAL_STATE names '/etc/pam.d': what is there could decide which code runs",
        ),
        (
            {"state": "/var/log", "source": SOURCE, "requests": frozenset()},
            "BOOTSEAL_STATE needs encrypted-data: use the fragment",
        ),
        (
            {"state": "/var/log", "source": "/nowhere"},
            "the rule of the signing tool, which is not there",
        ),
        ({"watchdog": "30s"}, "BOOTSEAL_WATCHDOG is '30s': expected seconds, 1 to 9999"),
        ({"watchdog": "0"}, "BOOTSEAL_WATCHDOG is '0'"),
        (
            {"architecture": "x86_64"},
            "the machine qemuarm64 is x86_64: this layer secures 64-bit ARM",
        ),
        ({"init_manager": "sysvinit"}, 'INIT_MANAGER = "systemd"'),
        ({"unset": ("BOOTSEAL_KERNEL_ADDRESS",)}, "BOOTSEAL_KERNEL_ADDRESS is not set"),
        ({"profile": ""}, "bootseal/bootseal/dev-keys"),
        ({"keys": ""}, "BOOTSEAL_KEYS is not set"),
        ({"keys": "/nonexistent"}, "bootseal keys generate --profile dev /nonexistent"),
        ({"profile": "production"}, "holds development keys"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_problem_is_named_with_its_mend(
    good: checks.Configuration, change: Change, said: str
) -> None:
    found = checks.configuration(dataclasses.replace(good, **change))
    assert len(found) == 1
    assert said in found[0]


def test_boot_rom_is_built_where_all_it_needs_is_there(good: checks.Configuration) -> None:
    assert checks.configuration(dataclasses.replace(good, **ROM)) == []


def test_greengrass_is_built_where_all_it_needs_is_there(good: checks.Configuration) -> None:
    assert checks.configuration(dataclasses.replace(good, **GREENGRASS)) == []


def test_updates_need_their_layer_and_the_authority_of_update_keys(
    good: checks.Configuration,
) -> None:
    assert checks.configuration(dataclasses.replace(good, **UPDATES)) == []
    bare = dataclasses.replace(good, **(UPDATES | {"layers": frozenset({"core"})}))
    (found,) = checks.configuration(bare)
    assert "updates needs the layer rauc" in found
    path = Path(good.keys) / keys.MANIFEST
    document = json.loads(path.read_text())
    del document["keys"]["update-ca"]
    path.write_text(json.dumps(document))
    (found,) = checks.configuration(dataclasses.replace(good, **UPDATES))
    assert "lists no key for the role update-ca" in found


def test_signed_modules_need_their_key_and_nothing_else(good: checks.Configuration) -> None:
    bare = dataclasses.replace(good, capabilities=frozenset({"verified-boot", "slots"}))
    wanted = dataclasses.replace(bare, requests=frozenset({"modules"}))
    (found,) = checks.configuration(wanted)
    assert "lists no key for the role modules" in found
    assert f"bootseal keys generate --only modules {good.keys}" in found
    write_keys(Path(good.keys), development=True, more=keys.MODULES_ROLES)
    assert checks.configuration(wanted) == []


@pytest.mark.parametrize("role", keys.FIRMWARE_ROLES)
def test_boot_rom_needs_every_key_of_its_chain(good: checks.Configuration, role: str) -> None:
    path = Path(good.keys) / keys.MANIFEST
    document = json.loads(path.read_text())
    del document["keys"][role]
    path.write_text(json.dumps(document))
    (found,) = checks.configuration(dataclasses.replace(good, **ROM))
    assert f"lists no key for the role {role}" in found
    assert f"bootseal keys generate --only {role} {good.keys}" in found
    assert checks.configuration(good) == []


def test_master_root_key_has_an_algorithm_of_tf_a(tmp_path: Path) -> None:
    directory = write_keys(tmp_path, development=True)
    assert tfa.key_options(directory) == "KEY_ALG=rsa KEY_SIZE=4096"
    path = tmp_path / keys.MANIFEST
    path.write_text(path.read_text().replace("sha256,rsa4096", "sha256,ecdsa256"))
    assert tfa.key_options(directory) == "KEY_ALG=ecdsa KEY_SIZE=256"
    path.write_text(path.read_text().replace("sha256,ecdsa256", "sha512,rsa4096"))
    with pytest.raises(keys.KeyDirectoryError, match="is sha512,rsa4096: TF-A takes sha256"):
        tfa.key_options(directory)


@pytest.mark.parametrize("version", ["2.12.10", "2.13.9", "2.14.1", "2.14.2", "2.14+git", "git"])
def test_tf_a_that_does_not_check_bounds_is_patched(version: str) -> None:
    assert "CVE-2026-34878" in tfa.bounds_patch(version)


@pytest.mark.parametrize("version", ["2.8.45", "2.12.13", "2.14.3", "2.15", "2.15.0", "3.0"])
def test_tf_a_that_checks_bounds_is_not_patched(version: str) -> None:
    assert tfa.bounds_patch(version) == ""


def test_machine_without_a_tpm_is_told_once_for_each_missing_capability(
    good: checks.Configuration,
) -> None:
    found = checks.configuration(dataclasses.replace(good, capabilities=frozenset()))
    assert len(found) == 3


def test_production_keys_do_not_sign_development_images(
    good: checks.Configuration, tmp_path: Path
) -> None:
    directory = write_keys(tmp_path, development=False)
    assert (
        "holds production keys"
        in checks.configuration(dataclasses.replace(good, keys=directory))[0]
    )
    production = dataclasses.replace(good, keys=directory, profile="production")
    assert checks.configuration(production) == []


def test_unclear_manifest_counts_as_development(tmp_path: Path) -> None:
    directory = write_keys(tmp_path, development=True)
    path = tmp_path / keys.MANIFEST
    path.write_text(path.read_text().replace("true", '"no"'))
    assert keys.manifest(directory).development


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "cannot be read"),
        ("[]", "schema"),
        ('{"schema": "bootseal.keys/2"}', "schema"),
        ('{"schema": "bootseal.keys/1", "development": true, "keys": {}}', "role fit"),
        (
            '{"schema": "bootseal.keys/1", "keys": {"fit": {}, "policy": {}, "escrow": {}}}',
            "lacks 'development'",
        ),
    ],
    ids=["not JSON", "a list", "another schema", "no keys", "no answer"],
)
def test_manifest_that_is_none_is_refused(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / keys.MANIFEST).write_text(content)
    with pytest.raises(keys.KeyDirectoryError, match=said):
        keys.manifest(str(tmp_path))


def test_role_without_a_key_is_named(tmp_path: Path) -> None:
    directory = write_keys(tmp_path, development=True)
    path = tmp_path / keys.MANIFEST
    path.write_text(path.read_text().replace('"escrow"', '"other"'))
    with pytest.raises(keys.KeyDirectoryError, match=f"--only escrow {directory}"):
        keys.manifest(directory)


def test_name_of_a_key_that_an_older_directory_lacks_says_how_to_make_it(tmp_path: Path) -> None:
    directory = write_keys(tmp_path, development=True)
    path = tmp_path / keys.MANIFEST
    path.write_text(path.read_text().replace('"app"', '"other"'))
    with pytest.raises(keys.KeyDirectoryError, match=f"--only app {directory}"):
        keys.name(directory, "app")
    assert keys.name(directory, "fit") == "fit-1"


@pytest.mark.parametrize("name", ["fit-1.crt", "policy-1.pub", "escrow-1.crt"])
def test_missing_public_file_is_named(tmp_path: Path, name: str) -> None:
    directory = write_keys(tmp_path, development=True)
    (tmp_path / name).unlink()
    with pytest.raises(keys.KeyDirectoryError, match=f"whose {name} is missing"):
        keys.manifest(directory)


def test_checksums_cover_public_files_only(tmp_path: Path) -> None:
    directory = write_keys(tmp_path, development=True)
    names = [Path(entry.partition(":")[0]).name for entry in keys.checksums(directory).split()]
    assert names == ["keys.json", *(f"{r}-1.{end}" for r in keys.ROLES for end in ("crt", "pub"))]
    assert keys.name(directory, "fit") == "fit-1"
    assert keys.algorithm(directory, "policy") == "sha256,rsa4096"


@pytest.mark.parametrize(
    ("names", "tree"),
    [
        (None, ""),
        ("", ""),
        (" freescale/imx8mp-evk.dtb freescale/imx8mp-evk-rpmsg.dtb", "imx8mp-evk.dtb"),
        ("ti/k3-am62x-sk-csi2.dtbo ti/k3-am625-sk.dtb", "k3-am625-sk.dtb"),
        ("overlay.dtbo", ""),
    ],
    ids=["unset", "empty", "blank in front", "overlay in front", "overlays alone"],
)
def test_first_device_tree_of_the_machine(names: str | None, tree: str) -> None:
    assert fit.device_tree(names) == tree


def test_fragments_that_are_not_the_layers_are_the_boards() -> None:
    sources = (
        "git://host/u-boot.git;branch=master file://0001-a.patch file://verify.cfg"
        " file://board.cfg file://sub/vendor.cfg;apply=no file://late.cfg;subdir=more"
        " file:///product/files/own.cfg "
    )
    assert fragments.others(sources, " verify.cfg  env.cfg ") == [
        "board.cfg",
        "sub/vendor.cfg",
        "more/late.cfg",
        "own.cfg",
    ]


@pytest.mark.parametrize(
    ("features", "packages", "found"),
    [
        ("read-only-rootfs", "packagegroup-bootseal", []),
        ("read-only-rootfs empty-root-password", "", ["empty-root-password"]),
        ("serial-autologin-root", "bash", ["serial-autologin-root"]),
        ("", "bootseal-device bootseal-device-development", ["bootseal-device-development"]),
    ],
)
def test_recipe_that_offers_a_login_is_known_before_it_is_built(
    features: str, packages: str, found: list[str]
) -> None:
    assert image.logins(features.split(), packages.split()) == found
