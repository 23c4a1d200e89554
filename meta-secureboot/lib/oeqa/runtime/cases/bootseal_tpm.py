# SPDX-License-Identifier: MIT
"""The TPM holds what the build predicted."""

import hashlib

from oeqa.runtime.bootseal_device import BootsealDeviceCase

CAPPED = "9"
CAP = hashlib.sha256(b"capped").digest()


class BootsealTpmTest(BootsealDeviceCase):
    """Platform configuration registers and the event log."""

    requested = "measured-boot"

    def test_measurements_are_the_predicted_ones(self):
        for pcr, predicted in self.slot["pcrs"].items():
            if pcr == CAPPED:
                continue
            self.assertEqual(self.status["pcrs"].get(pcr), predicted, f"PCR {pcr}")

    def test_policy_is_closed_for_the_rest_of_the_boot(self):
        predicted = bytes.fromhex(self.slot["pcrs"][CAPPED])
        capped = hashlib.sha256(predicted + CAP).hexdigest()
        self.assertEqual(self.status["pcrs"].get(CAPPED), capped)

    def test_no_measurement_was_left_out(self):
        # A boot loader that could not measure leaves zeros, which Linux could then extend at will.
        for pcr in self.slot["pcrs"]:
            self.assertNotEqual(int(self.status["pcrs"][pcr], 16), 0, f"PCR {pcr}")

    def test_event_log_reached_linux(self):
        self.assertGreater(self.status["event_log_size"], 0)
