/* SPDX-License-Identifier: MIT */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <termios.h>
#include "base/json.h"
#include "client.h"
#include "interrupt.h"
#include "commands.h"
#include "cluster/frame.h"
#include "cluster/key.h"
#include "console/failure.h"
#include "console/render.h"

/*
 * `p2pctl top`: the terminal around frame.c. Drawn again when something happened, at most four
 * times a second, and once a second in any case. Plain escape sequences that every terminal of the
 * last thirty years knows; no library. Where there is no terminal, one picture is printed.
 */

#define LOOK_USEC    (250 * USEC_PER_MSEC)
#define LOOKS_MAX    4 /* without an event, until it is drawn all the same */
#define EVENT_LINES  10
#define MESSAGES_MAX 20
#define EVENTS_MAX   500 /* in the list of events */

#define CONTROL(letter) ((letter)&0x1f)

#define ENTER_SCREEN "\033[?1049h\033[?25l"
#define LEAVE_SCREEN "\033[?25h\033[?1049l"

struct top {
    struct ctl *ctl;
    struct view view;
    struct pane pane;
    double last_event; /* seq */
    char note[192];
    char asked;  /* what a "y" would do: c(ancel), r(etry); 0 = nothing */
    char edited; /* what is being typed: the filter '/', the columns 'F'; 0 = nothing */
    char text[PANE_TEXT_MAX];
    struct termios before;
    int told_fd;   /* what is told on stderr meanwhile, which would spoil the picture */
    int stderr_fd; /* the real one */
};

/* --- What the daemon says --- */

static void view_clear(struct view *view)
{
    cJSON_Delete(view->status);
    cJSON_Delete(view->members);
    cJSON_Delete(view->rows);
    cJSON_Delete(view->events);
    cJSON_Delete(view->messages);
    *view = (struct view){.note = NULL};
}

static cJSON *events_parameters(const struct ctl *ctl, uint64_t lines)
{
    static const char *const types[] = {"node-*",     "member-*",        "task-*",     "message",
                                        "*-conflict", "drain",           "undrain",    "problem",
                                        "file-*",     "config-reloaded", "key-changed"};
    cJSON *parameters = client_parameters(ctl), *list = cJSON_AddArrayToObject(parameters, "types");

    json_add_u64(parameters, "lines", lines);
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(types[i]));
    return parameters;
}

/* The list of the lower half. Return: as client_call. */
static int look_at_rows(struct top *top)
{
    static const char *const methods[] = {[PANE_TASKS] = "ListTasks", [PANE_FILES] = "ListFiles"};
    struct ctl *ctl = top->ctl;
    struct view *view = &top->view;
    const char *list = pane_get_list(&top->pane);
    struct call call = {.fd = -1};

    if (top->pane.kind == PANE_NODES) {
        view->rows = cJSON_Duplicate(view->members, true);
        return view->rows ? 0 : fail_memory();
    }
    bool is_events = top->pane.kind == PANE_EVENTS;
    call.method = is_events ? "Events" : methods[top->pane.kind];
    call.parameters = is_events ? events_parameters(ctl, EVENTS_MAX) : client_parameters(ctl);
    int r = client_list(ctl, call, list, &view->rows);
    if (r == 0 && top->pane.kind == PANE_TASKS)
        frame_sort_tasks(cJSON_GetObjectItemCaseSensitive(view->rows, list));
    return r;
}

/* Return: as client_call. */
static int look(struct top *top)
{
    struct ctl *ctl = top->ctl;
    struct view *view = &top->view;
    cJSON *inbox = client_parameters(ctl);

    view_clear(view);
    json_add_u64(inbox, "lines", MESSAGES_MAX);
    int r = client_call(ctl, (struct call){"Status", client_parameters(ctl), -1, false, NULL},
                        &view->status);
    if (r == 0)
        r = client_list(ctl, (struct call){"Members", client_parameters(ctl), -1, false, NULL},
                        "members", &view->members);
    if (r == 0)
        r = client_list(
            ctl, (struct call){"Events", events_parameters(ctl, EVENT_LINES), -1, false, NULL},
            "events", &view->events);
    if (r == 0)
        r = client_list(ctl, (struct call){"Inbox", TAKE_PTR(inbox), -1, false, NULL}, "messages",
                        &view->messages);
    cJSON_Delete(inbox);
    return r == 0 ? look_at_rows(top) : r;
}

static double last_of(const cJSON *events)
{
    const cJSON *list = json_member(events, "events");
    int count = cJSON_GetArraySize(list);

    return count > 0 ? json_number(cJSON_GetArrayItem(list, count - 1), "seq", 0) : 0;
}

/* Whether anything has happened since the last picture. Return: as client_call, or 1 for yes. */
static int has_news(struct top *top)
{
    _cleanup_json_ cJSON *events = NULL;
    int r = client_list(top->ctl,
                        (struct call){"Events", events_parameters(top->ctl, 1), -1, false, NULL},
                        "events", &events);

    return r != 0 ? r : last_of(events) > top->last_event;
}

/* --- The terminal --- */

static volatile sig_atomic_t is_resized;

static void on_resize(int number)
{
    (void)number;
    is_resized = 1;
}

/* What was told since the last time, on one line, into @target; and it is forgotten. */
static void take_told(struct top *top, char *target, size_t size)
{
    ssize_t got = pread(top->told_fd, target, size - 1, 0);

    target[MAX(got, 0)] = '\0';
    for (char *c = target; *c; c++)
        *c = *c == '\n' ? ' ' : *c;
    if (ftruncate(top->told_fd, 0) == 0)
        (void)lseek(top->told_fd, 0, SEEK_SET);
}

static void enter(struct top *top)
{
    fflush(stderr);
    (void)dup2(top->told_fd, STDERR_FILENO);
    struct termios raw = top->before;

    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    fputs(ENTER_SCREEN, stdout);
}

static void leave(struct top *top)
{
    fputs(LEAVE_SCREEN, stdout);
    fflush(stdout);
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &top->before);
    fflush(stderr);
    (void)dup2(top->stderr_fd, STDERR_FILENO);
}

static void get_size(size_t *ret_columns, size_t *ret_rows)
{
    struct winsize size = {0};
    const char *columns = getenv("COLUMNS"), *rows = getenv("LINES");

    *ret_columns = columns ? (size_t)strtoul(columns, NULL, 10) : 0;
    *ret_rows = rows ? (size_t)strtoul(rows, NULL, 10) : 0;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
        *ret_columns = size.ws_col;
        *ret_rows = size.ws_row;
    }
    *ret_columns = CLAMP(*ret_columns, (size_t)FRAME_COLUMNS_MIN, (size_t)500);
    *ret_rows = CLAMP(*ret_rows, (size_t)FRAME_ROWS_MIN, (size_t)500);
}

/* The bottom line while something is typed. */
static void say_typed(struct top *top)
{
    snprintf(top->note, sizeof(top->note), " %s: %s_",
             top->edited == '/' ? "filter (a word, or KEY=VAL)" : "columns", top->text);
}

/* Into @text, owned by the caller. What is wrong with filter or columns is noted, and they go. */
static void draw_picture(struct top *top, char **text, size_t *size)
{
    size_t columns, rows;
    struct pane *pane = &top->pane;
    FILE *out = open_memstream(text, size);

    if (!out)
        return;
    get_size(&columns, &rows);
    if (pane_filter(top->ctl, pane, top->view.rows) != 0) {
        take_told(top, top->note, sizeof(top->note));
        pane->filter[0] = '\0';
    }
    if (top->edited)
        say_typed(top);
    top->view.pane = pane;
    top->view.note = *top->note ? top->note : NULL;
    if (frame_draw(top->ctl, &top->view, columns, rows, out) != 0) {
        take_told(top, top->note, sizeof(top->note));
        pane->columns[pane->kind][0] = '\0';
    }
    if (fclose(out) != 0)
        *size = 0;
}

/* The whole picture in one write, so that nothing flickers. */
static void draw(struct top *top)
{
    char before[sizeof(top->note)];
    _cleanup_free_ char *text = NULL;
    size_t size = 0;

    snprintf(before, sizeof(before), "%s", top->note);
    draw_picture(top, &text, &size);
    if (strcmp(before, top->note) != 0 && !top->edited) {
        free(text);
        text = NULL;
        draw_picture(top, &text, &size);
    }
    if (!text || size == 0)
        return;
    fputs("\033[H", stdout);
    for (const char *line = text; *line;) {
        size_t length = strcspn(line, "\n");
        fwrite(line, 1, length, stdout);
        fputs(line[length + 1] ? "\033[K\r\n" : "\033[K\033[J", stdout);
        line += length + 1;
    }
    fflush(stdout);
    top->last_event = last_of(top->view.events);
}

/* Another command of this program about what is chosen, on the terminal as it was before. */
static void run_command(struct top *top, const char *noun, const char *verb)
{
    const struct globals *globals = &top->ctl->globals;
    const char *words[12] = {"p2pctl"};
    size_t count = 1;
    char key;

    if (globals->socket || globals->instance) {
        words[count++] = globals->socket ? "--socket" : "--instance";
        words[count++] = globals->socket ? globals->socket : globals->instance;
    }
    if (globals->node) {
        words[count++] = "--node";
        words[count++] = globals->node;
    }
    words[count++] = noun;
    words[count++] = verb;
    words[count++] = top->pane.selected;
    words[count] = NULL;
    leave(top);
    pid_t child = fork();
    if (child == 0) {
        (void)signal(SIGINT, SIG_DFL);
        execv("/proc/self/exe", (char *const *)(uintptr_t)words);
        _exit(1);
    }
    if (child > 0)
        (void)waitpid(child, NULL, 0);
    fputs("\n(Enter goes back)", stdout);
    fflush(stdout);
    while (read(STDIN_FILENO, &key, 1) == 1 && key != '\n')
        continue;
    enter(top);
}

/* --- Keys --- */

/* Asks first: the answer is the next key. */
static void ask(struct top *top, char key)
{
    top->asked = key;
    snprintf(top->note, sizeof(top->note), " %s %s? y/n", key == 'c' ? "cancel" : "retry",
             top->pane.selected);
}

static void answer(struct top *top, char key)
{
    cJSON *parameters = client_parameters(top->ctl);
    _cleanup_json_ cJSON *reply = NULL;
    const char *method = top->asked == 'c' ? "CancelTask" : "RetryTask";
    cJSON *ids = cJSON_AddArrayToObject(parameters, "ids");

    top->note[0] = '\0';
    top->asked = 0;
    cJSON_AddItemToArray(ids, cJSON_CreateString(top->pane.selected));
    if (key != 'y') {
        cJSON_Delete(parameters);
        return;
    }
    if (client_call(top->ctl, (struct call){method, parameters, -1, false, NULL}, &reply) != 0)
        take_told(top, top->note, sizeof(top->note));
}

/* Begins to type what is in force now. */
static void edit(struct top *top, char what)
{
    struct pane *pane = &top->pane;

    top->edited = what;
    if (what == '/')
        snprintf(top->text, sizeof(top->text), "%s", pane->filter);
    else if (*pane->columns[pane->kind])
        snprintf(top->text, sizeof(top->text), "%s", pane->columns[pane->kind]);
    else
        pane_list_columns(pane, top->text);
}

/* One key while something is typed. */
static void type_key(struct top *top, char key)
{
    struct pane *pane = &top->pane;

    if (key != KEY_ESCAPE && key != '\n') {
        key_edit(top->text, sizeof(top->text), key);
        return;
    }
    if (key == '\n')
        memcpy(top->edited == '/' ? pane->filter : pane->columns[pane->kind], top->text,
               sizeof(top->text));
    top->edited = 0;
    top->note[0] = '\0';
}

/* Another list below. */
static void change_pane(struct top *top, enum pane_kind kind)
{
    if (top->pane.kind == kind)
        return;
    top->pane.kind = kind;
    top->pane.selected[0] = top->pane.filter[0] = '\0';
    top->pane.first = 0;
}

/* What a key does with the row that is chosen. */
static void act(struct top *top, char key)
{
    enum pane_kind kind = top->pane.kind;

    if (kind != PANE_TASKS && (kind != PANE_NODES || key != '\n'))
        return;
    if (!*top->pane.selected)
        snprintf(top->note, sizeof(top->note), " choose a %s with the up and down keys first",
                 kind == PANE_TASKS ? "task" : "node");
    else if (key == '\n')
        run_command(top, kind == PANE_TASKS ? "task" : "node", "show");
    else if (key == 'l')
        run_command(top, "task", "logs");
    else
        ask(top, key);
}

/* Return: whether to go on. */
static bool take_key(struct top *top, char key)
{
    top->note[0] = '\0';
    if (key == 'q' || key == KEY_CONTROL('D'))
        return false;
    if (key == 'k' || key == 'j')
        pane_move(&top->pane, top->view.rows, key == 'k' ? -1 : 1);
    else if (key >= '1' && key < '1' + _PANE_MAX)
        change_pane(top, (enum pane_kind)(key - '1'));
    else if (key == '/' || key == 'F')
        edit(top, key);
    else if (key == KEY_ESCAPE)
        top->pane.filter[0] = '\0';
    else if (key && strchr("\nlcr", key))
        act(top, key);
    return true;
}

/* Return: whether to go on. */
static bool take_keys(struct top *top)
{
    char pressed[64];
    const char *keys = pressed;
    ssize_t got = read(STDIN_FILENO, pressed, sizeof(pressed));
    size_t size = (size_t)MAX(got, 0);
    bool goes_on = size > 0, is_sequence;

    while (goes_on && size > 0) {
        char key = key_next(&keys, &size, &is_sequence);
        if (top->asked)
            answer(top, key);
        else if (top->edited && !is_sequence)
            type_key(top, key);
        else if (!top->edited)
            goes_on = take_key(top, key);
    }
    return goes_on;
}

/* Waits for a key or for something to happen. Return: 1 to draw again, 0 for the end; else as
 * client_call. */
static int wait_for_change(struct top *top)
{
    for (int i = 0; i < LOOKS_MAX; i++) {
        struct pollfd polled = {.fd = STDIN_FILENO, .events = POLLIN};
        int ready = poll(&polled, 1, (int)(LOOK_USEC / USEC_PER_MSEC));
        if (ready < 0 && errno != EINTR)
            return 0;
        if (ready < 0 && !is_resized)
            return CLIENT_INTERRUPTED;
        if (ready < 0 || is_resized) {
            is_resized = 0;
            return 1;
        }
        if (ready > 0)
            return take_keys(top);
        int r = has_news(top);
        if (r != 0)
            return r;
    }
    return 1;
}

static int run_screen(struct top *top)
{
    struct sigaction action = {.sa_handler = on_resize};
    char told[1024];
    int r = 1;

    if (tcgetattr(STDIN_FILENO, &top->before) < 0)
        return fail(ERROR_USAGE, NULL, NULL, "top needs a terminal to read keys from");
    top->stderr_fd = dup(STDERR_FILENO);
    top->told_fd = memfd_create("p2pctl-top", MFD_CLOEXEC);
    if (top->stderr_fd < 0 || top->told_fd < 0)
        return fail(ERROR_INTERNAL, strerror(errno), NULL, "cannot draw");
    sigaction(SIGWINCH, &action, NULL);
    interrupt_catch();
    enter(top);
    while (r == 1) {
        r = look(top);
        if (r != 0)
            break;
        draw(top);
        r = wait_for_change(top);
    }
    leave(top);
    take_told(top, told, sizeof(told));
    if (r > 0 && *told)
        fprintf(stderr, "%s\n", told);
    close_fd(top->told_fd);
    close_fd(top->stderr_fd);
    return r == CLIENT_INTERRUPTED ? 0 : r;
}

int top_run(struct ctl *ctl)
{
    struct top top = {.ctl = ctl, .pane = {.kind = PANE_TASKS}};
    size_t columns, rows;
    int r;

    if (ctl->globals.json != JSON_OFF)
        return fail_usage(
            "top is for people; for programs there are status, members and task list");
    if (ctl->globals.stdout_is_tty) {
        /* Told on the screen of before, and not on the one that goes away. */
        r = client_connect(ctl);
        if (r == 0)
            r = run_screen(&top);
    } else {
        r = look(&top);
        get_size(&columns, &rows);
        top.view.pane = &top.pane;
        if (r == 0)
            r = frame_draw(ctl, &top.view, columns, rows, stdout);
    }
    view_clear(&top.view);
    return r;
}
