# SPDX-License-Identifier: MIT
"""Kernel modules: signed by any signer as the kernel expects it, and checked."""
