# SPDX-License-Identifier: MIT
"""The reference device, made from Debian's own packages with the layer's files."""
