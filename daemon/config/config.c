/* SPDX-License-Identifier: MIT */

/* The questions about keys: find, show, compare, and the annotated file. */

#include "config/config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/text.h"
#include "config/load.h"

#define COMMENT_COLUMN 38
#define NAME_WIDTH     15

size_t config_keys_count(void)
{
    return config_keys_length;
}

const char *config_key_path(size_t index)
{
    return config_keys[index].path;
}

const char *config_key_help(size_t index)
{
    return config_keys[index].help;
}

int config_key_find(const char *path, const char **ret_closest)
{
    const char *words[256] = {NULL};
    int index = load_find_key(path);

    if (index >= 0)
        return index;
    for (size_t i = 0; i < MIN(config_keys_length, ARRAY_SIZE(words) - 1); i++)
        words[i] = config_keys[i].path;
    *ret_closest = text_closest(path, words);
    return -ENOENT;
}

char *config_format_value(const struct config *config, size_t index)
{
    char *text;

    return value_format(&config_keys[index], config, &text) == 0 ? text : NULL;
}

const char *config_origin(const struct config *config, size_t index)
{
    return config->origins.items[index];
}

/* Whether each line of the one's seeds_file is a seed of the other, or one that "seeds" names. */
static bool has_lines(const struct config *one, const struct config *other)
{
    for (size_t i = 0; i < one->all_seeds.count; i++) {
        const char *seed = one->all_seeds.items[i];
        if (!config_strings_contain(&one->seeds, seed) &&
            !config_strings_contain(&other->all_seeds, seed))
            return false;
    }
    return true;
}

static bool is_same(const struct config *before, const struct config *after, const struct key *key)
{
    if (!value_is_equal(key, before, after))
        return false;
    if (strcmp(key->path, "seeds_file") != 0)
        return true;
    return has_lines(before, after) && has_lines(after, before);
}

int config_diff(const struct config *before, const struct config *after,
                struct config_strings *ret_changed, struct config_strings *ret_restart)
{
    _cleanup_strings_ struct config_strings changed = {0}, restart = {0};

    for (size_t i = 0; i < config_keys_length; i++) {
        const struct key *key = &config_keys[i];
        if (is_same(before, after, key))
            continue;
        if (strings_add(&changed, key->path) < 0 ||
            (key->needs_restart && strings_add(&restart, key->path) < 0))
            return -ENOMEM;
    }
    *ret_changed = changed;
    *ret_restart = restart;
    changed = restart = (struct config_strings){0};
    return 0;
}

void config_adopt(struct config *config, struct config *loaded)
{
    struct config_strings seeds = config->all_seeds;

    for (size_t i = 0; i < config_keys_length; i++) {
        if (config_keys[i].needs_restart)
            continue;
        char *origin = config->origins.items[i];
        value_swap(&config_keys[i], config, loaded);
        config->origins.items[i] = loaded->origins.items[i];
        loaded->origins.items[i] = origin;
    }
    config->all_seeds = loaded->all_seeds;
    loaded->all_seeds = seeds;
}

/* Help beside the value, further lines below at the same column. */
static void write_help(FILE *stream, const char *help, size_t column)
{
    const char *line = help;

    while (*line) {
        size_t length = strcspn(line, "\n");
        fprintf(stream, "%*s# %.*s\n", (int)(MAX(column + 1, (size_t)COMMENT_COLUMN) - column), "",
                (int)length, line);
        line += length + (line[length] == '\n');
        column = 0;
    }
    if (!*help)
        fputc('\n', stream);
}

static int write_standard(FILE *stream, const struct key *key, struct config *scratch)
{
    _cleanup_free_ char *value = NULL;
    const char *name = strchr(key->path, '.') ? strchr(key->path, '.') + 1 : key->path;
    const char *indent = name == key->path ? "" : "  ";
    int r;

    /* As the table spells it ("24h"), not as the parsed value would be printed ("1d"). */
    if (key->type == KEY_USEC || key->type == KEY_SIZE)
        r = asprintf(&value, "\"%s\"", key->standard) < 0 ? -ENOMEM : 0;
    else if (key->type == KEY_TYPES || key->type == KEY_HOOKS)
        r = value_format(key, scratch, &value);
    else
        r = value_set(key, scratch, key->standard) < 0 ? -ENOMEM
                                                       : value_format(key, scratch, &value);
    if (r < 0) {
        value = NULL;
        return r;
    }
    int column = fprintf(stream, "%s%-*s = %s;", indent, NAME_WIDTH, name, value);
    if (column < 0)
        return -ENOMEM;
    write_help(stream, key->help, (size_t)column);
    return 0;
}

/* A group begins and ends where the part before the dot changes. */
static int write_keys(FILE *stream, struct config *scratch)
{
    char section[32] = "", next[32];

    for (size_t i = 0; i < config_keys_length; i++) {
        const struct key *key = &config_keys[i];
        const char *dot = strchr(key->path, '.');

        snprintf(next, sizeof(next), "%.*s", dot ? (int)(dot - key->path) : 0, key->path);
        if (strcmp(section, next) != 0) {
            fputs(*section ? "};\n" : "", stream);
            fputs("\n", stream);
            if (*next)
                fprintf(stream, "%s = {\n", next);
            memcpy(section, next, sizeof(section));
        } else if (i == 0) {
            fputc('\n', stream);
        }
        int r = write_standard(stream, key, scratch);
        if (r < 0)
            return r;
    }
    fputs(*section ? "};\n" : "", stream);
    return 0;
}

char *config_dump_default(void)
{
    _cleanup_(config_freep) struct config *scratch = calloc(1, sizeof(*scratch));
    char *text = NULL;
    size_t size = 0;
    FILE *stream = scratch ? open_memstream(&text, &size) : NULL;

    if (!stream)
        return NULL;
    fputs("# /etc/p2pnode/NAME.conf    used by: systemctl start p2pnode@NAME\n"
          "# check it with: p2pctl config check /etc/p2pnode/NAME.conf\n"
          "#\n"
          "# Every value below is the default; a file may be empty except for \"seeds\".\n"
          "# A value with a unit is a string: \"200ms\" \"1.5s\" \"10min\" \"7d\";\n"
          "# \"64KiB\" \"20GiB\" (1024) or \"20GB\" (1000).\n"
          "#\n"
          "# @include \"common.conf\"                a shared file, relative to this one's "
          "directory\n"
          "# P2PNODE_MEMBERSHIP_PROBE_INTERVAL=2s  in the environment overrides a key\n",
          stream);
    int r = write_keys(stream, scratch);
    if (fclose(stream) != 0 || r < 0) {
        free(text);
        return NULL;
    }
    return text;
}
