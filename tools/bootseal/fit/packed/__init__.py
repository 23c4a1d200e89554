# SPDX-License-Identifier: MIT
"""The control device trees inside what a U-Boot is packed into: FITs and legacy uImages."""
