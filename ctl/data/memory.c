/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <sys/mman.h>
#include "base/text.h"
#include "client.h"
#include "commands.h"
#include "console/failure.h"
#include "input.h"
#include "data/place.h"
#include "console/render.h"
#include "console/screen.h"

/* `p2pctl mem`: values by key, each node its own. */

#define VALUE_MAX        ((size_t)64 * 1024 * 1024) /* whatever mem.value_max there says */
#define INLINE_VALUE_MAX ((size_t)256 * 1024)       /* above, the value goes as a descriptor */

static bool is_absent(enum error_code code)
{
    return code == ERROR_NOT_FOUND;
}

static int parse_key(const char *word, struct place *ret)
{
    place_parse(word, ret);
    if (*ret->rest && text_is_utf8(ret->rest, strlen(ret->rest)))
        return 0;
    return fail_usage("a key is some text in UTF-8");
}

/* The value into the parameters, or into a file in memory where it is large. */
static int add_value(cJSON *parameters, const uint8_t *value, size_t size, int *ret_fd)
{
    if (size <= INLINE_VALUE_MAX) {
        json_add_text_or_base64(parameters, "value", value, size);
        return 0;
    }
    int fd = memfd_create("value", MFD_CLOEXEC);
    *ret_fd = fd;
    for (size_t done = 0; done < size;) {
        ssize_t count = fd < 0 ? -1 : write(fd, value + done, size - done);
        if (count < 0)
            return fail(ERROR_INTERNAL, strerror(errno), NULL, "cannot hold the value");
        done += (size_t)count;
    }
    return lseek(fd, 0, SEEK_SET) < 0
               ? fail(ERROR_INTERNAL, strerror(errno), NULL, "cannot hold it")
               : 0;
}

struct value_limit {
    struct ctl *ctl;
    const struct place *place;
};

/* How long a value may be there: most are so short that it need not be known. */
static int ask_limit(void *data, size_t *ret_max)
{
    const struct value_limit *limit = data;
    _cleanup_json_ cJSON *answer = NULL;
    cJSON *parameters = place_parameters(limit->ctl, limit->place);
    int r = client_call(limit->ctl, (struct call){"Status", parameters, -1, false, NULL}, &answer);

    if (r == 0)
        *ret_max = (size_t)json_number(json_member(answer, "mem"), "value_max_bytes", VALUE_MAX);
    return r;
}

static int read_value(struct ctl *ctl, const struct place *place, const char *word, uint8_t **ret,
                      size_t *ret_size)
{
    struct value_limit asked = {.ctl = ctl, .place = place};
    const struct input_limit limit = {
        .ask = ask_limit,
        .data = &asked,
        .hint = "that is mem.value_max; larger values are files: p2pctl file put"};

    if (strcmp(word, "@") == 0)
        return fail_usage("\"@\" names no file: the value is that of a file with @FILE");
    if (strcmp(word, "-") == 0 || *word == '@')
        return input_read_asking(*word == '@' ? word + 1 : word, INLINE_VALUE_MAX, &limit, ret,
                                 ret_size);
    *ret = (uint8_t *)strdup(word);
    *ret_size = strlen(word);
    return *ret ? 0 : fail_memory();
}

static int add_conditions(const struct options *options, cJSON *parameters)
{
    const char *ttl = options_get(options, "ttl"), *version = options_get(options, "if-version");
    char *end = NULL;

    if (ttl)
        json_add_string(parameters, "ttl", ttl);
    if (options_has(options, "if-absent"))
        json_add_bool(parameters, "if_absent", true);
    if (!version)
        return 0;
    unsigned long long number = strtoull(version, &end, 10);
    if (*version < '0' || *version > '9' || *end != '\0' || number > UINT64_C(999999999999999))
        return fail_usage("--if-version is a number, not \"%s\"", version);
    if (options_has(options, "if-absent"))
        return fail_usage("--if-absent or --if-version, but not both");
    json_add_u64(parameters, "if_version", number);
    return 0;
}

int memory_set_run(struct ctl *ctl)
{
    _cleanup_json_ cJSON *parameters = NULL, *answer = NULL;
    _cleanup_close_ int fd = -EBADF;
    _cleanup_free_ uint8_t *value = NULL;
    struct place place;
    size_t size = 0;
    int r = parse_key(ctl->options.words[0], &place);

    if (r == 0)
        r = read_value(ctl, &place, ctl->options.words[1], &value, &size);
    if (r != 0)
        return r;
    parameters = place_parameters(ctl, &place);
    json_add_string(parameters, "key", place.rest);
    r = add_conditions(&ctl->options, parameters);
    if (r == 0)
        r = add_value(parameters, value, size, &fd);
    if (r == 0)
        r = client_call(ctl, (struct call){"SetMemory", TAKE_PTR(parameters), fd, false, NULL},
                        &answer);
    if (r != 0 || ctl->globals.json == JSON_OFF)
        return r;
    return render_json(ctl, answer, NULL);
}

/* The value and nothing else; but a terminal gets its line ended. */
static int print_value(const struct ctl *ctl, int fd)
{
    char data[16384], last = '\n';
    ssize_t count;

    if (lseek(fd, 0, SEEK_SET) < 0)
        return fail(ERROR_INTERNAL, strerror(errno), NULL, "cannot read the value");
    while ((count = read(fd, data, sizeof(data))) > 0) {
        fwrite(data, 1, (size_t)count, stdout);
        last = data[count - 1];
    }
    if (last != '\n' && ctl->globals.stdout_is_tty)
        putchar('\n');
    return fflush(stdout) == 0
               ? 0
               : fail(ERROR_INTERNAL, strerror(errno), NULL, "cannot write the value");
}

/* Absent is a key that a node has not, not one of a node that nobody knows. */
static int check_node(struct ctl *ctl, const struct place *place)
{
    _cleanup_json_ cJSON *parameters = place_parameters(ctl, place), *answer = NULL;

    if (!json_is_set(parameters, "node"))
        return 0;
    return client_call(ctl, (struct call){"Status", TAKE_PTR(parameters), -1, false, NULL},
                       &answer);
}

int memory_get_run(struct ctl *ctl)
{
    const char *otherwise = options_get(&ctl->options, "default");
    bool json = ctl->globals.json != JSON_OFF;
    _cleanup_json_ cJSON *answer = NULL;
    _cleanup_close_ int fd = -EBADF;
    struct place place;
    int r = parse_key(ctl->options.words[0], &place);

    if (r != 0)
        return r;
    fd = json ? -EBADF : memfd_create("value", MFD_CLOEXEC);
    if (!json && fd < 0)
        return fail(ERROR_INTERNAL, strerror(errno), NULL, "cannot hold the value");
    cJSON *parameters = place_parameters(ctl, &place);
    json_add_string(parameters, "key", place.rest);
    if (options_has(&ctl->options, "any"))
        json_add_bool(parameters, "any", true);
    r = client_call(ctl,
                    (struct call){"GetMemory", parameters, fd, false, otherwise ? is_absent : NULL},
                    &answer);
    if (r == 0 && !answer)
        r = check_node(ctl, &place);
    if (r != 0)
        return r;
    if (!answer && json) {
        answer = cJSON_CreateObject();
        json_add_string(answer, "schema", "p2pctl.mem/1");
        json_add_string(answer, "key", place.rest);
        json_add_null(answer, "node");
        json_add_string(answer, "value", otherwise);
        json_add_null(answer, "version");
        json_add_null(answer, "ttl_s");
    }
    if (json)
        return render_json(ctl, answer, NULL);
    if (answer)
        return print_value(ctl, fd);
    fputs(otherwise, stdout);
    if (ctl->globals.stdout_is_tty)
        putchar('\n');
    return 0;
}

static void size_cell(const struct ctl *ctl, const cJSON *key, struct cell *cell)
{
    char text[RENDER_TEXT_MAX];

    (void)ctl;
    cell_printf(cell, "%s", render_size(json_number(key, "size_bytes", 0), text));
}

static void ttl_cell(const struct ctl *ctl, const cJSON *key, struct cell *cell)
{
    char text[RENDER_TEXT_MAX];

    (void)ctl;
    if (json_is_set(key, "ttl_s"))
        cell_printf(cell, "%s", render_span(json_number(key, "ttl_s", 0), text));
}

static void modified_cell(const struct ctl *ctl, const cJSON *key, struct cell *cell)
{
    char text[RENDER_TEXT_MAX];

    cell_printf(cell, "%s", render_time(ctl, json_text(key, "modified", NULL), text));
}

static void memory_footer(const struct ctl *ctl, const cJSON *answer, FILE *stream)
{
    char text[RENDER_TEXT_MAX];
    double size = 0;
    int count = cJSON_GetArraySize(json_member(answer, "keys"));

    (void)ctl;
    json_for_each (key, json_member(answer, "keys"))
        size += json_number(key, "size_bytes", 0);
    fprintf(stream, "%d key%s, %s.\n", count, PLURAL(count), render_size(size, text));
}

int memory_list_run(struct ctl *ctl)
{
    static const struct column columns[] = {
        {"KEY", "key", COLUMN_NAME, NULL},
        {"SIZE", "size_bytes", COLUMN_RIGHT, size_cell},
        {"VERSION", "version", COLUMN_RIGHT, NULL},
        {"TTL", "ttl_s", COLUMN_RIGHT, ttl_cell},
        {"MODIFIED", "modified", COLUMN_RIGHT | COLUMN_LOW, modified_cell},
        {"NODE", "node", COLUMN_EXTRA | COLUMN_NAME, NULL},
    };
    static const struct screen screen = {"keys", columns, ARRAY_SIZE(columns)};
    _cleanup_json_ cJSON *answer = NULL;
    struct place place = {.rest = ""};

    if (ctl->options.words_count > 0)
        place_parse(ctl->options.words[0], &place);
    cJSON *parameters = place_parameters(ctl, &place);
    if (*place.rest)
        json_add_string(parameters, "prefix", place.rest);
    int r =
        client_list(ctl, (struct call){"ListMemory", parameters, -1, false, NULL}, "keys", &answer);
    return r != 0 ? r : screen_show(ctl, &screen, answer, memory_footer);
}

static int remove_one(struct ctl *ctl, const struct place *place)
{
    _cleanup_json_ cJSON *answer = NULL;
    char text[RENDER_TEXT_MAX];
    cJSON *parameters = place_parameters(ctl, place);

    json_add_string(parameters, "key", place->rest);
    int r = client_call(ctl, (struct call){"RemoveMemory", parameters, -1, false, NULL}, &answer);
    if (r != 0)
        return r;
    if (ctl->globals.json != JSON_OFF)
        return render_json(ctl, answer, NULL);
    if (ctl->globals.quiet)
        return 0;
    fputs("removed ", stdout);
    render_tinted(ctl, stdout, TONE_PLAIN, json_text(answer, "key", "?"));
    fputs(" from ", stdout);
    render_tinted(ctl, stdout, TONE_PLAIN, json_text(answer, "node", "?"));
    printf(" (%s)\n", render_size(json_number(answer, "size_bytes", 0), text));
    return 0;
}

/* Of many the others, too, where one cannot be dropped; what was wrong first is what counts. */
int memory_remove_run(struct ctl *ctl)
{
    struct place place;
    int failure = 0;

    if (ctl->options.words_count > 1)
        render_several(ctl, "keys");
    for (size_t i = 0; i < ctl->options.words_count; i++) {
        int r = parse_key(ctl->options.words[i], &place);
        if (r == 0)
            r = remove_one(ctl, &place);
        if (failure == 0)
            failure = r;
        if (client_is_lost(ctl))
            break;
    }
    return failure;
}
