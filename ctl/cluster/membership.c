/* SPDX-License-Identifier: MIT */
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include "base/address.h"
#include "client.h"
#include "commands.h"
#include "config/config.h"
#include "console/failure.h"
#include "console/render.h"
#include "console/screen.h"

/* Membership by hand: `join`, `leave` and `forget`, which a node does for itself only. */

/* Whoever named another node with -N is told where to do it. Return: 0, or the exit code. */
static int refuse_node(const struct ctl *ctl, const char *verb, const char *what)
{
    const struct options *options = &ctl->options;
    _cleanup_free_ char *hint = NULL;

    if (!ctl->globals.node)
        return 0;
    if (asprintf(&hint, "on %s itself: p2pctl %s%s%s%s", ctl->globals.node, verb,
                 options->words_count > 0 ? " " : "",
                 options->words_count > 0 ? options->words[0] : "",
                 options->words_count > 1 ? " ..." : "") < 0)
        return fail_memory();
    return fail(ERROR_USAGE, NULL, hint, "a node %s by itself only, not at another's word (-N)",
                what);
}

/* --- Join --- */

static bool is_port(const char *text)
{
    size_t size = strspn(text, "0123456789");
    unsigned long port = size > 0 && size <= 5 && text[size] == '\0' ? strtoul(text, NULL, 10) : 0;

    return port > 0 && port <= UINT16_MAX;
}

static int fail_port(const char *text)
{
    return fail_usage("\"%s\": a port is a number from 1 to 65535", text);
}

/* All addresses of a "name" or "name:port", for the daemon takes addresses only. */
static int add_name(const char *text, cJSON *addresses)
{
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *found = NULL;
    const char *colon = strrchr(text, ':');
    _cleanup_free_ char *host = strndup(text, colon ? (size_t)(colon - text) : strlen(text));
    char target[ADDRESS_TEXT_MAX];
    struct address address;
    char port[8];

    if (!host)
        return fail_memory();
    if (colon && !is_port(colon + 1))
        return fail_port(text);
    snprintf(port, sizeof(port), "%d", CONFIG_PORT_DEFAULT);
    int r = getaddrinfo(host, colon ? colon + 1 : port, &hints, &found);
    if (r != 0)
        return fail(ERROR_NOT_FOUND, gai_strerror(r), "p2pctl join 10.0.4.2:7717",
                    "cannot find the address of \"%s\"", text);
    for (const struct addrinfo *info = found; info; info = info->ai_next)
        if (address_from_sockaddr(info->ai_addr, info->ai_addrlen, &address) >= 0)
            cJSON_AddItemToArray(addresses, cJSON_CreateString(address_format(&address, target)));
    freeaddrinfo(found);
    return 0;
}

/* The members, where one of the words may be the name of one. */
static int list_members(struct ctl *ctl, cJSON **ret)
{
    struct address address;

    for (size_t i = 0; i < ctl->options.words_count; i++)
        if (address_parse(ctl->options.words[i], CONFIG_PORT_DEFAULT, &address) != 0)
            return client_list(ctl,
                               (struct call){"Members", client_parameters(ctl), -1, false, NULL},
                               "members", ret);
    return 0;
}

static bool is_member(const cJSON *answer, const char *name)
{
    json_for_each (member, json_member(answer, "members"))
        if (strcmp(json_text(member, "name", ""), name) == 0)
            return true;
    return false;
}

static int add_addresses(struct ctl *ctl, cJSON *addresses)
{
    _cleanup_json_ cJSON *members = NULL;
    struct address address;
    int r = list_members(ctl, &members);

    for (size_t i = 0; r == 0 && i < ctl->options.words_count; i++) {
        const char *text = ctl->options.words[i];
        bool is_address = address_parse(text, CONFIG_PORT_DEFAULT, &address) == 0;
        if (is_address && address.port == 0)
            r = fail_port(text);
        else if (is_address || is_member(members, text))
            cJSON_AddItemToArray(addresses, cJSON_CreateString(text));
        else
            r = add_name(text, addresses);
    }
    return r;
}

static void tell_join(const cJSON *answer)
{
    _cleanup_free_ char *joined = screen_value(json_member(answer, "joined"));
    double nodes = json_number(answer, "nodes", 0);

    json_for_each (name, json_member(answer, "already"))
        if (cJSON_IsString(name))
            fprintf(stderr, "%s is already a member\n", name->valuestring);
    if (cJSON_GetArraySize(json_member(answer, "joined")) > 0)
        fprintf(stderr, "joined through %s: %.0f node%s\n", joined ? joined : "?", nodes,
                PLURAL(nodes));
}

int join_run(struct ctl *ctl)
{
    _cleanup_json_ cJSON *answer = NULL;
    _cleanup_json_ cJSON *parameters = client_parameters(ctl);
    cJSON *addresses = cJSON_AddArrayToObject(parameters, "addresses");
    const char *timeout = options_get(&ctl->options, "timeout");
    int r = refuse_node(ctl, "join", "joins");

    if (r == 0)
        r = add_addresses(ctl, addresses);

    if (timeout)
        json_add_string(parameters, "timeout", timeout);
    if (r == 0)
        r = client_call(ctl, (struct call){"Join", TAKE_PTR(parameters), -1, true, NULL}, &answer);
    if (r != 0)
        return r;
    if (ctl->globals.json != JSON_OFF)
        return render_json(ctl, answer, NULL);
    if (!ctl->globals.quiet)
        tell_join(answer);
    return 0;
}

/* --- Leave and forget --- */

int leave_run(struct ctl *ctl)
{
    _cleanup_json_ cJSON *answer = NULL;
    const char *timeout = options_get(&ctl->options, "timeout");
    int r = refuse_node(ctl, "leave", "leaves");

    if (r != 0)
        return r;
    cJSON *parameters = client_parameters(ctl);
    if (timeout)
        json_add_string(parameters, "timeout", timeout);
    r = client_call(ctl, (struct call){"Leave", parameters, -1, true, NULL}, &answer);
    if (r != 0)
        return r;
    if (ctl->globals.json != JSON_OFF)
        return render_json(ctl, answer, NULL);
    if (!ctl->globals.quiet)
        fprintf(stderr, "%s has left; back with: p2pctl join ADDR\n",
                json_text(answer, "name", "it"));
    return 0;
}

/* Who was meant by something else than its name is told by all that there is. */
static void print_forgotten(const char *word, const cJSON *answer)
{
    const char *name = json_text(answer, "name", word);

    printf("forgot %s", name);
    if (strcmp(name, word) != 0)
        printf(" (%s at %s)", json_text(answer, "uuid", "?"), json_text(answer, "address", "?"));
    putchar('\n');
}

static int forget(struct ctl *ctl, bool is_dry_run, cJSON **ret)
{
    cJSON *parameters = client_parameters(ctl);

    json_add_string(parameters, "name", ctl->options.words[0]);
    if (is_dry_run)
        json_add_bool(parameters, "dry_run", true);
    return client_call(ctl, (struct call){"Forget", parameters, -1, false, NULL}, ret);
}

/* An older daemon knows no dry run: it would forget the node. */
static int has_dry_run(struct ctl *ctl, bool *ret)
{
    _cleanup_json_ cJSON *answer = NULL, *parameters = cJSON_CreateObject();

    json_add_string(parameters, "interface", "org.p2pnode");
    int r = client_call(ctl,
                        (struct call){"org.varlink.service.GetInterfaceDescription",
                                      TAKE_PTR(parameters), -1, false, NULL},
                        &answer);
    const char *text = json_text(answer, "description", ""),
               *method = strstr(text, "\nmethod Forget("),
               *known = method ? strstr(method, "dry_run") : NULL;
    *ret = known && known < method + strcspn(method, ")");
    return r;
}

/* Nobody is asked about a node that cannot be forgotten. */
static int confirm_forget(struct ctl *ctl)
{
    _cleanup_json_ cJSON *answer = NULL;
    _cleanup_free_ char *question = NULL;
    bool is_possible = false;
    int r = ctl->globals.yes ? 0 : has_dry_run(ctl, &is_possible);

    if (r == 0 && is_possible)
        r = forget(ctl, true, &answer);
    if (r != 0)
        return r;
    if (asprintf(&question, "forget %s", ctl->options.words[0]) < 0)
        return fail_memory();
    return ctl_confirm(ctl, question);
}

int forget_run(struct ctl *ctl)
{
    _cleanup_json_ cJSON *answer = NULL;
    int r = refuse_node(ctl, "forget", "forgets");

    if (r == 0)
        r = confirm_forget(ctl);
    if (r == 0)
        r = forget(ctl, false, &answer);
    if (r != 0)
        return r;
    if (ctl->globals.json != JSON_OFF)
        return render_json(ctl, answer, NULL);
    print_forgotten(ctl->options.words[0], answer);
    return 0;
}
