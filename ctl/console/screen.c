/* SPDX-License-Identifier: MIT */
#include "console/screen.h"

#include <libsmartcols/libsmartcols.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <wchar.h>
#include "base/text.h"
#include "console/failure.h"
#include "console/watch.h"

#define GAP            2
#define SHORTENED_MIN  8 /* a text column is not shortened below this */
#define WIDTH_DEFAULT  80
#define WIDTH_INFINITE SIZE_MAX

void cell_printf(struct cell *cell, const char *format, ...)
{
    va_list arguments;

    free(cell->text);
    va_start(arguments, format);
    if (vasprintf(&cell->text, format, arguments) < 0)
        cell->text = NULL;
    va_end(arguments);
}

char *screen_value(const cJSON *value)
{
    char *text = NULL;
    size_t size;

    if (cJSON_IsString(value))
        return strdup(value->valuestring);
    if (cJSON_IsBool(value))
        return strdup(cJSON_IsTrue(value) ? "yes" : "no");
    if (!value || cJSON_IsNull(value))
        return strdup("");
    if (cJSON_IsNumber(value))
        return asprintf(&text, "%.15g", value->valuedouble) < 0 ? NULL : text;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return NULL;
    for (const cJSON *item = value->child; item; item = item->next) {
        _cleanup_free_ char *part = screen_value(item);
        fprintf(stream, "%s%s%s%s", item == value->child ? "" : ",",
                cJSON_IsObject(value) ? item->string : "", cJSON_IsObject(value) ? "=" : "",
                part ? part : "");
    }
    fclose(stream);
    return text;
}

static bool is_word(const char *word, const char *name, size_t size)
{
    return strlen(word) == size && strncasecmp(word, name, size) == 0;
}

const struct column *screen_find_column(const struct screen *screen, const char *name, size_t size)
{
    /* What stands above a column wins over what the JSON calls another. */
    for (size_t i = 0; i < screen->columns_count; i++)
        if (is_word(screen->columns[i].name, name, size))
            return &screen->columns[i];
    for (size_t i = 0; i < screen->columns_count; i++)
        if (screen->columns[i].key && is_word(screen->columns[i].key, name, size))
            return &screen->columns[i];
    return NULL;
}

int screen_fail_column(const struct screen *screen, const char *name, size_t size)
{
    const char *names[SCREEN_COLUMNS_MAX + 1];
    _cleanup_free_ char *word = strndup(name, size), *typed = strndup(name, size);
    char hint[96] = "see all columns: -o help";

    if (!word || !typed)
        return fail_memory();
    for (char *c = word; *c; c++)
        *c = (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
    for (size_t i = 0; i < screen->columns_count; i++)
        names[i] = screen->columns[i].name;
    names[screen->columns_count] = NULL;
    const char *closest = text_closest(word, names);
    if (closest)
        snprintf(hint, sizeof(hint), "did you mean \"%s\"?", closest);
    return fail(ERROR_USAGE, NULL, hint, "unknown column \"%s\"", typed);
}

/* What is drawn: the chosen columns, and a cell for each of them in each row. */
struct grid {
    const struct column *columns[SCREEN_COLUMNS_MAX];
    size_t widths[SCREEN_COLUMNS_MAX];
    size_t columns_count;
    bool has_head;
    struct cell *cells; /* owned; row by row */
    size_t rows_count;
};

static void grid_done(struct grid *grid)
{
    for (size_t i = 0; i < grid->rows_count * grid->columns_count; i++)
        free(grid->cells[i].text);
    free(grid->cells);
}

static struct cell *grid_cell(const struct grid *grid, size_t row, size_t column)
{
    return &grid->cells[row * grid->columns_count + column];
}

static bool has_column(const struct grid *grid, const struct column *column)
{
    for (size_t i = 0; i < grid->columns_count; i++)
        if (grid->columns[i] == column)
            return true;
    return false;
}

static int choose_columns(const struct screen *screen, const char *output, struct grid *grid)
{
    bool add = output && *output == '+';

    if (!output || add)
        for (size_t i = 0; i < screen->columns_count; i++)
            if (!(screen->columns[i].flags & COLUMN_EXTRA))
                grid->columns[grid->columns_count++] = &screen->columns[i];
    for (const char *name = output ? output + add : ""; *name;) {
        size_t size = strcspn(name, ",");
        const struct column *column = screen_find_column(screen, name, size);
        if (!column)
            return screen_fail_column(screen, name, size);
        if (grid->columns_count == SCREEN_COLUMNS_MAX)
            return fail_usage("at most %d columns", SCREEN_COLUMNS_MAX);
        if (!add || !has_column(grid, column))
            grid->columns[grid->columns_count++] = column;
        name += size + (name[size] == ',');
        name += strspn(name, "+");
    }
    return grid->columns_count > 0 ? 0 : screen_fail_column(screen, "", 0);
}

/* Text from anywhere, made harmless before its width is measured. */
static void clean_cell(struct cell *cell, unsigned flags)
{
    char *clean = NULL;
    size_t size;
    FILE *stream;

    if (!cell->text || *cell->text == '\0') {
        cell_printf(cell, "%s", flags & COLUMN_BLANK ? "" : "-");
        return;
    }
    stream = open_memstream(&clean, &size);
    if (!stream)
        return;
    render_text(stream, cell->text, strlen(cell->text));
    fclose(stream);
    free(cell->text);
    cell->text = clean;
}

void screen_fill_cell(const struct ctl *ctl, const struct column *column, const cJSON *row,
                      struct cell *cell)
{
    if (column->format)
        column->format(ctl, row, cell);
    else
        cell->text = screen_value(json_member(row, column->key));
    clean_cell(cell, column->flags);
}

static int fill_grid(const struct ctl *ctl, const cJSON *rows, struct grid *grid)
{
    size_t count = (size_t)cJSON_GetArraySize(rows), r = 0;

    grid->cells = calloc(count * grid->columns_count + 1, sizeof(*grid->cells));
    if (!grid->cells)
        return fail_memory();
    grid->rows_count = count;
    for (size_t c = 0; c < grid->columns_count; c++)
        grid->widths[c] = grid->has_head ? strlen(grid->columns[c]->name) : 0;
    json_for_each (row, rows) {
        for (size_t c = 0; c < grid->columns_count; c++) {
            struct cell *cell = grid_cell(grid, r, c);
            screen_fill_cell(ctl, grid->columns[c], row, cell);
            if (cell->text)
                grid->widths[c] = MAX(grid->widths[c], render_width(cell->text));
        }
        r++;
    }
    return 0;
}

static size_t terminal_width(const struct ctl *ctl)
{
    const char *text = getenv("COLUMNS");
    struct winsize size;

    if (ctl->globals.full)
        return WIDTH_INFINITE;
    if (text && atoi(text) > 0)
        return (size_t)atoi(text);
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return WIDTH_DEFAULT;
}

static size_t grid_width(const struct grid *grid)
{
    size_t width = 0;

    for (size_t c = 0; c < grid->columns_count; c++)
        if (grid->columns[c])
            width += grid->widths[c] + GAP;
    return width > GAP ? width - GAP : 0;
}

static void shorten_cell(struct cell *cell, size_t width)
{
    char *text = cell->text ? render_shorten(cell->text, width) : NULL;

    if (!text)
        return;
    free(cell->text);
    cell->text = text;
}

/* Narrow terminals lose the low columns first, the last of them first; then the last text is cut.
 */
static void fit_grid(struct grid *grid, size_t width)
{
    for (size_t c = grid->columns_count; c > 0 && grid_width(grid) > width; c--)
        if (grid->columns[c - 1]->flags & COLUMN_LOW)
            grid->columns[c - 1] = NULL;
    for (size_t c = grid->columns_count; c > 0 && grid_width(grid) > width; c--) {
        const struct column *column = grid->columns[c - 1];
        if (!column || column->flags & (COLUMN_RIGHT | COLUMN_NAME))
            continue;
        size_t over = grid_width(grid) - width;
        size_t target =
            grid->widths[c - 1] > over + SHORTENED_MIN ? grid->widths[c - 1] - over : SHORTENED_MIN;
        if (target >= grid->widths[c - 1])
            continue;
        for (size_t r = 0; r < grid->rows_count; r++)
            shorten_cell(grid_cell(grid, r, c - 1), target);
        grid->widths[c - 1] = target;
    }
}

static int add_lines(struct libscols_table *table, const struct grid *grid)
{
    for (size_t r = 0; r < grid->rows_count; r++) {
        struct libscols_line *line = scols_table_new_line(table, NULL);
        size_t place = 0;
        if (!line)
            return -ENOMEM;
        for (size_t c = 0; c < grid->columns_count; c++) {
            if (!grid->columns[c])
                continue;
            const struct cell *cell = grid_cell(grid, r, c);
            struct libscols_cell *target = scols_line_get_cell(line, place++);
            if (!target || scols_cell_set_data(target, cell->text ? cell->text : "") < 0)
                return -ENOMEM;
            if (cell->tone != TONE_PLAIN)
                scols_cell_set_color(target, render_tone(cell->tone));
        }
    }
    return 0;
}

static int draw(struct libscols_table *table, const struct ctl *ctl, const struct grid *grid,
                char **ret)
{
    scols_table_set_column_separator(table, "  ");
    scols_table_set_termforce(table, SCOLS_TERMFORCE_NEVER);
    /* The cells are clean already; a second escaping would spoil the first. */
    scols_table_enable_noencoding(table, 1);
    scols_table_enable_noheadings(table, !grid->has_head);
    scols_table_enable_colors(table, ctl->globals.color);
    for (size_t c = 0; c < grid->columns_count; c++)
        if (grid->columns[c] &&
            !scols_table_new_column(table, grid->columns[c]->name, 0,
                                    grid->columns[c]->flags & COLUMN_RIGHT ? SCOLS_FL_RIGHT : 0))
            return -ENOMEM;
    int r = add_lines(table, grid);
    return r < 0 ? r : scols_print_table_to_string(table, ret);
}

/* libsmartcols fills the last column up with spaces; nobody wants to copy those. */
static void print_trimmed(const char *text)
{
    while (*text) {
        size_t size = strcspn(text, "\n"), end = size;
        while (end > 0 && text[end - 1] == ' ')
            end--;
        fwrite(text, 1, end, stdout);
        putchar('\n');
        text += size + (text[size] == '\n');
    }
}

static void print_column_help(const struct screen *screen)
{
    for (size_t i = 0; i < screen->columns_count; i++)
        printf("%-12s %s%s\n", screen->columns[i].name,
               screen->columns[i].key ? screen->columns[i].key : "",
               screen->columns[i].flags & COLUMN_EXTRA ? "  (with -o)" : "");
}

/* Fills the first row up, so that the columns stand as they stood above. */
static void pad_row(const struct grid *grid)
{
    for (size_t c = 0; c < grid->columns_count && grid->rows_count > 0; c++) {
        struct cell *cell = grid_cell(grid, 0, c);
        size_t width = cell->text ? render_width(cell->text) : 0;
        if (!grid->columns[c] || !cell->text || width >= grid->widths[c])
            continue;
        int missing = (int)(grid->widths[c] - width);
        _cleanup_free_ char *before = TAKE_PTR(cell->text);
        if (grid->columns[c]->flags & COLUMN_RIGHT)
            cell_printf(cell, "%*s%s", missing, "", before);
        else
            cell_printf(cell, "%s%*s", before, missing, "");
    }
}

/* The columns of the parts before, at least as wide as they were. */
static void follow(struct grid *grid, const struct screen_flow *flow)
{
    for (size_t c = 0; c < grid->columns_count; c++)
        if (flow->widths[c] == WIDTH_INFINITE)
            grid->columns[c] = NULL;
        else
            grid->widths[c] = MAX(grid->widths[c], flow->widths[c]);
}

static void remember(const struct grid *grid, struct screen_flow *flow)
{
    flow->is_begun = true;
    for (size_t c = 0; c < grid->columns_count; c++)
        flow->widths[c] = grid->columns[c] ? grid->widths[c] : WIDTH_INFINITE;
}

/* @flow NULL: of one part. */
static int format_part(const struct ctl *ctl, const struct screen *screen, const cJSON *answer,
                       size_t width, struct screen_flow *flow, char **ret)
{
    bool is_later = flow && flow->is_begun;
    _cleanup_(grid_done) struct grid grid = {.has_head = !ctl->globals.no_header && !is_later};
    int r = choose_columns(screen, ctl->globals.output, &grid);

    if (r == 0)
        r = fill_grid(ctl, json_member(answer, screen->list), &grid);
    if (r != 0)
        return r;
    if (is_later)
        follow(&grid, flow);
    fit_grid(&grid, width);
    if (is_later)
        pad_row(&grid);
    if (flow)
        remember(&grid, flow);
    struct libscols_table *table = scols_new_table();
    if (!table)
        return fail_memory();
    r = draw(table, ctl, &grid, ret);
    scols_unref_table(table);
    return r < 0 ? fail_memory() : 0;
}

int screen_format(const struct ctl *ctl, const struct screen *screen, const cJSON *answer,
                  size_t width, char **ret)
{
    return format_part(ctl, screen, answer, width, NULL, ret);
}

static int print_part(const struct ctl *ctl, const struct screen *screen, const cJSON *answer,
                      struct screen_flow *flow)
{
    _cleanup_free_ char *text = NULL;
    bool is_help = ctl->globals.output && strcmp(ctl->globals.output, "help") == 0;

    if (is_help && (!flow || !flow->is_begun))
        print_column_help(screen);
    if (is_help && flow)
        flow->is_begun = true;
    int r = is_help ? 0 : format_part(ctl, screen, answer, terminal_width(ctl), flow, &text);
    if (r == 0 && text)
        print_trimmed(text);
    return r;
}

int screen_print(const struct ctl *ctl, const struct screen *screen, const cJSON *answer)
{
    return print_part(ctl, screen, answer, NULL);
}

int screen_show_part(const struct ctl *ctl, const struct screen *screen, cJSON *part,
                     struct screen_flow *flow)
{
    int r = screen_select(ctl, screen, part);

    if (r != 0)
        return r;
    if (ctl->globals.json != JSON_OFF)
        return render_json(ctl, part, screen->list);
    /* Nothing below the head, or nothing more of it. */
    if (flow->is_begun && cJSON_GetArraySize(json_member(part, screen->list)) == 0)
        return 0;
    return print_part(ctl, screen, part, flow);
}

int screen_show(struct ctl *ctl, const struct screen *screen, cJSON *answer,
                void (*footer)(const struct ctl *ctl, const cJSON *answer, FILE *stream))
{
    int r = screen_select(ctl, screen, answer);

    if (r != 0)
        return r;
    if (ctl->globals.json != JSON_OFF)
        return render_json(ctl, answer, screen->list);
    if (ctl->shown && !ctl->globals.stdout_is_tty)
        watch_drop_shown(ctl, screen->list, answer);
    r = screen_print(ctl, screen, answer);
    if (r == 0 && footer && ctl->globals.legend) {
        putchar('\n');
        footer(ctl, answer, stdout);
    }
    return r;
}
