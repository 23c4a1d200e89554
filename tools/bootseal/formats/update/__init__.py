# SPDX-License-Identifier: MIT
"""Update bundles: the file, its signature and its manifest."""
