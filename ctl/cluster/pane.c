/* SPDX-License-Identifier: MIT */
#include "cluster/pane.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include "console/failure.h"
#include "console/render.h"

/* Where a row begins: what marks the chosen one, or a space. */
#define MARK_WIDTH 1

static const struct {
    const struct screen *screen;
    const char *key;     /* what names a row */
    const char *noun;    /* of the command that shows this list, */
    const char *verb;    /* whose options its columns may ask for */
    const char *columns; /* NULL = those of the command */
} panes[] = {
    [PANE_NODES] = {&member_screen, "name", "members", NULL, NULL},
    [PANE_TASKS] = {&task_screen, "id", "task", "list", NULL},
    [PANE_FILES] = {&file_screen, "name", "file", "ls", NULL},
    [PANE_EVENTS] = {&event_screen, "seq", "events", NULL, "TIME,TYPE,MESSAGE"},
};

const char *pane_get_list(const struct pane *pane)
{
    return panes[pane->kind].screen->list;
}

void pane_row_key(enum pane_kind kind, const cJSON *row, char target[static PANE_TEXT_MAX])
{
    _cleanup_free_ char *text = screen_value(json_member(row, panes[kind].key));

    snprintf(target, PANE_TEXT_MAX, "%s", text ? text : "");
}

void pane_list_columns(const struct pane *pane, char target[static PANE_TEXT_MAX])
{
    const struct screen *screen = panes[pane->kind].screen;
    size_t used = 0;

    target[0] = '\0';
    if (panes[pane->kind].columns) {
        snprintf(target, PANE_TEXT_MAX, "%s", panes[pane->kind].columns);
        return;
    }
    for (size_t i = 0; i < screen->columns_count && used < PANE_TEXT_MAX; i++)
        if (!(screen->columns[i].flags & COLUMN_EXTRA))
            used += (size_t)snprintf(target + used, PANE_TEXT_MAX - used, "%s%s",
                                     used > 0 ? "," : "", screen->columns[i].name);
}

/* --- Filter --- */

static bool has_word(const cJSON *row, const char *word)
{
    json_for_each (value, row) {
        _cleanup_free_ char *text = screen_value(value);
        if (text && strcasestr(text, word))
            return true;
    }
    return false;
}

int pane_filter(const struct ctl *ctl, const struct pane *pane, cJSON *answer)
{
    const struct screen *screen = panes[pane->kind].screen;
    cJSON *rows = cJSON_GetObjectItemCaseSensitive(answer, screen->list);

    if (!*pane->filter || !rows)
        return 0;
    if (strpbrk(pane->filter, "=~"))
        return screen_filter(ctl, screen, pane->filter, rows);
    for (cJSON *row = rows->child, *next; row; row = next) {
        next = row->next;
        if (!has_word(row, pane->filter))
            cJSON_Delete(cJSON_DetachItemViaPointer(rows, row));
    }
    return 0;
}

/* --- The row that is chosen --- */

/* Its place in the list, or -1. */
static int find_selected(const struct pane *pane, const cJSON *rows)
{
    char key[PANE_TEXT_MAX];
    int place = 0;

    if (!*pane->selected)
        return -1;
    json_for_each (row, rows) {
        pane_row_key(pane->kind, row, key);
        if (strcmp(key, pane->selected) == 0)
            return place;
        place++;
    }
    return -1;
}

void pane_move(struct pane *pane, const cJSON *answer, int step)
{
    const cJSON *rows = json_member(answer, pane_get_list(pane));
    int place = find_selected(pane, rows), count = cJSON_GetArraySize(rows);

    if (count == 0) {
        pane->selected[0] = '\0';
        return;
    }
    /* Events are read from the end. */
    if (place < 0)
        place = pane->kind == PANE_EVENTS ? count - 1 : 0;
    else
        place = CLAMP(place + step, 0, count - 1);
    pane_row_key(pane->kind, cJSON_GetArrayItem(rows, place), pane->selected);
}

/* --- Drawing --- */

/* The size of the escape sequence at @text, or 0. */
static size_t escape_size(const char *text)
{
    if (text[0] != '\033' || text[1] != '[')
        return 0;
    size_t size = 2 + strcspn(text + 2, "m");
    return text[size] ? size + 1 : size;
}

/* One line of a table, which has colours, cut or filled up to @width columns. */
static void put_line(const char *text, size_t size, size_t width, FILE *out)
{
    const char *end = text + size;
    size_t used = 0, length;
    mbstate_t state = {0};
    bool is_cut = false;
    wchar_t c;

    for (; text < end; text += length) {
        length = escape_size(text);
        if (length > 0) {
            fwrite(text, 1, length, out);
            continue;
        }
        length = mbrtowc(&c, text, (size_t)(end - text), &state);
        int columns = length < (size_t)-2 ? wcwidth(c) : 1;
        length = length == 0 || length >= (size_t)-2 ? 1 : length;
        is_cut |= used + (size_t)MAX(columns, 0) > width;
        if (is_cut)
            continue;
        fwrite(text, 1, length, out);
        used += (size_t)MAX(columns, 0);
    }
    fprintf(out, "%*s", (int)(width - used), "");
}

/* @count rows of @text behind its head, from pane->first on. */
static void put_rows(const struct pane *pane, const char *text, int selected, size_t columns,
                     size_t count, FILE *out)
{
    size_t row = 0, shown = 0;

    for (const char *line = text; *line && shown < count; row++) {
        size_t size = strcspn(line, "\n");
        bool is_head = row == 0;
        if (is_head || row - 1 >= pane->first) {
            fputc(!is_head && selected >= 0 && row - 1 == (size_t)selected ? '>' : ' ', out);
            put_line(line, size, columns - MARK_WIDTH, out);
            fputc('\n', out);
            shown++;
        }
        line += size + (line[size] == '\n');
    }
    for (; shown < count; shown++)
        fprintf(out, "%*s\n", (int)columns, "");
}

/* The part that is shown has the chosen row; of events without one the end. */
static void scroll(struct pane *pane, int selected, size_t count, size_t room)
{
    size_t last = count > room ? count - room : 0;

    if (selected < 0)
        pane->first = pane->kind == PANE_EVENTS ? last : 0;
    else if ((size_t)selected < pane->first)
        pane->first = (size_t)selected;
    else if ((size_t)selected >= pane->first + room)
        pane->first = (size_t)selected + 1 - room;
    pane->first = MIN(pane->first, last);
}

/* There is no head of a table without rows. @instead is freed. */
static char *say_nothing(const struct pane *pane, char *instead)
{
    char *text = NULL;

    free(instead);
    if (asprintf(&text, "no %s%s%s%s", pane_get_list(pane), *pane->filter ? " with \"" : "",
                 pane->filter, *pane->filter ? "\"" : "") < 0)
        return NULL;
    return text;
}

int pane_draw(const struct ctl *ctl, struct pane *pane, const cJSON *answer, size_t columns,
              size_t lines, FILE *out)
{
    const struct screen *screen = panes[pane->kind].screen;
    const cJSON *rows = json_member(answer, screen->list);
    const char *chosen = pane->columns[pane->kind];
    int selected = find_selected(pane, rows), r;
    _cleanup_free_ char *text = NULL;
    struct ctl shown = *ctl;

    shown.options.command = command_find(panes[pane->kind].noun, panes[pane->kind].verb);
    shown.globals.output = *chosen ? chosen : panes[pane->kind].columns;
    shown.globals.no_header = false;
    r = screen_format(&shown, screen, answer, columns - MARK_WIDTH, &text);
    if (r != 0) {
        shown.globals.output = panes[pane->kind].columns;
        (void)screen_format(&shown, screen, answer, columns - MARK_WIDTH, &text);
    }
    if (cJSON_GetArraySize(rows) == 0)
        text = say_nothing(pane, text);
    scroll(pane, selected, (size_t)cJSON_GetArraySize(rows), lines - 1);
    put_rows(pane, text ? text : "", selected, columns, lines, out);
    return r;
}
