# SPDX-License-Identifier: MIT
"""What the layer's classes compute: checked by ordinary unit tests, called by bitbake."""

# Read by bitbake's `addpylib`.
BBIMPORTS = ["apps", "checks", "fit", "fragments", "image", "keys", "rules", "sbom", "state", "tfa"]
