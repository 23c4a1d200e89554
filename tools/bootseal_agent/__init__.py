# SPDX-License-Identifier: MIT
"""The device's side of updates: takes jobs of AWS IoT, has RAUC install them, says what came of it.

It needs Python's standard library and paho-mqtt, and nothing of `bootseal`.
"""

__version__ = "0.1.0"
