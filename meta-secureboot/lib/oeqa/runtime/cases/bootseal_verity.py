# SPDX-License-Identifier: MIT
"""The root file system is the one that was built, and every block of it is checked."""

from oeqa.runtime.bootseal_device import BootsealDeviceCase


class BootsealVerityTest(BootsealDeviceCase):
    """The mapping below the root, and what cannot be done to it."""

    def test_root_is_on_verity_with_the_built_root_hash(self):
        table = self.status["root"]["table"].split()
        self.assertIn("verity", table)
        self.assertIn(self.slot["root_hash"], table)
        self.assertEqual(self.status["root"]["hash"], self.slot["root_hash"])

    def test_corruption_restarts_the_device(self):
        self.assertIn("restart_on_corruption", self.status["root"]["table"])

    def test_root_is_mounted_read_only(self):
        self.assertEqual(self.status["root"]["device"], "/dev/mapper/root")
        self.assertIn("ro", self.status["root"]["options"])

    def test_root_cannot_be_made_writable(self):
        self.refused("mount -o remount,rw /")
        self.refused("touch /etc/written")
