# SPDX-License-Identifier: MIT
"""The control device trees inside packed U-Boots: FITs and legacy uImages."""
