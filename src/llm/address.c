/*
 * address.c - which addresses a provider may have (RFC 6890 and friends).
 */
#include "llm/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

struct range4 {
	uint32_t net;
	int bits;
};

/* clang-format off */
static const struct range4 denied4[] = {
	{ 0x00000000,  8 }, /* 0/8           this network */
	{ 0x0a000000,  8 }, /* 10/8          private */
	{ 0x64400000, 10 }, /* 100.64/10     carrier-grade NAT */
	{ 0x7f000000,  8 }, /* 127/8         loopback */
	{ 0xa9fe0000, 16 }, /* 169.254/16    link-local, cloud metadata */
	{ 0xac100000, 12 }, /* 172.16/12     private */
	{ 0xc0000000, 24 }, /* 192.0.0/24    protocol assignments */
	{ 0xc0000200, 24 }, /* 192.0.2/24    documentation */
	{ 0xc0586300, 24 }, /* 192.88.99/24  6to4 relays */
	{ 0xc0a80000, 16 }, /* 192.168/16    private */
	{ 0xc6120000, 15 }, /* 198.18/15     benchmarks */
	{ 0xc6336400, 24 }, /* 198.51.100/24 documentation */
	{ 0xcb007100, 24 }, /* 203.0.113/24  documentation */
	{ 0xe0000000,  4 }, /* 224/4         multicast */
	{ 0xf0000000,  4 }, /* 240/4         reserved, broadcast */
};

struct range6 {
	uint8_t net[16];
	int bits;
};

static const struct range6 denied6[] = {
	{ { 0 },                                    96 }, /* ::, ::1, ::a.b.c.d */
	{ { [10] = 0xff, 0xff },                    96 }, /* ::ffff:a.b.c.d */
	{ { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 },   48 }, /* 64:ff9b:1::/48 */
	{ { 0x01, 0x00 },                           64 }, /* 100::/64 discard */
	{ { 0x20, 0x01, 0x00, 0x00 },               23 }, /* 2001::/23, Teredo */
	{ { 0x20, 0x01, 0x0d, 0xb8 },               32 }, /* documentation */
	{ { 0x20, 0x02 },                           16 }, /* 6to4 */
	{ { 0xfc },                                  7 }, /* unique local */
	{ { 0xfe, 0x80 },                           10 }, /* link-local */
	{ { 0xfe, 0xc0 },                           10 }, /* site-local */
	{ { 0xff },                                  8 }, /* multicast */
};
/* clang-format on */

/* RFC 6052: the last 32 bits are an IPv4 address. */
static const struct range6 nat64 = { { 0x00, 0x64, 0xff, 0x9b }, 96 };

static bool
public4(uint32_t address)
{
	uint32_t mask;

	for (size_t i = 0; i < sizeof(denied4) / sizeof(denied4[0]); i++) {
		mask = ~(uint32_t)0 << (32 - denied4[i].bits);
		if ((address & mask) == denied4[i].net)
			return false;
	}
	return true;
}

static bool
in6(const uint8_t *address, const struct range6 *range)
{
	size_t whole = (size_t)range->bits / 8;
	unsigned rest = (unsigned)range->bits % 8;

	if (memcmp(address, range->net, whole) != 0)
		return false;
	if (rest == 0)
		return true;
	return ((address[whole] ^ range->net[whole]) >> (8 - rest)) == 0;
}

static bool
public6(const uint8_t *address)
{
	uint32_t embedded;

	for (size_t i = 0; i < sizeof(denied6) / sizeof(denied6[0]); i++)
		if (in6(address, &denied6[i]))
			return false;
	if (!in6(address, &nat64))
		return true;
	memcpy(&embedded, address + 12, sizeof(embedded));
	return public4(ntohl(embedded));
}

bool
address_is_public(const struct sockaddr *address)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	switch (address->sa_family) {
	case AF_INET:
		memcpy(&v4, address, sizeof(v4));
		return public4(ntohl(v4.sin_addr.s_addr));
	case AF_INET6:
		memcpy(&v6, address, sizeof(v6));
		return public6(v6.sin6_addr.s6_addr);
	default:
		return false;
	}
}

bool
address_is_loopback_name(const char *host)
{
	struct in_addr v4;

	if (strcasecmp(host, "localhost") == 0 ||
	    strcasecmp(host, "localhost.") == 0)
		return true;
	if (strcmp(host, "::1") == 0 || strcmp(host, "[::1]") == 0)
		return true;
	return inet_pton(AF_INET, host, &v4) == 1 &&
	       (ntohl(v4.s_addr) >> 24) == 127;
}

/* item, len bytes long, is host or host:port. */
static bool
names(const char *item, size_t len, const char *host, int port)
{
	size_t host_len = strlen(host);
	int given = 0;

	if (len < host_len || strncasecmp(item, host, host_len) != 0)
		return false;
	if (len == host_len)
		return true;
	if (item[host_len] != ':' || len - host_len > 6)
		return false;
	for (size_t i = host_len + 1; i < len; i++) {
		if (item[i] < '0' || item[i] > '9')
			return false;
		given = given * 10 + (item[i] - '0');
	}
	return given == port;
}

bool
address_in_list(const char *list, const char *host, int port)
{
	size_t len;

	if (list == NULL)
		return false;
	while (*list != '\0') {
		list += strspn(list, ", \t");
		len = strcspn(list, ", \t");
		if (len > 0 && names(list, len, host, port))
			return true;
		list += len;
	}
	return false;
}
