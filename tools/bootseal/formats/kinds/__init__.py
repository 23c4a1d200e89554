# SPDX-License-Identifier: MIT
"""Identifies kinds of file by their contents, before anything parses them."""
