# SPDX-License-Identifier: MIT
#
# For recipes that use a key: its name and algorithm, and its content in the hash of the tasks that
# depend on it. The private key is only ever opened by the bootseal program.

BOOTSEAL_FIT_KEY = "${@bootseal_layer.keys.name(d.getVar('BOOTSEAL_KEYS'), 'fit')}"
BOOTSEAL_FIT_KEY[doc] = "Name of the key that signs FITs, and its hint in them"
BOOTSEAL_POLICY_KEY = "${@bootseal_layer.keys.name(d.getVar('BOOTSEAL_KEYS'), 'policy')}"
BOOTSEAL_POLICY_KEY[doc] = "Name of the key that signs PCR policies"
BOOTSEAL_ESCROW_KEY = "${@bootseal_layer.keys.name(d.getVar('BOOTSEAL_KEYS'), 'escrow')}"
BOOTSEAL_ESCROW_KEY[doc] = "Name of the key that recovery keys are encrypted to"
BOOTSEAL_FIT_ALGORITHM = "${@bootseal_layer.keys.algorithm(d.getVar('BOOTSEAL_KEYS'), 'fit')}"
BOOTSEAL_FIT_ALGORITHM[doc] = "Algorithm of the FIT key, as U-Boot names it"

BOOTSEAL_MRK_KEY = "${@bootseal_layer.keys.name(d.getVar('BOOTSEAL_KEYS'), 'mrk')}"
BOOTSEAL_MRK_KEY[doc] = "Name of the master root key, whose hash is in the boot ROM"
BOOTSEAL_UPDATE_CA_KEY = "${@bootseal_layer.keys.name(d.getVar('BOOTSEAL_KEYS'), 'update-ca')}"
BOOTSEAL_UPDATE_CA_KEY[doc] = "Name of the authority of the keys that sign updates"
BOOTSEAL_APP_KEY = "${@bootseal_layer.keys.name(d.getVar('BOOTSEAL_KEYS'), 'app')}"
BOOTSEAL_APP_KEY[doc] = "Name of the key that signs applications"
BOOTSEAL_MODULES_KEY = "${@bootseal_layer.keys.name(d.getVar('BOOTSEAL_KEYS'), 'modules')}"
BOOTSEAL_MODULES_KEY[doc] = "Name of the key that signs kernel modules"

BOOTSEAL_KEY_CHECKSUMS = "${@bootseal_layer.keys.checksums(d.getVar('BOOTSEAL_KEYS'))}"
BOOTSEAL_FIRMWARE_KEY_CHECKSUMS = "${@bootseal_layer.keys.checksums(d.getVar('BOOTSEAL_KEYS'), bootseal_layer.keys.FIRMWARE_ROLES)}"
BOOTSEAL_UPDATE_KEY_CHECKSUMS = "${@bootseal_layer.keys.checksums(d.getVar('BOOTSEAL_KEYS'), bootseal_layer.keys.UPDATE_ROLES)}"
BOOTSEAL_APP_KEY_CHECKSUMS = "${@bootseal_layer.keys.checksums(d.getVar('BOOTSEAL_KEYS'), bootseal_layer.keys.APP_ROLES)}"
BOOTSEAL_MODULES_KEY_CHECKSUMS = "${@bootseal_layer.keys.checksums(d.getVar('BOOTSEAL_KEYS'), bootseal_layer.keys.MODULES_ROLES)}"

# nooelint: oelint.task.noanonpython - there is no other place to say what parsing depends on
python __anonymous() {
    # A rotation changes names that were read while this recipe was parsed.
    keys = d.getVar("BOOTSEAL_KEYS")
    if keys:
        bb.parse.mark_dependency(d, os.path.join(keys, bootseal_layer.keys.MANIFEST))
}
