/* SPDX-License-Identifier: MIT */

/*
 * The file, read by libconfig. Its version 1.5 has traps that this stage closes: a number above 32
 * bits wraps silently, a duration without quotes is an int or a float, a quoted number is a string.
 */

#include "config/load.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <libconfig.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/address.h"
#include "base/text.h"

#define FILE_SIZE_MAX (1024 * 1024)
#define PATH_TEXT_MAX 128

static const char *where_of(struct load *load, const config_setting_t *setting)
{
    const char *file = config_setting_source_file(setting);

    snprintf(load->where, sizeof(load->where), "%s:%u", file ? file : "?",
             config_setting_source_line(setting));
    return load->where;
}

/* Whether the digits after "NAME =" on the setting's line are more than libconfig keeps. */
static bool is_line_wrapped(const char *line, const char *name)
{
    const char *c = strstr(line, name);
    char *end;

    c = c ? strpbrk(c + strlen(name), "=:") : NULL;
    if (!c)
        return false;
    for (c++; isspace((unsigned char)*c); c++)
        ;
    bool is_hex = c[0] == '0' && (c[1] == 'x' || c[1] == 'X');
    errno = 0;
    long long value = strtoll(c, &end, is_hex ? 16 : 10);
    return end > c && *end != 'L' && *end != '.' && *end != 'e' && *end != 'E' &&
           (errno == ERANGE || value > INT32_MAX || value < INT32_MIN);
}

/* An int without an L that does not fit 32 bits: libconfig issue 69. */
static bool is_wrapped(const config_setting_t *setting)
{
    const char *path = config_setting_source_file(setting);
    const char *name = config_setting_name(setting);
    _cleanup_free_ char *line = NULL;
    size_t size = 0;
    bool is_found = false;

    if (config_setting_type(setting) != CONFIG_TYPE_INT || !path || !name)
        return false;
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    for (unsigned n = config_setting_source_line(setting); n > 0; n--)
        if (getline(&line, &size, file) < 0)
            break;
        else if (n == 1)
            is_found = is_line_wrapped(line, name);
    (void)fclose(file);
    return is_found;
}

/* A scalar as text, where its kind may stand for a @key; NULL where it may not. */
static const char *text_of(const config_setting_t *setting, const struct key *key, char text[64])
{
    int type = config_setting_type(setting);
    bool is_number = key->type == KEY_INT || key->type == KEY_USEC || key->type == KEY_SIZE ||
                     key->type == KEY_QUORUM;

    if (type == CONFIG_TYPE_STRING)
        return config_setting_get_string(setting);
    if (type == CONFIG_TYPE_BOOL && key->type == KEY_BOOL)
        return config_setting_get_bool(setting) ? "true" : "false";
    if ((type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64) && is_number) {
        snprintf(text, 64, "%" PRId64, (int64_t)config_setting_get_int64(setting));
        return text;
    }
    double number = config_setting_get_float(setting);
    if (type == CONFIG_TYPE_FLOAT && key->type == KEY_USEC && number >= 0 && number < 1e12) {
        snprintf(text, 64, "%.6f", number);
        return text;
    }
    return NULL;
}

static void read_scalar(struct load *load, const config_setting_t *setting, const char *name,
                        const struct key *key, void *object)
{
    char text[64];
    const char *value = text_of(setting, key, text);

    if (is_wrapped(setting)) {
        load_complain(load, where_of(load, setting),
                      "%s: the number is too large; write it in quotes, with a unit if it has one",
                      name);
        return;
    }
    int r = value ? value_set(key, object, value) : -EINVAL;
    if (r == -EINVAL || r == -ERANGE)
        load_complain_value(load, where_of(load, setting), name, key, value);
    else
        (void)load_succeeds(load, r);
}

static bool is_sequence(const config_setting_t *setting)
{
    return config_setting_is_list(setting) || config_setting_is_array(setting);
}

static void read_strings(struct load *load, const config_setting_t *setting, const char *name,
                         const struct key *key, void *object)
{
    if (!is_sequence(setting)) {
        load_complain(load, where_of(load, setting), "%s: expected a list such as ( \"a\", \"b\" )",
                      name);
        return;
    }
    value_clear(key, object);
    for (int i = 0; i < config_setting_length(setting); i++) {
        const config_setting_t *entry = config_setting_get_elem(setting, (unsigned)i);
        const char *text = config_setting_get_string(entry);
        int r = text ? value_add(key, object, text) : -EINVAL;
        if (r == -E2BIG) {
            load_complain(load, where_of(load, entry), "%s: more than %" PRIu64 " entries", name,
                          key->max);
            return;
        }
        if (r == -EINVAL)
            load_complain_value(load, where_of(load, entry), name, key, text);
        else
            (void)load_succeeds(load, r);
    }
}

static const struct key *find_member(const struct key *keys, size_t length, const char *name)
{
    for (size_t i = 0; i < length; i++)
        if (strcmp(keys[i].path, name) == 0)
            return &keys[i];
    return NULL;
}

static void complain_unknown(struct load *load, const config_setting_t *setting, const char *path,
                             const char *closest)
{
    if (closest)
        load_complain(load, where_of(load, setting), "unknown key \"%.100s\"; did you mean \"%s\"?",
                      path, closest);
    else
        load_complain(load, where_of(load, setting), "unknown key \"%.100s\"", path);
}

/* The members of one { } of a group list. */
static void read_members(struct load *load, const config_setting_t *group, const char *name,
                         const struct key *keys, size_t length, void *object)
{
    const char *words[16] = {NULL};
    char path[PATH_TEXT_MAX];

    for (size_t i = 0; i < length; i++)
        words[i] = keys[i].path;
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *setting = config_setting_get_elem(group, (unsigned)i);
        const char *member = config_setting_name(setting);
        const struct key *key = find_member(keys, length, member);

        snprintf(path, sizeof(path), "%s.%.64s", name, member);
        if (!key)
            complain_unknown(load, setting, path, text_closest(member, words));
        else if (key->type == KEY_LIST)
            read_strings(load, setting, path, key, object);
        else
            read_scalar(load, setting, path, key, object);
    }
}

/* A text without a default: the member has to be there, and once it is, its form was checked. */
static void require(struct load *load, const config_setting_t *group, const char *name,
                    const struct key *key)
{
    if (!config_setting_get_member(group, key->path))
        load_complain(load, where_of(load, group), "%s: an entry without \"%s\"", name, key->path);
}

static void read_groups(struct load *load, const config_setting_t *list, const struct key *key)
{
    bool is_types = key->type == KEY_TYPES;

    if (!config_setting_is_list(list) ||
        config_setting_length(list) > (int)MIN(key->max, (uint64_t)CONFIG_LIST_MAX)) {
        load_complain(load, where_of(load, list),
                      "%s: expected a list of at most %" PRIu64 " groups ( { ... }, { ... } )",
                      key->path, key->max);
        return;
    }
    value_clear(key, load->config);
    for (int i = 0; i < config_setting_length(list); i++) {
        const config_setting_t *group = config_setting_get_elem(list, (unsigned)i);
        void *entry = is_types ? (void *)load_add_type(load) : (void *)load_add_hook(load);

        if (!entry)
            return;
        if (!config_setting_is_group(group)) {
            load_complain(load, where_of(load, group), "%s: expected a group { ... }", key->path);
            continue;
        }
        if (is_types) {
            read_members(load, group, key->path, config_type_keys, config_type_keys_length, entry);
            require(load, group, key->path, &config_type_keys[0]);
        } else {
            read_members(load, group, key->path, config_hook_keys, config_hook_keys_length, entry);
            require(load, group, key->path, &config_hook_keys[0]);
            require(load, group, key->path, &config_hook_keys[1]);
        }
    }
}

/* The last parts of all keys that stand in @section ("" = the top level), and the sections there.
 */
static const char *closest_key(const char *section, const char *word)
{
    const char *words[256] = {NULL};
    static const char *const sections[] = {
        "node",  "listen", "membership", "gossip",  "security", "tasks",    "python",  "sandbox",
        "files", "mem",    "net",        "control", "log",      "messages", "metrics", NULL};
    size_t count = 0, length = strlen(section);

    for (size_t i = 0; i < config_keys_length && count < ARRAY_SIZE(words) - 32; i++) {
        const char *path = config_keys[i].path, *dot = strchr(path, '.');
        if (length == 0 && !dot)
            words[count++] = path;
        else if (dot && length == (size_t)(dot - path) && memcmp(path, section, length) == 0)
            words[count++] = dot + 1;
    }
    for (size_t i = 0; length == 0 && sections[i]; i++)
        words[count++] = sections[i];
    return text_closest(word, words);
}

static bool is_section(const char *name)
{
    size_t length = strlen(name);

    for (size_t i = 0; i < config_keys_length; i++)
        if (strncmp(config_keys[i].path, name, length) == 0 && config_keys[i].path[length] == '.')
            return true;
    return false;
}

static void read_key(struct load *load, const config_setting_t *setting, size_t index)
{
    const struct key *key = &config_keys[index];

    load_set_origin(load, index, where_of(load, setting));
    if (key->type == KEY_TYPES || key->type == KEY_HOOKS)
        read_groups(load, setting, key);
    else if (key->type == KEY_LIST)
        read_strings(load, setting, key->path, key, load->config);
    else
        read_scalar(load, setting, key->path, key, load->config);
}

static void read_section(struct load *load, const config_setting_t *group, const char *section)
{
    char path[PATH_TEXT_MAX];

    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *setting = config_setting_get_elem(group, (unsigned)i);
        const char *name = config_setting_name(setting);

        snprintf(path, sizeof(path), "%s%s%.64s", section, *section ? "." : "", name);
        int index = load_find_key(path);
        if (index >= 0)
            read_key(load, setting, (size_t)index);
        else if (*section || !is_section(name))
            complain_unknown(load, setting, path, closest_key(section, name));
        else if (!config_setting_is_group(setting))
            load_complain(load, where_of(load, setting), "%s: expected a group { ... }", name);
        else
            read_section(load, setting, name);
    }
}

/* What libconfig could not read, in its words, with the file it was in. */
/* Where relative names of @include begin: beside the file. */
static void get_directory(const char *path, char directory[static LOAD_WHERE_MAX])
{
    const char *slash = strrchr(path, '/');

    snprintf(directory, LOAD_WHERE_MAX, "%.*s", slash ? (int)MAX(slash - path, 1) : 1,
             slash ? path : ".");
}

static void set_include_dir(config_t *file, const char *path)
{
    char directory[LOAD_WHERE_MAX];

    get_directory(path, directory);
    config_set_include_dir(file, directory);
}

/* The name in `@include "NAME"` in that line of the file @path, of which it is a part: libconfig
 * says only that there is one that it cannot read. Return: 0; -ENOENT where there is none. */
static int read_include(const char *path, int number, char name[static LOAD_WHERE_MAX])
{
    _cleanup_free_ char *line = NULL;
    const char *start = NULL;
    size_t size = 0;
    FILE *file = fopen(path, "re");

    for (int i = 0; file && i < number && getline(&line, &size, file) >= 0; i++)
        start = i + 1 == number ? strstr(line, "@include") : NULL;
    if (file)
        (void)fclose(file);
    start = start ? strchr(start, '"') : NULL;
    size_t length = start ? strcspn(start + 1, "\"\n") : 0;
    if (length == 0 || length >= LOAD_WHERE_MAX)
        return -ENOENT;
    memcpy(name, start + 1, length);
    name[length] = '\0';
    return 0;
}

/* Why the file that @where includes cannot be read: a name that is relative is so to @path. */
static void complain_include(struct load *load, const char *path, const char *including, int line)
{
    char name[LOAD_WHERE_MAX], directory[LOAD_WHERE_MAX], whole[2 * LOAD_WHERE_MAX];
    FILE *file = NULL;

    if (read_include(including, line, name) < 0) {
        load_complain(load, load->where, "cannot read the file of an @include");
        return;
    }
    get_directory(path, directory);
    snprintf(whole, sizeof(whole), "%s%s%s", *name == '/' ? "" : directory, *name == '/' ? "" : "/",
             name);
    errno = 0;
    if ((file = fopen(whole, "re")) != NULL)
        (void)fclose(file);
    load_complain(load, load->where, "@include: cannot read %.1000s: %s", whole,
                  errno ? strerror(errno) : "not a file");
}

static void complain_syntax(struct load *load, const config_t *file, const char *path)
{
    const char *name = config_error_file(file) ? config_error_file(file) : path;
    int line = config_error_line(file);

    snprintf(load->where, sizeof(load->where), "%s:%d", name, line);
    if (strcmp(config_error_text(file), "cannot open include file") == 0)
        complain_include(load, path, name, line);
    else
        load_complain(load, load->where, "%s", config_error_text(file));
}

/* Devices and pipes may have no end. What is wrong is told of @where, after @what. */
static bool is_regular(struct load *load, const char *where, const char *what, const char *path)
{
    struct stat status;

    if (stat(path, &status) < 0)
        load_complain(load, where, "%s%s", what, strerror(errno));
    else if (!S_ISREG(status.st_mode) || status.st_size > FILE_SIZE_MAX)
        load_complain(load, where, "%snot a regular file of at most %d bytes", what, FILE_SIZE_MAX);
    else
        return true;
    return false;
}

void load_file(struct load *load, const char *path)
{
    config_t file;

    if (!is_regular(load, path, "", path))
        return;
    config_init(&file);
    set_include_dir(&file, path);
    if (config_read_file(&file, path))
        read_section(load, config_root_setting(&file), "");
    else if (config_error_type(&file) == CONFIG_ERR_FILE_IO && config_error_line(&file) == 0)
        load_complain(load, path, "%s", errno ? strerror(errno) : "cannot be read");
    else
        complain_syntax(load, &file, path);
    config_destroy(&file);
}

/* Without the white space around it and without a comment. */
static char *strip(char *line)
{
    line[strcspn(line, "#\n")] = '\0';
    while (isspace((unsigned char)*line))
        line++;
    for (size_t length = strlen(line); length > 0 && isspace((unsigned char)line[length - 1]);)
        line[--length] = '\0';
    return line;
}

void load_seeds_file(struct load *load)
{
    const char *path = load->config->seeds_file;
    _cleanup_free_ char *line = NULL;
    size_t size = 0;
    ssize_t length;
    struct address address;
    unsigned number = 0;
    char what[LOAD_WHERE_MAX];
    const char *where = config_origin(load->config, (size_t)load_find_key("seeds_file"));

    snprintf(what, sizeof(what), "seeds_file: %s: ", path);
    if (!is_regular(load, where, what, path))
        return;
    FILE *file = fopen(path, "re");
    if (!file) {
        load_complain(load, where, "%s%s", what, strerror(errno));
        return;
    }
    while (number < FILE_SIZE_MAX && (length = getline(&line, &size, file)) >= 0) {
        bool is_text = strlen(line) == (size_t)length;
        const char *text = strip(line);
        number++;
        if (!*text && is_text)
            continue;
        snprintf(load->where, sizeof(load->where), "%s:%u", path, number);
        if (!is_text || !text_is_printable(text) || strncmp(text, "\xef\xbb\xbf", 3) == 0)
            load_complain(load, load->where,
                          "expected IP:PORT in plain text, without control "
                          "characters or a byte order mark");
        else if (!strchr(text, ':') || address_parse(text, 0, &address) < 0 || address.port == 0)
            load_complain(load, load->where, "expected IP:PORT, not \"%.100s\"", text);
        else if (load->config->all_seeds.count > CONFIG_LIST_MAX)
            break;
        else
            (void)load_succeeds(load, strings_add(&load->config->all_seeds, text));
    }
    (void)fclose(file);
}
