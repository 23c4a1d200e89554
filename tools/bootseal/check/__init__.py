# SPDX-License-Identifier: MIT
"""Check a finished disk against what was declared, offline."""
