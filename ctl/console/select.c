/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/glob.h"
#include "console/failure.h"
#include "console/screen.h"

/* Which rows of a list are shown, and in which order: --filter and --sort. */

/* Whether @value, or one element of it, is @wanted; an object's elements are compared as
 * "key=value". */
static bool value_matches(const cJSON *value, const char *wanted, bool glob)
{
    if (cJSON_IsArray(value) || cJSON_IsObject(value)) {
        for (const cJSON *item = value->child; item; item = item->next) {
            _cleanup_free_ char *part = screen_value(item);
            _cleanup_free_ char *pair = NULL;
            if (!part ||
                (cJSON_IsObject(value) && asprintf(&pair, "%s=%s", item->string, part) < 0))
                return false;
            const char *text = pair ? pair : part;
            if (glob ? glob_matches(wanted, text) : strcmp(wanted, text) == 0)
                return true;
        }
        return false;
    }
    /* "yes" in a table is "true" in JSON. */
    const char *word = cJSON_IsTrue(value) ? "true" : cJSON_IsFalse(value) ? "false" : NULL;
    if (word && (glob ? glob_matches(wanted, word) : strcmp(wanted, word) == 0))
        return true;
    _cleanup_free_ char *text = screen_value(value);
    return text && (glob ? glob_matches(wanted, text) : strcmp(wanted, text) == 0);
}

/*
 * The key of the column or, in @rows, of the JSON that is called so; owned by the caller. Of no
 * rows any key is one. NULL: none, or no memory.
 */
static char *find_key(const struct screen *screen, const char *name, size_t size, const cJSON *rows)
{
    const struct column *column = screen_find_column(screen, name, size);

    if (column && column->key)
        return strdup(column->key);
    json_for_each (row, rows)
        json_for_each (item, row)
            if (strlen(item->string) == size && strncasecmp(item->string, name, size) == 0)
                return strdup(item->string);
    return rows && !rows->child ? strndup(name, size) : NULL;
}

/* What --filter asks of a row. */
struct filter {
    char *key;                   /* owned */
    const struct column *column; /* NULL: it has none */
    const char *wanted;
    bool is_negated;
    bool is_glob;
};

static void filter_done(struct filter *filter)
{
    free(filter->key);
}

/* "KEY=VAL", "KEY!=VAL", "KEY~GLOB". @rows: whose keys count, too; or NULL. */
static int parse_filter(const struct screen *screen, const char *text, const cJSON *rows,
                        struct filter *ret)
{
    size_t size = strcspn(text, "!=~");
    const char *rest = text + size;
    bool is_negated = *rest == '!';

    rest += is_negated;
    if (size == 0 || (*rest != '=' && *rest != '~'))
        return fail_usage("--filter is KEY=VAL, KEY!=VAL or KEY~GLOB, not \"%s\"", text);
    char *key = find_key(screen, text, size, rows);
    if (!key)
        return screen_fail_column(screen, text, size);
    *ret = (struct filter){key, screen_find_column(screen, text, size), rest + 1, is_negated,
                           *rest == '~'};
    return 0;
}

static bool text_matches(const struct filter *filter, const char *text)
{
    return filter->is_glob ? glob_matches(filter->wanted, text) : strcmp(filter->wanted, text) == 0;
}

/* What a table shows of the value: "4s" of 4.2, "-" of nothing. */
static bool cell_matches(const struct ctl *ctl, const struct filter *filter, const cJSON *row)
{
    struct cell cell = {0};

    if (!filter->column)
        return false;
    screen_fill_cell(ctl, filter->column, row, &cell);
    _cleanup_free_ char *text = cell.text;
    return text && text_matches(filter, text);
}

/* An id as it is typed: "42" of "42@lab-01". */
static bool short_id_matches(const struct filter *filter, const cJSON *row)
{
    bool is_id = filter->key && strcmp(filter->key, "id") == 0;
    const char *id = is_id ? json_text(row, "id", "") : "";
    _cleanup_free_ char *text = strndup(id, strcspn(id, "@"));

    return text && *text && text_matches(filter, text);
}

static bool filter_wants(const struct ctl *ctl, const struct filter *filter, const cJSON *row)
{
    bool matches = value_matches(json_member(row, filter->key), filter->wanted, filter->is_glob) ||
                   short_id_matches(filter, row) || cell_matches(ctl, filter, row);

    return matches != filter->is_negated;
}

int screen_filter(const struct ctl *ctl, const struct screen *screen, const char *text, cJSON *rows)
{
    _cleanup_(filter_done) struct filter filter = {.wanted = ""};
    int r = parse_filter(screen, text, rows, &filter);

    for (cJSON *row = r == 0 ? rows->child : NULL, *next; row; row = next) {
        next = row->next;
        if (!filter_wants(ctl, &filter, row))
            cJSON_Delete(cJSON_DetachItemViaPointer(rows, row));
    }
    return r;
}

int screen_wants(const struct ctl *ctl, const struct screen *screen, const cJSON *row, bool *ret)
{
    int r = 0;

    *ret = true;
    for (size_t i = 0; i < ctl->globals.filters_count && r == 0; i++) {
        _cleanup_(filter_done) struct filter filter = {.wanted = ""};
        r = parse_filter(screen, ctl->globals.filters[i], NULL, &filter);
        if (r == 0 && !filter_wants(ctl, &filter, row))
            *ret = false;
    }
    return r;
}

struct sort_row {
    cJSON *row;
    const cJSON *value;
    size_t place;
};

static int compare_rows(const void *a, const void *b, void *descending)
{
    const struct sort_row *left = a, *right = b;
    int order;

    if (cJSON_IsNumber(left->value) && cJSON_IsNumber(right->value)) {
        double x = left->value->valuedouble, y = right->value->valuedouble;
        order = (x > y) - (x < y);
    } else if (cJSON_IsNumber(left->value) || cJSON_IsNumber(right->value)) {
        order = cJSON_IsNumber(left->value) ? 1 : -1; /* unknown sorts below every number */
    } else {
        _cleanup_free_ char *x = screen_value(left->value);
        _cleanup_free_ char *y = screen_value(right->value);
        order = strverscmp(x ? x : "", y ? y : "");
    }
    if (order == 0)
        return (left->place > right->place) - (left->place < right->place);
    return *(bool *)descending ? -order : order;
}

static int apply_sort(const struct screen *screen, const char *sort, cJSON *rows)
{
    size_t size = strcspn(sort, ":"), count = (size_t)cJSON_GetArraySize(rows), i = 0;
    _cleanup_free_ char *key = find_key(screen, sort, size, rows);
    bool descending = strcmp(sort + size, ":desc") == 0;
    _cleanup_free_ struct sort_row *sorted = calloc(count + 1, sizeof(*sorted));

    if (!sorted)
        return fail_memory();
    if (!key)
        return screen_fail_column(screen, sort, size);
    if (sort[size] != '\0' && !descending && strcmp(sort + size, ":asc") != 0)
        return fail_usage("--sort is COL or COL:desc, not \"%s\"", sort);
    for (cJSON *row = rows->child; row; row = row->next, i++)
        sorted[i] = (struct sort_row){row, json_member(row, key), i};
    qsort_r(sorted, count, sizeof(*sorted), compare_rows, &descending);
    for (i = 0; i < count; i++)
        cJSON_AddItemToArray(rows, cJSON_DetachItemViaPointer(rows, sorted[i].row));
    return 0;
}

void screen_keep(const struct ctl *ctl, const char *list, cJSON *answer,
                 bool (*wanted)(const struct ctl *ctl, const cJSON *row))
{
    cJSON *rows = cJSON_GetObjectItemCaseSensitive(answer, list);

    for (cJSON *row = rows ? rows->child : NULL, *next; row; row = next) {
        next = row->next;
        if (!wanted(ctl, row))
            cJSON_Delete(cJSON_DetachItemViaPointer(rows, row));
    }
}

int screen_select(const struct ctl *ctl, const struct screen *screen, cJSON *answer)
{
    cJSON *rows = cJSON_GetObjectItemCaseSensitive(answer, screen->list);
    int r = 0;

    if (!cJSON_IsArray(rows))
        return 0;
    for (size_t i = 0; i < ctl->globals.filters_count && r == 0; i++)
        r = screen_filter(ctl, screen, ctl->globals.filters[i], rows);
    /* The first counts most: what is equal by it stays as the next has sorted it. */
    size_t sorts = 0;
    while (options_get_nth(&ctl->options, "sort", sorts))
        sorts++;
    while (sorts > 0 && r == 0)
        r = apply_sort(screen, options_get_nth(&ctl->options, "sort", --sorts), rows);
    return r;
}
