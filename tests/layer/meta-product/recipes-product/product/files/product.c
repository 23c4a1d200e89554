// SPDX-License-Identifier: MIT
/* Has a name on the system bus, and one property: the secret that its first start made. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <systemd/sd-bus.h>

static char secret[33];

static int know_secret(const char *directory)
{
	unsigned char bytes[16];
	char path[256];
	FILE *file;
	int i;

	if ((size_t)snprintf(path, sizeof(path), "%s/key", directory) >= sizeof(path))
		return -ENAMETOOLONG;
	file = fopen(path, "r");
	if (file) {
		i = fscanf(file, "%32[0-9a-f]", secret);
		fclose(file);
		return i == 1 && strlen(secret) == 32 ? 0 : -EBADMSG;
	}
	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return -EIO;
	for (i = 0; i < 16; i++)
		sprintf(secret + 2 * i, "%02x", bytes[i]);
	file = fopen(path, "wx");
	if (!file || fprintf(file, "%s\n", secret) < 0 || fclose(file))
		return -errno;
	return 0;
}

static int get_key(sd_bus *bus, const char *path, const char *interface, const char *property,
		   sd_bus_message *reply, void *data, sd_bus_error *error)
{
	return sd_bus_message_append(reply, "s", secret);
}

static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Key", "s", get_key, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_VTABLE_END,
};

int main(void)
{
	const char *directory = getenv("STATE_DIRECTORY");
	sd_bus *bus = NULL;
	int error = directory ? know_secret(directory) : -ENOENT;

	if (!error)
		error = sd_bus_open_system(&bus);
	if (error >= 0)
		error = sd_bus_add_object_vtable(bus, NULL, "/com/example/Product",
						 "com.example.Product", vtable, NULL);
	if (error >= 0)
		error = sd_bus_request_name(bus, "com.example.Product", 0);
	while (error >= 0) {
		error = sd_bus_process(bus, NULL);
		if (error == 0)
			error = sd_bus_wait(bus, UINT64_MAX);
	}
	fprintf(stderr, "product: %s\n", strerror(-error));
	return 1;
}
