# SPDX-License-Identifier: MIT
"""Put a device together from its parts; bitbake and the reference build share it."""
