# SPDX-License-Identifier: MIT
#
# The machine declares what it can do, the product requests what it wants, and before anything is
# parsed or built the two are compared. A request that cannot be met ends the build: it is never
# left out in silence.

BOOTSEAL_CAPABILITIES ?= ""
BOOTSEAL_CAPABILITIES[doc] = "What the machine can do: verified-boot slots tpm2 rom"
BOOTSEAL_REQUESTS ?= ""
BOOTSEAL_REQUESTS[doc] = "What the product wants beyond verified boot: measured-boot encrypted-data rom greengrass updates apps modules"
BOOTSEAL_COMPATIBLE ?= "bootseal-${MACHINE}"
BOOTSEAL_COMPATIBLE[doc] = "What bundles have to name as theirs: bootseal update bundle --compatible"
BOOTSEAL_STATE ?= ""
BOOTSEAL_STATE[doc] = "What is kept on the data partition: directories such as /var/lib/app, and /etc/machine-id"
BOOTSEAL_VAR_SIZE ?= "10%"
BOOTSEAL_VAR_SIZE[doc] = "Most that /var takes of the memory: per cent, or bytes with K, M or G"
BOOTSEAL_WATCHDOG ?= ""
BOOTSEAL_WATCHDOG[doc] = "Seconds after which the hardware's watchdog restarts a system that hangs; empty for none"
BOOTSEAL_PROFILE ?= ""
BOOTSEAL_PROFILE[doc] = "Profile the keys must have: dev or production"
BOOTSEAL_KEYS ?= ""
BOOTSEAL_KEYS[doc] = "Directory that `bootseal keys generate` made"

addhandler bootseal_check
bootseal_check[doc] = "Refuse a configuration that asks for more than there is"
bootseal_check[eventmask] = "bb.event.SanityCheck"
python bootseal_check() {
    from bootseal_layer import checks

    problems = checks.configuration(checks.Configuration.read(e.data))
    if problems:
        bb.fatal("bootseal: " + "\nbootseal: ".join(problems))
}
