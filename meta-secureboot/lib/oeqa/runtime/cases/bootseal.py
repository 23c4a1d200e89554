# SPDX-License-Identifier: MIT
"""The kernel of a secure boot device protects itself, and nothing else was started."""

from oeqa.runtime.bootseal_device import BootsealDeviceCase


class BootsealTest(BootsealDeviceCase):
    """Lockdown, modules, memory, and the signed command line."""

    def test_kernel_is_locked_down(self):
        self.assertEqual(self.status["lockdown"], "integrity")

    def test_unsigned_modules_are_refused(self):
        self.assertEqual(self.ran("cat /sys/module/module/parameters/sig_enforce").strip(), "Y")

    def test_memory_cannot_be_read(self):
        self.refused("head -c 1 /dev/mem")

    def test_kernel_memory_cannot_be_read(self):
        self.refused("head -c 1 /proc/kcore")

    def test_command_line_is_the_signed_one(self):
        words = self.ran("cat /proc/cmdline").split()
        self.assertEqual(words.count(f"bootseal.slot={self.slot['name']}"), 1)
        self.assertEqual(words.count(f"bootseal.roothash={self.slot['root_hash']}"), 1)
        self.assertFalse([word for word in words if word.startswith(("init=", "rdinit="))])
