# SPDX-License-Identifier: MIT
"""A running device compared with the device.json that its image was deployed with."""

import json
from pathlib import Path

from oeqa.runtime.case import OERuntimeTestCase


class BootsealDeviceCase(OERuntimeTestCase):
    """What the device says of itself, and what it was built to be.

    Any target that runs commands will do; a secure boot image has no network, so use
    TEST_TARGET = "serial" with an image that offers a shell.
    """

    requested = ""
    """A word of BOOTSEAL_REQUESTS without which there is nothing to test."""

    def setUp(self):
        """Read both documents."""
        super().setUp()
        if self.requested not in self.td.get("BOOTSEAL_REQUESTS", ""):
            self.skipTest(f"{self.requested} was not requested")
        self.status = json.loads(self.ran("bootseal-status"))
        self.built = json.loads(self.device_json().read_text())
        named = {slot["name"]: slot for slot in self.built["slots"]}
        self.assertIn(self.status["slot"], named, "the device runs from a slot nobody built")
        self.slot = named[self.status["slot"]]

    def device_json(self):
        """Return where the image recipe deployed it."""
        directory = Path(self.td["DEPLOY_DIR_IMAGE"]) / self.td["IMAGE_BASENAME"]
        return directory / "device.json"

    def ran(self, command):
        """Return what a command printed; it must succeed."""
        status, output = self.target.run(command)
        self.assertEqual(status, 0, f"{command}: {output}")
        return output

    def refused(self, command):
        """Run a command that must fail, and return what it said."""
        status, output = self.target.run(command)
        self.assertNotEqual(status, 0, f"{command} was not refused: {output}")
        return output
