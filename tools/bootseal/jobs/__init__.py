# SPDX-License-Identifier: MIT
"""Jobs of AWS IoT for devices: a plan that can be read, and what runs and follows it."""
