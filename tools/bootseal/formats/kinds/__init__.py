# SPDX-License-Identifier: MIT
"""Tells kinds of file apart by what is in them, before anything parses them."""
