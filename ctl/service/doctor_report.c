/* SPDX-License-Identifier: MIT */
#include "service/doctor.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include "base/address.h"
#include "base/replace.h"
#include "client.h"
#include "console/failure.h"
#include "console/render.h"

/*
 * The report: something to be sent to others. It has no key (the daemon never shows one), no text
 * of a message, no name of a file, value or user, no command. Addresses are given other names, the
 * same ones throughout, so that it still can be read.
 */

#define MODE_OWN      0600
#define EVENTS_COUNT  300
#define ADDRESSES_MAX 4096
#define WORD_SIZE_MAX 64

struct mask {
    char (*addresses)[WORD_SIZE_MAX]; /* owned */
    size_t count;
};

/* "ip-3", the same for the same address; "ip-?" beyond ADDRESSES_MAX or without memory. */
static void write_mask(struct mask *mask, const char *word, FILE *out)
{
    for (size_t i = 0; i < mask->count; i++)
        if (strcmp(mask->addresses[i], word) == 0) {
            fprintf(out, "ip-%zu", i + 1);
            return;
        }
    char(*more)[WORD_SIZE_MAX] = mask->count < ADDRESSES_MAX
                                     ? reallocarray(mask->addresses, mask->count + 1, sizeof(*more))
                                     : NULL;
    if (!more) {
        fputs("ip-?", out);
        return;
    }
    mask->addresses = more;
    strcpy(more[mask->count++], word);
    fprintf(out, "ip-%zu", mask->count);
}

static bool is_part(char c)
{
    return isxdigit((unsigned char)c) || c == '.' || c == ':';
}

/* Without the port of IPv4, and what ends a sentence. Return: its size; 0 where it is no address.
 */
static size_t address_size(const char *text, size_t size)
{
    char word[WORD_SIZE_MAX];
    struct address address;

    for (; size > 6; size--) {
        if (size >= sizeof(word))
            continue;
        memcpy(word, text, size);
        word[size] = '\0';
        size_t dots = 0, colons = 0;
        for (const char *c = word; *c; c++) {
            dots += *c == '.';
            colons += *c == ':';
        }
        /* Times of day have two colons; addresses of IPv6 that are written out have more. */
        bool is_old = dots == 3 && colons == 0;
        bool is_new = colons > 2 || (colons == 2 && strstr(word, "::"));
        if ((is_old || is_new) && address_parse(word, 0, &address) == 0)
            return size;
    }
    return 0;
}

static void copy_masked(struct mask *mask, const char *text, FILE *out)
{
    while (*text) {
        size_t size = 0;
        while (is_part(text[size]))
            size++;
        size_t found = address_size(text, size);
        if (found > 0) {
            char word[WORD_SIZE_MAX];
            memcpy(word, text, found);
            word[found] = '\0';
            write_mask(mask, word, out);
        } else {
            /* A word that is no address as a whole has none in its middle. */
            while (isalnum((unsigned char)text[size]) || text[size] == '_' || text[size] == '-')
                size++;
            found = size > 0 ? size : 1;
            fwrite(text, 1, found, out);
        }
        text += found;
    }
}

/* What the configuration says of commands is not for others. */
static const char *const hidden[] = {"tasks.types", "tasks.on_done", "hooks", "messages.handler",
                                     "node.tags"};

static void hide_commands(cJSON *config)
{
    json_for_each (row, json_member(config, "config"))
        for (size_t i = 0; i < ARRAY_SIZE(hidden); i++)
            if (strcmp(json_text(row, "key", ""), hidden[i]) == 0)
                cJSON_ReplaceItemInObjectCaseSensitive(row, "value",
                                                       cJSON_CreateString("(not shown)"));
}

/* Findings about programs: which key it is remains. */
static void hide_programs(cJSON *doctor)
{
    char key[64];

    json_for_each (check, json_member(doctor, "checks"))
        for (size_t i = 0; i < ARRAY_SIZE(hidden); i++) {
            snprintf(key, sizeof(key), "%s: ", hidden[i]);
            if (!strstr(json_text(check, "message", ""), key))
                continue;
            snprintf(key, sizeof(key), "%s: (not shown)", hidden[i]);
            cJSON_ReplaceItemInObjectCaseSensitive(check, "message", cJSON_CreateString(key));
            cJSON_DeleteItemFromObjectCaseSensitive(check, "fix");
            break;
        }
}

static void hide_tags(cJSON *members)
{
    json_for_each (member, json_member(members, "members")) {
        cJSON_DeleteItemFromObjectCaseSensitive(member, "tags");
        cJSON_DeleteItemFromObjectCaseSensitive(member, "types");
    }
}

/* Asks @method and puts the answer under @key; where that fails, the report has why. */
static void add_answer(struct ctl *ctl, cJSON *report, const char *key, const char *method,
                       cJSON *parameters, void (*hide)(cJSON *answer))
{
    cJSON *answer = NULL;
    int r = client_call(ctl, (struct call){method, parameters, -1, false, NULL}, &answer);

    if (r == 0 && hide)
        hide(answer);
    if (r == 0)
        cJSON_AddItemToObject(report, key, answer);
    else
        json_add_null(report, key);
}

/* Events of the membership and of the daemon; not of messages, tasks, files and values. */
static cJSON *events_parameters(const struct ctl *ctl)
{
    static const char *const types[] = {"node-*",           "member-*",        "dead-report",
                                        "*-conflict",       "peer-list",       "cluster-mismatch",
                                        "seed-unreachable", "key-changed",     "drain",
                                        "undrain",          "config-reloaded", "problem"};
    cJSON *parameters = client_parameters(ctl);
    cJSON *list = cJSON_AddArrayToObject(parameters, "types");

    json_add_u64(parameters, "lines", EVENTS_COUNT);
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(types[i]));
    return parameters;
}

static void add_machine(cJSON *report)
{
    struct utsname name;
    cJSON *machine = cJSON_AddObjectToObject(report, "machine");
    char line[256];

    if (uname(&name) == 0) {
        json_add_string(machine, "kernel", name.release);
        json_add_string(machine, "architecture", name.machine);
    }
    json_add_u64(machine, "cpus", (uint64_t)sysconf(_SC_NPROCESSORS_ONLN));
    FILE *file = fopen("/etc/os-release", "re");
    while (file && fgets(line, sizeof(line), file))
        if (strncmp(line, "PRETTY_NAME=", 12) == 0) {
            line[strcspn(line, "\n")] = '\0';
            json_add_string(machine, "system", line + 12);
        }
    if (file)
        fclose(file);
}

int doctor_write_report(struct ctl *ctl, const char *path, const cJSON *answer, bool is_running)
{
    _cleanup_json_ cJSON *report = cJSON_CreateObject();
    struct mask mask = {0};
    char *masked = NULL;
    size_t size = 0;

    json_add_string(report, "schema", "p2pctl.report/1");
    json_add_string(report, "p2pctl", P2PNODE_VERSION);
    add_machine(report);
    cJSON *doctor = cJSON_Duplicate(answer, true);
    hide_programs(doctor);
    cJSON_AddItemToObject(report, "doctor", doctor);
    if (is_running) {
        add_answer(ctl, report, "status", "Status", client_parameters(ctl), NULL);
        add_answer(ctl, report, "members", "Members", client_parameters(ctl), hide_tags);
        add_answer(ctl, report, "config", "ShowConfig", client_parameters(ctl), hide_commands);
        add_answer(ctl, report, "metrics", "Metrics", client_parameters(ctl), NULL);
        add_answer(ctl, report, "events", "Events", events_parameters(ctl), NULL);
    }
    _cleanup_free_ char *text = cJSON_Print(report);
    FILE *out = text ? open_memstream(&masked, &size) : NULL;
    if (!out)
        return fail_memory();
    copy_masked(&mask, text, out);
    fputc('\n', out);
    int r = fclose(out) == 0 ? replace_file(path, masked, size, MODE_OWN) : -ENOMEM;
    free(masked);
    free(mask.addresses);
    if (r < 0)
        return fail_to_write(path, -r);
    if (ctl_is_chatty(ctl))
        fprintf(stderr, "%s: look through it before you send it to anybody\n", path);
    return 0;
}
