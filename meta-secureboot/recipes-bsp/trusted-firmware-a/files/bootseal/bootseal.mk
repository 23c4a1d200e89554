# SPDX-License-Identifier: MIT
#
# Included last by the qemu platform: puts the files of this directory in the place of the
# platform's own. Semihosting is left out of every stage: images come from the FIP alone.

ifneq (${MEASURED_BOOT},0)
$(error "bootseal measures by itself: MEASURED_BOOT must be 0")
endif

BOOTSEAL_PATH		:=	plat/qemu/bootseal

BOOTSEAL_WITHOUT	:=	drivers/io/io_semihosting.c			\
				lib/semihosting/semihosting.c			\
				lib/semihosting/${ARCH}/semihosting_call.S	\
				plat/common/tbbr/plat_tbbr.c			\
				${PLAT_QEMU_COMMON_PATH}/qemu_io_storage.c	\
				${PLAT_QEMU_COMMON_PATH}/qemu_trusted_boot.c

BOOTSEAL_SOURCES	:=	${BOOTSEAL_PATH}/bootseal_bank.c		\
				${BOOTSEAL_PATH}/bootseal_disk.c		\
				${BOOTSEAL_PATH}/bootseal_fip.c			\
				${BOOTSEAL_PATH}/bootseal_log.c			\
				${BOOTSEAL_PATH}/bootseal_panic.S		\
				${BOOTSEAL_PATH}/bootseal_plat.c		\
				${BOOTSEAL_PATH}/bootseal_time.c		\
				${BOOTSEAL_PATH}/bootseal_tpm.c

PLAT_INCLUDES		+=	-I${BOOTSEAL_PATH}

BL1_SOURCES		:=	$(filter-out ${BOOTSEAL_WITHOUT},${BL1_SOURCES}) ${BOOTSEAL_SOURCES}
BL2_SOURCES		:=	$(filter-out ${BOOTSEAL_WITHOUT},${BL2_SOURCES}) ${BOOTSEAL_SOURCES}
BL31_SOURCES		:=	$(filter-out ${BOOTSEAL_WITHOUT},${BL31_SOURCES})
