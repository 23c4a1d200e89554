# SPDX-License-Identifier: MIT
"""What an attacker does to a scenario's disk, TPM and boot loader."""
