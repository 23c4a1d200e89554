# SPDX-License-Identifier: MIT
"""What is wrong with an input, or worth knowing about it."""
