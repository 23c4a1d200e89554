# SPDX-License-Identifier: MIT
"""The data partition is encrypted, open, and its key cannot be had a second time."""

from oeqa.runtime.bootseal_device import BootsealDeviceCase


class BootsealDataTest(BootsealDeviceCase):
    """The partition `data`, and the TPM's key to it."""

    requested = "encrypted-data"

    def test_data_is_open_by_the_tpm(self):
        self.assertEqual(self.status["data"]["state"], "open", self.status["data"]["reason"])
        self.assertEqual(self.status["data"]["token"], "systemd-tpm2")

    def test_data_is_encrypted(self):
        self.assertIn(" crypt ", f" {self.status['data']['table']} ")

    def test_data_is_mounted_without_programs_of_its_own(self):
        mounts = [m for m in self.status["mounts"] if m["target"] == "/data"]
        self.assertEqual(len(mounts), 1)
        self.assertEqual(mounts[0]["source"], "/dev/mapper/data")
        wanted = {"nosuid", "nodev", "noexec", "nosymfollow"}
        self.assertLessEqual(wanted, set(mounts[0]["options"]))

    def test_data_can_be_written(self):
        self.ran("touch /data/written && rm /data/written")

    def test_key_is_not_released_twice(self):
        # PCR 9 was extended once more after the data had been opened.
        self.refused(
            "/usr/lib/systemd/systemd-cryptsetup attach again /dev/disk/by-partlabel/data none"
            " tpm2-device=auto,headless=1"
        )
