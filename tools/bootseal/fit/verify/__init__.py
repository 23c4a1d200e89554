# SPDX-License-Identifier: MIT
"""Verify FITs: signatures, hashes, structure, and what other U-Boot releases would do."""
