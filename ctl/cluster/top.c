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
#include "commands.h"
#include "console/failure.h"
#include "cluster/frame.h"
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

#define ENTER_SCREEN "\033[?1049h\033[?25l"
#define LEAVE_SCREEN "\033[?25h\033[?1049l"

struct top {
    struct ctl *ctl;
    struct view view;
    double last_event; /* seq */
    char selected[96];
    char note[160];
    char asked; /* what a "y" would do: c(ancel), r(etry); 0 = nothing */
    struct termios before;
    int told_fd;   /* what is told on stderr meanwhile, which would spoil the picture */
    int stderr_fd; /* the real one */
};

/* --- What the daemon says --- */

static void view_clear(struct view *view)
{
    cJSON_Delete(view->status);
    cJSON_Delete(view->members);
    cJSON_Delete(view->tasks);
    cJSON_Delete(view->events);
    cJSON_Delete(view->messages);
    *view = (struct view){.selected = NULL};
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
        r = client_list(ctl, (struct call){"ListTasks", client_parameters(ctl), -1, false, NULL},
                        "tasks", &view->tasks);
    if (r == 0)
        r = client_list(
            ctl, (struct call){"Events", events_parameters(ctl, EVENT_LINES), -1, false, NULL},
            "events", &view->events);
    if (r == 0)
        r = client_list(ctl, (struct call){"Inbox", TAKE_PTR(inbox), -1, false, NULL}, "messages",
                        &view->messages);
    cJSON_Delete(inbox);
    if (r == 0)
        frame_sort_tasks(cJSON_GetObjectItemCaseSensitive(view->tasks, "tasks"));
    return r;
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

/* --- Choosing a task --- */

static const cJSON *find_selected(const struct top *top)
{
    json_for_each (task, json_member(top->view.tasks, "tasks"))
        if (strcmp(json_text(task, "id", ""), top->selected) == 0)
            return task;
    return NULL;
}

/* One up or down; without one chosen the first. */
static void move(struct top *top, int step)
{
    const cJSON *tasks = json_member(top->view.tasks, "tasks"), *chosen = find_selected(top);

    if (!chosen)
        chosen = tasks ? tasks->child : NULL;
    else if (step > 0)
        chosen = chosen->next ? chosen->next : chosen;
    else if (chosen != tasks->child)
        chosen = chosen->prev;
    snprintf(top->selected, sizeof(top->selected), "%s", chosen ? json_text(chosen, "id", "") : "");
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

/* The whole picture in one write, so that nothing flickers. */
static void draw(struct top *top)
{
    char *text = NULL;
    size_t size = 0, columns, rows;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return;
    get_size(&columns, &rows);
    top->view.selected = *top->selected ? top->selected : NULL;
    top->view.note = *top->note ? top->note : NULL;
    frame_draw(top->ctl, &top->view, columns, rows, out);
    if (fclose(out) == 0 && size > 0) {
        fputs("\033[H", stdout);
        for (const char *line = text; *line;) {
            size_t length = strcspn(line, "\n");
            fwrite(line, 1, length, stdout);
            fputs(line[length + 1] ? "\033[K\r\n" : "\033[K\033[J", stdout);
            line += length + 1;
        }
        fflush(stdout);
    }
    free(text);
    top->last_event = last_of(top->view.events);
}

/* Another command of this program about the chosen task, on the terminal as it was before. */
static void run_command(struct top *top, const char *verb, const char *more)
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
    words[count++] = "task";
    words[count++] = verb;
    words[count++] = top->selected;
    if (more)
        words[count++] = more;
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
             top->selected);
}

static void answer(struct top *top, char key)
{
    cJSON *parameters = client_parameters(top->ctl);
    _cleanup_json_ cJSON *reply = NULL;
    const char *method = top->asked == 'c' ? "CancelTask" : "RetryTask";
    cJSON *ids = cJSON_AddArrayToObject(parameters, "ids");

    top->note[0] = '\0';
    top->asked = 0;
    cJSON_AddItemToArray(ids, cJSON_CreateString(top->selected));
    if (key != 'y') {
        cJSON_Delete(parameters);
        return;
    }
    if (client_call(top->ctl, (struct call){method, parameters, -1, false, NULL}, &reply) != 0)
        take_told(top, top->note, sizeof(top->note));
}

/* Of what was pressed the first key; arrows count as k and j. *@size is what is left behind it. */
static char next_key(const char **keys, size_t *size)
{
    const char *at = *keys;
    bool is_arrow = *size >= 3 && memcmp(at, "\033[", 2) == 0;
    size_t length = is_arrow ? 3 : 1;

    *keys += length;
    *size -= length;
    if (!is_arrow)
        return *at;
    return at[2] == 'A' ? 'k' : at[2] == 'B' ? 'j' : '\0';
}

/* Return: whether to go on. */
static bool take_key(struct top *top, char key)
{
    if (top->asked) {
        answer(top, key);
        return true;
    }
    top->note[0] = '\0';
    if (key == 'q' || key == 4)
        return false;
    if (key == 'k' || key == 'j')
        move(top, key == 'k' ? -1 : 1);
    else if (!key || !strchr("\nlcr", key))
        return true;
    else if (!*top->selected)
        snprintf(top->note, sizeof(top->note), " choose a task with the up and down keys first");
    else if (key == '\n')
        run_command(top, "show", NULL);
    else if (key == 'l')
        run_command(top, "logs", NULL);
    else
        ask(top, key);
    return true;
}

/* Return: whether to go on. */
static bool take_keys(struct top *top)
{
    char pressed[64];
    const char *keys = pressed;
    ssize_t got = read(STDIN_FILENO, pressed, sizeof(pressed));
    size_t size = (size_t)MAX(got, 0);
    bool goes_on = size > 0;

    while (goes_on && size > 0)
        goes_on = take_key(top, next_key(&keys, &size));
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
        if (ready > 0) {
            return take_keys(top);
        }
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
    client_catch_interrupt();
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
    struct top top = {.ctl = ctl};
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
        if (r == 0)
            frame_draw(ctl, &top.view, columns, rows, stdout);
    }
    view_clear(&top.view);
    return r;
}
