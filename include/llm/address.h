/*
 * address.h - which addresses a provider may have.
 *
 * Checked on the address that is about to be connected to, after DNS, so that
 * no name can be pointed at this host or its network in between.
 */
#ifndef LLM_ADDRESS_H
#define LLM_ADDRESS_H

#include <stdbool.h>

struct sockaddr;

/* An IPv4 or IPv6 address of the public Internet.  False for private, local,
 * shared, reserved and multicast ranges, for forms that carry an IPv4 address
 * of these, and for every other family. */
bool address_is_public(const struct sockaddr *address);

/* host (of a URL, brackets allowed) names this machine: localhost, 127/8, ::1. */
bool address_is_loopback_name(const char *host);

/* host:port is in list, a comma list of host or host:port; letter case does
 * not matter.  list may be NULL. */
bool address_in_list(const char *list, const char *host, int port);

#endif /* LLM_ADDRESS_H */
