# SPDX-License-Identifier: MIT
"""Signed statements about what a release is and what it was made from, and their check."""
