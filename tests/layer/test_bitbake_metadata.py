# SPDX-License-Identifier: MIT
"""Real bitbake reads the layer: it parses, resolves, orders its tasks and refuses what it must."""

from __future__ import annotations

import re
import shutil
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.layer.conftest import Build

pytestmark = [pytest.mark.bitbake, pytest.mark.timeout(7200)]

LAYER = Path(__file__).parents[2] / "meta-secureboot"
# Fragments are read when the machine is known.
FRAGMENTS = "OE_FRAGMENTS += 'bootseal/bootseal/"
WHOLE = f"{FRAGMENTS}measured-boot'\n{FRAGMENTS}encrypted-data'\n"
DEV = f"{FRAGMENTS}dev-keys'\nBOOTSEAL_KEYS = '@KEYS@'\n"
# What the image is made of, first to last; each must be reachable from the next.
ORDER = (
    "bootseal-image.do_rootfs",
    "bootseal-image.do_image_erofs_lz4hc",
    "bootseal-image.do_bootseal_verity",
    "bootseal-image.do_bootseal_fit",
    "bootseal-image.do_bootseal_policy",
    "bootseal-image.do_image_wic",
    "bootseal-image.do_bootseal_device",
    "bootseal-image.do_bootseal_check",
    "bootseal-image.do_image_complete",
)


def graph(text: str) -> dict[str, set[str]]:
    """Return who needs whom, of bitbake's task-depends.dot."""
    edges: dict[str, set[str]] = {}
    for user, needed in re.findall(r'^"([^"]+)" -> "([^"]+)"$', text, re.MULTILINE):
        edges.setdefault(user, set()).add(needed)
    return edges


def reaches(edges: dict[str, set[str]], start: str, goal: str) -> bool:
    """Say whether `start` needs `goal`, directly or not."""
    seen, waiting = {start}, [start]
    while waiting:
        new = edges.get(waiting.pop(), set()) - seen
        seen |= new
        waiting += new
    return goal in seen


def test_every_recipe_parses_without_a_word_about_this_layer(whole: Build, keys: Path) -> None:
    whole.configure(WHOLE + DEV.replace("@KEYS@", str(keys)))
    done = whole.bitbake("-p")
    assert done.code == 0, done.text
    assert ", 0 errors." in done.text
    assert [line for line in done.complaints if "bootseal" in line] == []


def test_the_image_resolves_and_its_tasks_are_in_order(whole: Build, keys: Path) -> None:
    whole.configure(WHOLE + DEV.replace("@KEYS@", str(keys)))
    done = whole.bitbake("-g", "bootseal-image")
    assert done.code == 0, done.text
    assert [line for line in done.complaints if line.startswith("ERROR")] == []
    edges = graph((whole.directory / "task-depends.dot").read_text())
    for earlier, later in pairwise(ORDER):
        assert reaches(edges, later, earlier), f"{later} does not wait for {earlier}"
        assert not reaches(edges, earlier, later), f"{earlier} and {later} wait for each other"
    assert reaches(edges, "bootseal-image.do_bootseal_fit", "u-boot.do_bootseal_key_check")


@pytest.mark.parametrize(
    ("recipe", "wanted"),
    [
        ("u-boot", {"UBOOT_SIGN_ENABLE": "1", "UBOOT_SIGN_KEYNAME": "DEV-fit-1"}),
        ("u-boot", {"FIT_HASH_ALG": "sha256", "FIT_SIGN_ALG": "rsa4096"}),
        ("bootseal-image", {"IMAGE_FSTYPES": "erofs-lz4hc wic"}),
        ("bootseal-image", {"WKS_FILE": "bootseal-ab.wks", "BOOTSEAL_FIT_KEY": "DEV-fit-1"}),
    ],
)
def test_final_value(whole: Build, keys: Path, recipe: str, wanted: dict[str, str]) -> None:
    whole.configure(WHOLE + DEV.replace("@KEYS@", str(keys)))
    assert whole.values(recipe, *wanted) == wanted


def test_a_layout_that_is_a_template_is_filled_in_before_it_is_read(
    whole: Build, keys: Path
) -> None:
    template = whole.directory.parent / "product.wks.in"
    shutil.copy(LAYER / "files/wic/bootseal-ab.wks", template)
    layout = f'BOOTSEAL_WKS = "{template}"\n'
    whole.configure(WHOLE + DEV.replace("@KEYS@", str(keys)) + layout)
    done = whole.bitbake("-g", "bootseal-image")
    assert done.code == 0, done.text
    edges = graph((whole.directory / "task-depends.dot").read_text())
    policy = "bootseal-image.do_bootseal_policy"
    assert "bootseal-image.do_write_wks_template" in edges[policy]


def test_disk_layout_of_the_machine_is_not_that_of_the_device(whole: Build, keys: Path) -> None:
    # BSPs set it for their own images, in a file that is read before every class.
    local = WHOLE + DEV.replace("@KEYS@", str(keys)) + 'WKS_FILE ?= "sdimage-raspberrypi.wks"\n'
    whole.configure(local)
    assert whole.values("bootseal-image", "WKS_FILE") == {"WKS_FILE": "bootseal-ab.wks"}
    whole.configure(f'{local}BOOTSEAL_WKS = "product.wks"\n')
    assert whole.values("bootseal-image", "WKS_FILE") == {"WKS_FILE": "product.wks"}


@pytest.mark.parametrize(
    ("recipe", "variable", "words"),
    [
        ("u-boot", "SRC_URI", ["0001-boot-fit-put-a-gate", "bootseal.env", "verify.cfg"]),
        ("linux-yocto", "SRC_URI", ["verity.cfg", "lockdown.cfg", "tpm.cfg", "crypt.cfg"]),
        ("linux-yocto", "SRC_URI", ["modules-build.cfg"]),
        ("systemd", "PACKAGECONFIG", ["cryptsetup", "repart", "tpm2"]),
    ],
)
def test_the_layer_changes_a_recipe_only_with_the_feature(
    whole: Build, keys: Path, recipe: str, variable: str, words: list[str]
) -> None:
    whole.configure(WHOLE + DEV.replace("@KEYS@", str(keys)))
    with_feature = whole.values(recipe, variable)[variable]
    assert [word for word in words if word not in with_feature] == []
    whole.configure("")
    without_feature = whole.values(recipe, variable)[variable]
    assert [word for word in words if word in without_feature.split("/")] == []
    assert "bootseal" not in without_feature


def test_modules_are_signed_in_the_root_where_that_is_requested(whole: Build, keys: Path) -> None:
    local = WHOLE + DEV.replace("@KEYS@", str(keys))
    names = ("SRC_URI", "BOOTSEAL_CONFIG_REQUIRED", "do_compile")
    images = ("bootseal-image", "bootseal-initramfs")
    whole.configure(local)
    for image in images:
        assert "modules_sign" not in post_processing(whole, image)
    whole.configure(f"{local}{FRAGMENTS}modules'\n")
    kernel = whole.values("linux-yocto", *names)
    assert "file://modules-key.cfg" in kernel["SRC_URI"]
    assert "modules-key.cfg" in kernel["BOOTSEAL_CONFIG_REQUIRED"]
    assert "modules-build.cfg" not in kernel["SRC_URI"] + kernel["BOOTSEAL_CONFIG_REQUIRED"]
    assert "DEV-modules-1.crt" in kernel["do_compile"]
    for image in images:
        # Behind everything that could still change them.
        assert post_processing(whole, image).split()[-1] == "bootseal_modules_sign"


def post_processing(build: Build, image: str) -> str:
    return build.values(image, "ROOTFS_POSTPROCESS_COMMAND")["ROOTFS_POSTPROCESS_COMMAND"]


@pytest.mark.parametrize(
    ("local", "message"),
    [
        (
            "require conf/distro/include/bootseal.inc\n",
            "BOOTSEAL_PROFILE is ''. Use one of the fragments",
        ),
        (DEV.replace("dev-keys", "production"), "development keys"),
        (DEV.replace("@KEYS@", "/nowhere"), "/nowhere, and there are no keys"),
        (
            f"{DEV}BOOTSEAL_CAPABILITIES:forcevariable = 'verified-boot slots'\n",
            "does not declare tpm2",
        ),
        (f"{DEV}BOOTSEAL_REQUESTS:append = ' mesured-boot'\n", "did you mean measured-boot?"),
    ],
    ids=["no profile", "dev keys in production", "no keys", "no TPM", "misspelt request"],
)
def test_a_build_that_cannot_be_what_was_asked_for_ends_at_once(
    debhost: Build, keys: Path, local: str, message: str
) -> None:
    debhost.configure(
        WHOLE + local.replace("@KEYS@", str(keys)) + "require conf/debhost.inc\n",
        layers=(LAYER, Path(__file__).parent / "meta-debhost"),
    )
    done = debhost.bitbake("-n", "bootseal-image")
    assert done.code != 0
    assert message in " ".join(done.complaints) + done.text
    # Refused before anything was built, and not by a crash of ours.
    assert "Running task" not in done.text
    assert "Traceback" not in done.text


def test_a_machine_of_another_architecture_is_refused(debhost: Build, keys: Path) -> None:
    local = WHOLE + DEV.replace("@KEYS@", str(keys)) + "require conf/debhost.inc\n"
    layers = (LAYER, Path(__file__).parent / "meta-debhost")
    debhost.configure(f"{local}MACHINE = 'qemux86-64'\n", layers=layers)
    done = debhost.bitbake("-n", "bootseal-image")
    assert done.code != 0
    assert "the machine qemux86-64 is x86_64" in done.text
    assert "BOOTSEAL_CAPABILITIES" not in done.text


def test_a_first_stage_in_a_multiconfig_is_left_alone(debhost: Build, keys: Path) -> None:
    conf = debhost.directory / "conf/multiconfig"
    conf.mkdir(parents=True, exist_ok=True)
    (conf / "first.conf").write_text('TMPDIR = "${TOPDIR}/tmp-first"\n')
    debhost.own(conf, *conf.iterdir())
    local = WHOLE + DEV.replace("@KEYS@", str(keys)) + "require conf/debhost.inc\n"
    layers = (LAYER, Path(__file__).parent / "meta-debhost")
    debhost.configure(f"{local}BBMULTICONFIG = 'first'\n", layers=layers)
    sources = {}
    for target in ("u-boot", "mc:first:u-boot"):
        done = debhost.bitbake("-e", target)
        assert done.code == 0, done.text
        (sources[target],) = re.findall(r'^SRC_URI="(.*)"$', done.text, re.MULTILINE)
    assert "0001-boot-fit-put-a-gate" in sources["u-boot"]
    assert "bootseal" not in sources["mc:first:u-boot"]
    assert ".cfg" not in sources["mc:first:u-boot"].replace("disable-CONFIG_BLOBLIST.cfg", "")


def test_yocto_check_layer_passes(checked: Build, oe_sources: Path) -> None:
    world = (Path(__file__).parent / "world.conf").read_text()
    checked.configure(world, layers=(), base=("openembedded-core/meta",))
    others = [
        str(oe_sources / name)
        for name in (
            "meta-openembedded/meta-oe",
            "meta-openembedded/meta-python",
            "meta-security/meta-tpm",
        )
    ]
    shutil.rmtree(checked.directory / "tmp", ignore_errors=True)
    options = ["--no-auto-dependency", "--dependency", *others, "--"]
    done = checked.run("yocto-check-layer", *options, str(LAYER))
    assert done.code == 0, done.text
    assert re.search(r"meta-secureboot \.\.\. PASS", done.text), done.text
