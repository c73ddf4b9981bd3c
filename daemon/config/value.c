/* SPDX-License-Identifier: MIT */
#include "config/value.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "base/text.h"
#include "config/form.h"

static void *field_of(const struct key *key, void *object)
{
    return (char *)object + key->offset;
}

static const void *field_of_const(const struct key *key, const void *object)
{
    return (const char *)object + key->offset;
}

int strings_add(struct config_strings *strings, const char *text)
{
    char **items = reallocarray(strings->items, strings->count + 1, sizeof(*items));

    if (!items)
        return -ENOMEM;
    strings->items = items;
    items[strings->count] = strdup(text);
    if (!items[strings->count])
        return -ENOMEM;
    strings->count++;
    return 0;
}

void config_strings_done(struct config_strings *strings)
{
    for (size_t i = 0; i < strings->count; i++)
        free(strings->items[i]);
    free(strings->items);
    *strings = (struct config_strings){0};
}

bool config_strings_contain(const struct config_strings *strings, const char *text)
{
    for (size_t i = 0; i < strings->count; i++)
        if (strcmp(strings->items[i], text) == 0)
            return true;
    return false;
}

/* Decimal digits only. */
static int parse_number(const char *text, uint64_t *ret)
{
    uint64_t number = 0;

    if (!*text)
        return -EINVAL;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return -EINVAL;
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*text - '0'), &number))
            return -ERANGE;
    }
    *ret = number;
    return 0;
}

static int parse_mode(const char *text, uint64_t *ret)
{
    uint64_t mode = 0;

    if (!*text || strlen(text) > 8)
        return -EINVAL;
    for (; *text; text++) {
        if (*text < '0' || *text > '7')
            return -EINVAL;
        mode = mode * 8 + (uint64_t)(*text - '0');
    }
    *ret = mode;
    return 0;
}

static int find_word(const struct key *key, const char *text, uint64_t *ret)
{
    for (size_t i = 0; key->words[i]; i++)
        if (strcmp(key->words[i], text) == 0) {
            *ret = key->min + i;
            return 0;
        }
    return -EINVAL;
}

static int parse_quorum(const char *text, uint64_t *ret)
{
    if (strcmp(text, "majority") == 0)
        *ret = CONFIG_QUORUM_MAJORITY;
    else if (strcmp(text, "all") == 0)
        *ret = CONFIG_QUORUM_ALL;
    else
        return -ENOENT;
    return 0;
}

/* Whatever is a number inside. */
static int parse_scalar(const struct key *key, const char *text, uint64_t *ret)
{
    uint64_t value = 0;
    int r = -EINVAL;

    if (key->type == KEY_BOOL && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)) {
        *ret = *text == 't';
        return 0;
    }
    if (key->has_unset && *text == '\0') {
        *ret = CONFIG_UNSET;
        return 0;
    }
    if (key->type == KEY_CHOICE)
        return find_word(key, text, ret);
    if (key->type == KEY_QUORUM && parse_quorum(text, ret) == 0)
        return 0;
    if (key->type == KEY_INT || key->type == KEY_QUORUM)
        r = parse_number(text, &value);
    else if (key->type == KEY_USEC)
        r = text_parse_usec(text, &value);
    else if (key->type == KEY_SIZE)
        r = text_parse_size(text, &value);
    else if (key->type == KEY_MODE)
        r = parse_mode(text, &value);
    if (r < 0)
        return r;
    if ((value < key->min || value > key->max) && !(value == 0 && key->has_zero))
        return -ERANGE;
    *ret = value;
    return 0;
}

static bool is_valid_text(const struct key *key, const char *text)
{
    uint64_t i;

    return form_is_printable(text) && (!key->form || key->form->is_valid(text)) &&
           (!key->words || find_word(key, text, &i) == 0);
}

int value_add(const struct key *key, void *object, const char *text)
{
    struct config_strings *strings = field_of(key, object);

    if (!is_valid_text(key, text))
        return -EINVAL;
    if (strings->count >= key->max)
        return -E2BIG;
    return strings_add(strings, text);
}

static int set_text(const struct key *key, void *object, const char *text)
{
    char **field = field_of(key, object);

    if (!is_valid_text(key, text))
        return -EINVAL;
    char *copy = strdup(text);
    if (!copy)
        return -ENOMEM;
    free(*field);
    *field = copy;
    return 0;
}

static int set_list(const struct key *key, void *object, const char *text)
{
    struct config_strings *field = field_of(key, object), before = *field;
    _cleanup_free_ char *copy = strdup(text);
    char *rest = copy;
    int r = copy ? 0 : -ENOMEM;

    *field = (struct config_strings){0};
    for (char *part; r == 0 && *text && (part = strsep(&rest, ","));)
        r = value_add(key, object, part);
    if (r < 0) {
        config_strings_done(field);
        *field = before;
        return r;
    }
    config_strings_done(&before);
    return 0;
}

int value_set(const struct key *key, void *object, const char *text)
{
    void *field = field_of(key, object);
    uint64_t value;

    if (key->type == KEY_TEXT)
        return set_text(key, object, text);
    if (key->type == KEY_LIST)
        return set_list(key, object, text);
    int r = parse_scalar(key, text, &value);
    if (r < 0)
        return r;
    if (key->type == KEY_BOOL)
        *(bool *)field = value != 0;
    else if (key->type == KEY_USEC || key->type == KEY_SIZE)
        *(uint64_t *)field = value;
    else
        *(uint32_t *)field = (uint32_t)value;
    return 0;
}

static void clear_types(struct config *config)
{
    for (size_t i = 0; i < config->tasks.types_count; i++)
        for (size_t k = 0; k < config_type_keys_length; k++)
            value_clear(&config_type_keys[k], &config->tasks.types[i]);
    free(config->tasks.types);
    config->tasks.types = NULL;
    config->tasks.types_count = 0;
}

static void clear_hooks(struct config *config)
{
    for (size_t i = 0; i < config->hooks_count; i++)
        for (size_t k = 0; k < config_hook_keys_length; k++)
            value_clear(&config_hook_keys[k], &config->hooks[i]);
    free(config->hooks);
    config->hooks = NULL;
    config->hooks_count = 0;
}

void value_clear(const struct key *key, void *object)
{
    if (key->type == KEY_TEXT) {
        char **field = field_of(key, object);
        free(*field);
        *field = NULL;
    } else if (key->type == KEY_LIST) {
        config_strings_done(field_of(key, object));
    } else if (key->type == KEY_TYPES) {
        clear_types(object);
    } else if (key->type == KEY_HOOKS) {
        clear_hooks(object);
    }
}

/* Of the field, and for a list of groups of the count behind it. */
static size_t size_of(const struct key *key)
{
    static const size_t sizes[] = {
        [KEY_BOOL] = sizeof(bool),
        [KEY_INT] = sizeof(uint32_t),
        [KEY_USEC] = sizeof(usec_t),
        [KEY_SIZE] = sizeof(uint64_t),
        [KEY_TEXT] = sizeof(char *),
        [KEY_CHOICE] = sizeof(uint32_t),
        [KEY_QUORUM] = sizeof(uint32_t),
        [KEY_MODE] = sizeof(uint32_t),
        [KEY_LIST] = sizeof(struct config_strings),
        [KEY_TYPES] = sizeof(struct config_type *) + sizeof(size_t),
        [KEY_HOOKS] = sizeof(struct config_hook *) + sizeof(size_t),
    };

    return sizes[key->type];
}

void value_swap(const struct key *key, void *one, void *other)
{
    char kept[sizeof(struct config_strings)];
    size_t size = size_of(key);

    static_assert(sizeof(kept) >= sizeof(void *) + sizeof(size_t), "room for any value");
    memcpy(kept, field_of(key, one), size);
    memcpy(field_of(key, one), field_of_const(key, other), size);
    memcpy(field_of(key, other), kept, size);
}

static uint64_t scalar_of(const struct key *key, const void *object)
{
    const void *field = field_of_const(key, object);

    if (key->type == KEY_BOOL)
        return *(const bool *)field;
    if (key->type == KEY_USEC || key->type == KEY_SIZE)
        return *(const uint64_t *)field;
    return *(const uint32_t *)field;
}

bool value_is_equal(const struct key *key, const void *one, const void *other)
{
    _cleanup_free_ char *a = NULL, *b = NULL;

    if (key->type < KEY_LIST && key->type != KEY_TEXT)
        return scalar_of(key, one) == scalar_of(key, other);
    /* Without memory they count as different: a reload then does too much, never too little. */
    return value_format(key, one, &a) == 0 && value_format(key, other, &b) == 0 &&
           strcmp(a, b) == 0;
}

void value_quote(FILE *stream, const char *text)
{
    fputc('"', stream);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', stream);
        fputc(*text, stream);
    }
    fputc('"', stream);
}

static void write_list(FILE *stream, const struct config_strings *strings)
{
    fputs(strings->count > 0 ? "( " : "(", stream);
    for (size_t i = 0; i < strings->count; i++) {
        fputs(i > 0 ? ", " : "", stream);
        value_quote(stream, strings->items[i]);
    }
    fputs(" )", stream);
}

static void write_value(FILE *stream, const struct key *key, const void *object);

static void write_group(FILE *stream, const struct key *keys, size_t length, const void *object)
{
    fputs("{ ", stream);
    for (size_t i = 0; i < length; i++) {
        fprintf(stream, "%s = ", keys[i].path);
        write_value(stream, &keys[i], object);
        fputs("; ", stream);
    }
    fputs("}", stream);
}

static void write_groups(FILE *stream, const struct key *key, const struct config *config)
{
    bool is_types = key->type == KEY_TYPES;
    size_t count = is_types ? config->tasks.types_count : config->hooks_count;

    fputs(count > 0 ? "( " : "(", stream);
    for (size_t i = 0; i < count; i++) {
        fputs(i > 0 ? ", " : "", stream);
        if (is_types)
            write_group(stream, config_type_keys, config_type_keys_length, &config->tasks.types[i]);
        else
            write_group(stream, config_hook_keys, config_hook_keys_length, &config->hooks[i]);
    }
    fputs(" )", stream);
}

static void write_quorum(FILE *stream, uint64_t quorum)
{
    if (quorum == CONFIG_QUORUM_MAJORITY)
        fputs("\"majority\"", stream);
    else if (quorum == CONFIG_QUORUM_ALL)
        fputs("\"all\"", stream);
    else
        fprintf(stream, "\"%" PRIu64 "\"", quorum);
}

static void write_scalar(FILE *stream, const struct key *key, uint64_t value)
{
    char text[32];

    if (key->type == KEY_BOOL)
        fputs(value ? "true" : "false", stream);
    else if (key->type == KEY_INT)
        fprintf(stream, "%" PRIu64, value);
    else if (key->has_unset && value == CONFIG_UNSET)
        fputs("\"\"", stream);
    else if (key->type == KEY_USEC)
        fprintf(stream, "\"%s\"", text_format_usec(value, text));
    else if (key->type == KEY_SIZE)
        fprintf(stream, "\"%s\"", text_format_size(value, text));
    else if (key->type == KEY_CHOICE)
        fprintf(stream, "\"%s\"", key->words[value - key->min]);
    else if (key->type == KEY_MODE)
        fprintf(stream, "\"%04" PRIo64 "\"", value);
    else
        write_quorum(stream, value);
}

static void write_value(FILE *stream, const struct key *key, const void *object)
{
    if (key->type == KEY_TEXT)
        value_quote(stream, *(char *const *)field_of_const(key, object));
    else if (key->type == KEY_LIST)
        write_list(stream, field_of_const(key, object));
    else if (key->type == KEY_TYPES || key->type == KEY_HOOKS)
        write_groups(stream, key, object);
    else
        write_scalar(stream, key, scalar_of(key, object));
}

int value_format(const struct key *key, const void *object, char **ret)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);

    if (!stream)
        return -ENOMEM;
    write_value(stream, key, object);
    if (fclose(stream) != 0) {
        free(text);
        return -ENOMEM;
    }
    *ret = text;
    return 0;
}

static void describe_range(FILE *stream, const struct key *key)
{
    char low[32], high[32];
    bool is_time = key->type == KEY_USEC, is_size = key->type == KEY_SIZE;

    if (is_time) {
        text_format_usec(key->min, low);
        text_format_usec(key->max, high);
    } else if (is_size) {
        text_format_size(key->min, low);
        text_format_size(key->max, high);
    } else {
        snprintf(low, sizeof(low), "%" PRIu64, key->min);
        snprintf(high, sizeof(high), "%" PRIu64, key->max);
    }
    fprintf(stream, "expected %s from %s to %s%s",
            is_time   ? "a time such as \"1.5s\""
            : is_size ? "a size such as \"64MiB\""
                      : "a number",
            low, high, key->has_zero ? ", or \"0\"" : "");
}

static void describe_words(FILE *stream, const struct key *key)
{
    fputs("expected ", stream);
    for (size_t i = 0; key->words[i]; i++)
        fprintf(stream, "%s\"%s\"", i == 0 ? "" : key->words[i + 1] ? ", " : " or ", key->words[i]);
}

int value_describe(const struct key *key, char **ret)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);

    if (!stream)
        return -ENOMEM;
    if (key->words)
        describe_words(stream, key);
    else if (key->form)
        fprintf(stream, "expected %s", key->form->wanted);
    else if (key->type == KEY_BOOL)
        fputs("expected true or false", stream);
    else if (key->type == KEY_MODE)
        fputs("expected an octal mode in quotes such as \"0660\"", stream);
    else if (key->type == KEY_QUORUM)
        fputs("expected \"majority\", \"all\" or a number of seeds", stream);
    else if (key->type == KEY_INT || key->type == KEY_USEC || key->type == KEY_SIZE)
        describe_range(stream, key);
    else
        fputs("expected a text without control characters", stream);
    if (fclose(stream) != 0) {
        free(text);
        return -ENOMEM;
    }
    *ret = text;
    return 0;
}
