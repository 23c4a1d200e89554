# SPDX-License-Identifier: MIT
"""Re-sign a finished disk with the keys of another machine."""
