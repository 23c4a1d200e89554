/* SPDX-License-Identifier: MIT */
/* What TF-A asks of a platform, as far as loading and verifying images goes. */

#ifndef PLATFORM_H
#define PLATFORM_H

#include <cdefs.h>
#include <stddef.h>
#include <stdint.h>

#include <drivers/auth/img_parser_mod.h>

#define ROTPK_IS_HASH		(1 << 0)
#define ROTPK_NOT_DEPLOYED	(1 << 1)

struct auth_img_desc_s;
struct image_desc;
struct image_info;
struct entry_point_info;

struct plat_try_images_ops {
	int (*next_instance)(unsigned int image_id);
};
extern const struct plat_try_images_ops *plat_try_img_ops;

int plat_get_image_source(unsigned int image_id, uintptr_t *dev_handle, uintptr_t *image_spec);
void plat_error_handler(int err) __dead2;
int plat_get_rotpk_info(void *cookie, void **key_ptr, unsigned int *key_len, unsigned int *flags);
int plat_get_nv_ctr(void *cookie, unsigned int *nv_ctr);
int plat_set_nv_ctr(void *cookie, unsigned int nv_ctr);
int plat_set_nv_ctr2(void *cookie, const struct auth_img_desc_s *img_desc, unsigned int nv_ctr);
int plat_convert_pk(void *full_pk_ptr, unsigned int full_pk_len, void **hashed_pk_ptr,
		    unsigned int *hash_pk_len);
int plat_get_mbedtls_heap(void **heap_addr, size_t *heap_size);
struct image_desc *bl1_plat_get_image_desc(unsigned int image_id);
void bl1_plat_set_ep_info(unsigned int image_id, struct entry_point_info *ep_info);

static inline int plat_mboot_measure_image(unsigned int image_id, struct image_info *image)
{
	(void)image_id;
	(void)image;
	return 0;
}

static inline int plat_mboot_measure_key(const void *pk_oid, const void *pk_ptr, size_t pk_len)
{
	(void)pk_oid;
	(void)pk_ptr;
	(void)pk_len;
	return 0;
}

#endif
