# SPDX-License-Identifier: MIT
"""Boot a device in QEMU with a software TPM, watch it, and attack it."""
