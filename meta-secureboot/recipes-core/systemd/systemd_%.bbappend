# SPDX-License-Identifier: MIT
# systemd-repart makes the data partition, systemd-cryptsetup opens it with the TPM.
PACKAGECONFIG:append = " ${@bb.utils.contains('DISTRO_FEATURES', 'secureboot', 'cryptsetup cryptsetup-plugins openssl repart tpm2', '', d)}"
