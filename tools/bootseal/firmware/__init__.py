# SPDX-License-Identifier: MIT
"""Signs and verifies the firmware image packages (FIPs) of Trusted Firmware-A."""
