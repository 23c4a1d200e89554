# SPDX-License-Identifier: MIT
"""`bootseal keys`."""
