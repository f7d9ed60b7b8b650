/*
 * test_address.c - which addresses a provider may have.
 */
#include <criterion/criterion.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/arena.h"
#include "llm/address.h"
#include "llm/transfer.h"

static bool
allowed(const char *text)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	struct sockaddr_storage address;

	memset(&address, 0, sizeof(address));
	if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
		memcpy(&address, &v4, sizeof(v4));
	else if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1)
		memcpy(&address, &v6, sizeof(v6));
	else
		cr_assert_fail("%s is no address", text);
	return address_is_public((const struct sockaddr *)&address);
}

Test(address, private_and_reserved_ranges_are_refused_to_their_edges)
{
	static const char *const denied[] = { "0.0.0.0", "0.255.255.255",
		"10.0.0.1", "10.255.255.255", "100.64.0.0", "100.127.255.255",
		"127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1",
		"172.31.255.255", "192.0.0.8", "192.168.0.1", "192.168.255.255",
		"198.18.0.1", "198.19.255.255", "224.0.0.1", "239.1.2.3",
		"240.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1",
		"::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1",
		"64:ff9b::a00:1", "64:ff9b:1::1", "100::1", "2001::1",
		"2001:db8::1", "2002:7f00:1::", "fc00::1", "fdff::1", "fe80::1",
		"febf::1", "fec0::1", "ff02::1" };

	for (size_t i = 0; i < sizeof(denied) / sizeof(denied[0]); i++)
		cr_expect_not(allowed(denied[i]), "%s", denied[i]);
}

Test(address, the_internet_is_allowed)
{
	static const char *const fine[] = { "1.1.1.1", "8.8.8.8", "9.255.0.1",
		"11.0.0.1", "100.63.255.255", "100.128.0.0", "126.255.255.255",
		"128.0.0.1", "169.253.0.1", "172.15.255.255", "172.32.0.0",
		"192.167.255.255", "192.169.0.0", "198.17.0.1", "198.20.0.1",
		"223.255.255.255", "2606:4700::1111", "2a00:1450:4001::1",
		"64:ff9b::808:808", "2001:4860:4860::8888" };

	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
		cr_expect(allowed(fine[i]), "%s", fine[i]);
}

Test(address, other_families_are_refused)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	cr_expect_not(address_is_public((const struct sockaddr *)&un));
}

Test(address, loopback_is_known_by_its_names)
{
	cr_expect(address_is_loopback_name("localhost"));
	cr_expect(address_is_loopback_name("LocalHost."));
	cr_expect(address_is_loopback_name("127.1.2.3"));
	cr_expect(address_is_loopback_name("[::1]"));
	cr_expect_not(address_is_loopback_name("localhost.example.com"));
	cr_expect_not(address_is_loopback_name("128.0.0.1"));
	cr_expect_not(address_is_loopback_name(""));
}

Test(address, the_list_takes_hosts_with_and_without_port)
{
	const char *list = "ollama.lan, 10.0.0.5:8080,gpu";

	cr_expect(address_in_list(list, "ollama.lan", 11434));
	cr_expect(address_in_list(list, "OLLAMA.LAN", 1));
	cr_expect(address_in_list(list, "10.0.0.5", 8080));
	cr_expect(address_in_list(list, "gpu", 443));
	cr_expect_not(address_in_list(list, "10.0.0.5", 80));
	cr_expect_not(address_in_list(list, "lan", 80));
	cr_expect_not(address_in_list(list, "gpu2", 80));
	cr_expect_not(address_in_list(list, "", 80));
	cr_expect_not(address_in_list("", "gpu", 80));
	cr_expect_not(address_in_list(NULL, "gpu", 80));
}

Test(address, base_urls_are_read_as_libcurl_reads_them)
{
	static const char *const bad[] = { "", "x", "ftp://h/", "file:///etc",
		"http://", "https://u@h/", "https://u:p@h/", "https://h/?q=1",
		"https://h/#f", "https://h /", "https://h/\n",
		"https://h:99999/", "gopher://h/" };
	struct arena *arena = arena_new();
	struct transfer_url url;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_eq(transfer_url_parse(arena, bad[i], &url), ERR_INPUT,
		    "%s", bad[i]);
	cr_assert_eq(transfer_url_parse(arena, "https://api.openai.com/v1",
			 &url),
	    OK);
	cr_expect(url.https);
	cr_expect_str_eq(url.host, "api.openai.com");
	cr_expect_eq(url.port, 443);
	cr_assert_eq(transfer_url_parse(arena, "http://[::1]:8000/v1", &url),
	    OK);
	cr_expect_not(url.https);
	cr_expect_str_eq(url.host, "[::1]");
	cr_expect_eq(url.port, 8000);
	cr_assert_eq(transfer_url_parse(arena, "http://2130706433/", &url), OK);
	cr_expect_str_eq(url.host, "127.0.0.1");
	arena_free(arena);
}
