/* SPDX-License-Identifier: MIT */
#include "config/form.h"

#include <ctype.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "base/address.h"
#include "base/macro.h"
#include "base/text.h"
#include "base/words.h"
#include "config/events.h"

#define TAG_MAX  63
#define HOST_MAX 253

bool form_is_printable(const char *text)
{
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return false;
    return text_is_utf8(text, strlen(text));
}

static bool is_not_empty(const char *text)
{
    return *text != '\0';
}

static bool is_node_name_or_empty(const char *text)
{
    return *text == '\0' || text_is_node_name(text);
}

/* "room=2.07": a key of letters, digits and "._-", then any printable ASCII but the comma. */
static bool is_tag(const char *text)
{
    const char *equals = strchr(text, '=');
    char key[NODE_NAME_MAX + 1];

    if (!equals || (size_t)(equals - text) > NODE_NAME_MAX || strlen(text) > TAG_MAX)
        return false;
    memcpy(key, text, (size_t)(equals - text));
    key[equals - text] = '\0';
    for (const char *c = equals + 1; *c; c++)
        if (*c <= ' ' || *c > '~' || *c == ',')
            return false;
    return text_is_node_name(key);
}

static bool is_ip_or_empty(const char *text)
{
    struct address address;

    /* A port would be lost: two different defaults tell whether there is one. */
    return *text == '\0' || (address_parse(text, 1, &address) == 0 && address.port == 1 &&
                             address_parse(text, 2, &address) == 0 && address.port == 2);
}

static bool is_address_or_empty(const char *text)
{
    struct address address;

    return *text == '\0' || (address_parse(text, CONFIG_PORT_DEFAULT, &address) == 0 &&
                             !address_is_wildcard(&address));
}

static bool is_interface(const char *text)
{
    return strlen(text) < IFNAMSIZ && !strpbrk(text, "/ ");
}

static bool is_port(const char *text)
{
    unsigned long port = 0;

    if (!isdigit((unsigned char)*text))
        return false;
    for (; isdigit((unsigned char)*text) && port <= UINT16_MAX; text++)
        port = port * 10 + (unsigned long)(*text - '0');
    return *text == '\0' && port > 0 && port <= UINT16_MAX;
}

/* "seed-1.lab" or "seed-1.lab:7717". What is all digits and dots had to be an address. */
static bool is_host(const char *text)
{
    size_t length = strcspn(text, ":");
    bool has_letter = false;

    if (length == 0 || length > HOST_MAX || *text == '-' || *text == '.')
        return false;
    for (size_t i = 0; i < length; i++) {
        if (!isalnum((unsigned char)text[i]) && !strchr("._-", text[i]))
            return false;
        has_letter = has_letter || isalpha((unsigned char)text[i]);
    }
    return has_letter && (text[length] == '\0' || is_port(text + length + 1));
}

static bool is_seed(const char *text)
{
    struct address address;

    if (address_parse(text, CONFIG_PORT_DEFAULT, &address) == 0)
        return address.port != 0 && !address_is_wildcard(&address);
    return is_host(text);
}

/* "10.0.4.0/24", "fd00::/64" or one address. */
static bool is_network(const char *text)
{
    const char *slash = strchr(text, '/');
    size_t length = slash ? (size_t)(slash - text) : strlen(text);
    struct address address;
    char ip[ADDRESS_TEXT_MAX];
    unsigned bits = 0;

    if (length == 0 || length >= sizeof(ip))
        return false;
    memcpy(ip, text, length);
    ip[length] = '\0';
    if (!is_ip_or_empty(ip) || address_parse(ip, 0, &address) < 0)
        return false;
    if (!slash)
        return true;
    if (!isdigit((unsigned char)slash[1]) || strlen(slash + 1) > 3)
        return false;
    for (const char *c = slash + 1; *c; c++) {
        if (!isdigit((unsigned char)*c))
            return false;
        bits = bits * 10 + (unsigned)(*c - '0');
    }
    return bits <= (address.family == 4 ? 32 : 128);
}

static bool is_path(const char *text)
{
    return *text == '/';
}

static bool is_path_or_empty(const char *text)
{
    return *text == '/' || *text == '\0';
}

/* As long as the address of a Unix socket can be. */
static bool is_socket_or_empty(const char *text)
{
    return is_path_or_empty(text) && strlen(text) < sizeof(((struct sockaddr_un *)0)->sun_path);
}

static int count_words(const char *text)
{
    _cleanup_free_ char **words = NULL;

    return words_split(text, &words);
}

static bool is_command(const char *text)
{
    return count_words(text) > 0;
}

static bool is_command_or_empty(const char *text)
{
    return *text == '\0' || is_command(text);
}

/* "numpy", "scipy.stats" */
static bool is_module(const char *text)
{
    bool is_start = true;

    for (; *text; text++) {
        if (*text == '.' && !is_start) {
            is_start = true;
            continue;
        }
        if (!isalpha((unsigned char)*text) && *text != '_' &&
            (is_start || !isdigit((unsigned char)*text)))
            return false;
        is_start = false;
    }
    return !is_start;
}

static bool is_subsystem(const char *text)
{
    enum subsystem subsystem;
    int level;

    return subsystem_parse(text, &subsystem, &level) == 0;
}

static bool is_event(const char *text)
{
    return event_find(text, NULL) >= 0;
}

const struct key_form form_node_name = {text_is_node_name, "1 to 63 of [A-Za-z0-9._-]"};
const struct key_form form_node_name_or_empty = {is_node_name_or_empty,
                                                 "at most 63 of [A-Za-z0-9._-]"};
const struct key_form form_tag = {is_tag, "KEY=VALUE of at most 63 characters"};
const struct key_form form_ip_or_empty = {is_ip_or_empty, "an IP address without a port"};
const struct key_form form_address_or_empty = {is_address_or_empty,
                                               "IP or IP:PORT, not a wildcard"};
const struct key_form form_interface = {is_interface, "the name of a network interface"};
const struct key_form form_seed = {is_seed, "IP:PORT, [IP6]:PORT or HOST:PORT"};
const struct key_form form_network = {is_network, "a network such as 10.0.4.0/24 or fd00::/64"};
const struct key_form form_path = {is_path, "an absolute path"};
const struct key_form form_path_or_empty = {is_path_or_empty, "an absolute path"};
const struct key_form form_socket_or_empty = {is_socket_or_empty,
                                              "an absolute path of at most 107 bytes"};
const struct key_form form_not_empty = {is_not_empty, "a text that is not empty"};
const struct key_form form_command = {is_command, "a command: words, with every quote closed"};
const struct key_form form_command_or_empty = {is_command_or_empty,
                                               "a command: words, with every quote closed"};
const struct key_form form_module = {is_module, "the name of a Python module"};
const struct key_form form_subsystem = {is_subsystem,
                                        "SUBSYSTEM=LEVEL with node, membership, liveness, gossip, "
                                        "messages, net, tasks, files or mem"};
const struct key_form form_type_name = {text_is_type_name, "1 to 32 letters"};
const struct key_form form_event = {is_event, "an event such as member-dead"};
