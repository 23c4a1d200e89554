// SPDX-License-Identifier: MIT
/*
 * Greets each client of the socket in its state directory, with the number of its starts, which
 * it keeps there. On the device that is /data/app-state/hello/socket, for root.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int fail(const char *what)
{
	fprintf(stderr, "hello: %s: %s\n", what, strerror(errno));
	return 1;
}

/* A count that cannot be read begins anew; one that is there stays whole if the power fails. */
static int count_start(unsigned int *count)
{
	FILE *file = fopen("starts", "r");

	if (!file || fscanf(file, "%9u", count) != 1)
		*count = 0;
	if (file)
		fclose(file);
	++*count;

	file = fopen("starts.new", "w");
	if (!file)
		return -1;
	if (fprintf(file, "%u\n", *count) < 0 || fflush(file) || fsync(fileno(file))) {
		fclose(file);
		return -1;
	}
	return fclose(file) ? -1 : rename("starts.new", "starts");
}

int main(void)
{
	const struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "socket" };
	const char *directory = getenv("STATE_DIRECTORY");
	unsigned int count;
	char greeting[64];
	int server, client, length;

	if (!directory || chdir(directory))
		return fail("STATE_DIRECTORY");
	if (count_start(&count))
		return fail("starts");
	length = snprintf(greeting, sizeof(greeting), "hello, start %u\n", count);

	/* What the start before left. */
	unlink(address.sun_path);
	server = socket(AF_UNIX, SOCK_STREAM, 0);
	if (server < 0 || bind(server, (const struct sockaddr *)&address, sizeof(address)) ||
	    listen(server, 8))
		return fail("socket");

	for (;;) {
		client = accept(server, NULL, NULL);
		if (client < 0) {
			if (errno == EINTR || errno == ECONNABORTED)
				continue;
			return fail("accept");
		}
		/* A client may have gone meanwhile. */
		send(client, greeting, length, MSG_NOSIGNAL);
		close(client);
	}
}
