# SPDX-License-Identifier: MIT
"""Builds the secure boot image, changes what came out, and expects refusals.

oe-selftest -r bootseal
"""

import shutil
from pathlib import Path

from oeqa.selftest.case import OESelftestTestCase
from oeqa.utils.commands import bitbake, get_bb_var, get_bb_vars, runCmd

REFUSED = 3
IMAGE = "bootseal-image"


class BootsealBuild(OESelftestTestCase):
    """What a build must not let through."""

    def failing_build(self, target):
        """Return what a build said that must not succeed."""
        result = bitbake(target, ignore_status=True)
        self.assertNotEqual(result.status, 0, f"{target} was built: {result.output}")
        return result.output

    def test_missing_keys_end_the_build(self):
        self.write_config('BOOTSEAL_KEYS = "${TOPDIR}/no-such-keys"')
        said = self.failing_build(IMAGE)
        self.assertIn("bootseal keys generate", said)

    def test_development_keys_are_refused_in_production(self):
        self.write_config('BOOTSEAL_PROFILE:forcevariable = "production"')
        self.assertIn("holds development keys", self.failing_build(IMAGE))

    def test_machine_without_a_tpm_cannot_have_encrypted_data(self):
        self.write_config(
            'BOOTSEAL_REQUESTS:forcevariable = "measured-boot encrypted-data"\n'
            'BOOTSEAL_CAPABILITIES:forcevariable = "verified-boot slots"'
        )
        self.assertIn("does not declare tpm2", self.failing_build(IMAGE))

    def test_setting_that_did_not_stick_ends_the_build(self):
        for recipe in ("virtual/bootloader", "virtual/kernel"):
            bitbake(f"-c configure {recipe}")
            config = Path(get_bb_var("B", recipe)) / ".config"
            text = config.read_text()
            lost = (
                "CONFIG_FIT_SIGNATURE" if "CONFIG_FIT_SIGNATURE=y" in text else "CONFIG_DM_VERITY"
            )
            config.write_text(text.replace(f"{lost}=y", f"# {lost} is not set"))
            try:
                said = self.failing_build(f"-C bootseal_config_check {recipe}")
            finally:
                bitbake(f"-c clean {recipe}")
            self.assertIn(f"{lost} should be y, found n", said)

    def test_board_that_contradicts_the_layer_ends_the_build(self):
        directory = Path(self.builddir) / "bootseal-fragment"
        directory.mkdir()
        self.track_for_cleanup(str(directory))
        (directory / "contradiction.cfg").write_text("# CONFIG_FIT_SIGNATURE is not set\n")
        self.write_config(
            f'FILESEXTRAPATHS:prepend = "{directory}:"\n'
            'BOOTSEAL_UBOOT_BOARD_FILES:append = " contradiction.cfg"'
        )
        said = self.failing_build("-c bootseal_config_check virtual/bootloader")
        self.assertIn("contradiction.cfg:1: CONFIG_FIT_SIGNATURE should be y, as ", said)

    def test_boot_loader_without_the_key_ends_the_build(self):
        bitbake("-c uboot_assemble_fitimage virtual/bootloader")
        control = Path(get_bb_var("B", "virtual/bootloader")) / "u-boot.dtb"
        control.unlink()
        try:
            said = self.failing_build("-C bootseal_key_check virtual/bootloader")
        finally:
            bitbake("-c clean virtual/bootloader")
        self.assertIn("holds no key and would verify nothing", said)


class BootsealImage(OESelftestTestCase):
    """What was built is accepted; the same with one byte changed is not."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        bitbake(IMAGE)
        values = get_bb_vars(["DEPLOY_DIR_IMAGE", "RECIPE_SYSROOT_NATIVE"], IMAGE)
        cls.sysroot = values["RECIPE_SYSROOT_NATIVE"]
        cls.built = Path(values["DEPLOY_DIR_IMAGE"]) / IMAGE

    def setUp(self):
        super().setUp()
        self.device = Path(self.builddir) / "bootseal-selftest"
        self.track_for_cleanup(str(self.device))
        shutil.copytree(self.built, self.device)

    def bootseal(self, arguments):
        """Return the exit code of the tool that the build itself uses."""
        result = runCmd(f"bootseal {arguments}", ignore_status=True, native_sysroot=self.sysroot)
        return result.status

    def change(self, name, pattern):
        """Flip a bit behind the first occurrence of some bytes in a file of the device."""
        path = self.device / name
        data = bytearray(path.read_bytes())
        offset = data.index(pattern) + len(pattern)
        data[offset] ^= 1
        path.write_bytes(data)

    def fit_verdict(self):
        return self.bootseal(f"fit verify {self.device}/fit.itb --dtb {self.device}/u-boot.bin")

    def test_built_fit_is_accepted(self):
        self.assertEqual(self.fit_verdict(), 0)

    def test_changed_root_hash_is_refused(self):
        self.change("fit.itb", b"bootseal.roothash=")
        self.assertEqual(self.fit_verdict(), REFUSED)

    def test_changed_kernel_is_refused(self):
        self.change("fit.itb", (self.device / "Image.gz").read_bytes()[4096:4128])
        self.assertEqual(self.fit_verdict(), REFUSED)

    def test_fit_is_refused_by_a_boot_loader_with_another_key(self):
        runCmd(
            f"bootseal keys generate --profile dev {self.device}/other --only root --only fit",
            native_sysroot=self.sysroot,
        )
        key = f"{self.device}/other/DEV-fit-1.key"
        sign = f"fit sign {self.device}/fit.itb --key {key} --hint DEV-fit-1"
        self.assertEqual(self.bootseal(sign), 0)
        self.assertEqual(self.fit_verdict(), REFUSED)

    def test_built_disk_is_accepted(self):
        self.assertEqual(self.bootseal(f"disk check {self.device}"), 0)

    def test_changed_root_is_refused(self):
        self.change("disk.img", (self.device / "root.erofs").read_bytes()[1 << 20 : (1 << 20) + 64])
        self.assertEqual(self.bootseal(f"disk check {self.device}"), REFUSED)
