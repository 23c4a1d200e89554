# SPDX-License-Identifier: MIT
"""Disks: the declared partition layout and what is on a finished disk."""
