# SPDX-License-Identifier: MIT
"""The virtual device: QEMU, its software TPM, its console."""
