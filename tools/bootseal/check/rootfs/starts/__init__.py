# SPDX-License-Identifier: MIT
"""What starts programs in a root file system, and whether it refers to unsigned files."""
