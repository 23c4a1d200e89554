# SPDX-License-Identifier: MIT
"""The data partition: empty, wiped, or the LUKS2 volume that the device makes."""
