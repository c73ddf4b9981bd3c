/* SPDX-License-Identifier: MIT */
#include "control/methods_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include "base/machine.h"
#include "config/programs.h"
#include "control/service/doctor_core.h"
#include "problems.h"

/* What doctor says of this machine alone: its clock, key ring, sandbox, disk and interpreter. */

#define TEXT_SIZE        DOCTOR_TEXT_SIZE
#define CLOCK_AHEAD_USEC ((int64_t)USEC_PER_SEC)        /* more is worth a word, */
#define CLOCK_WRONG_USEC ((int64_t)(10 * USEC_PER_SEC)) /* and so much more than that */
#define INODES_FIX       "df -i; remove small files there"
#define INODES_SHARE     100 /* fewer than one in so many are free */

/* --- Clock --- */

void doctor_check_clock(struct doctor *doctor)
{
    const char *fix = machine_has_systemd() ? "timedatectl set-ntp true     (or install chrony)"
                                            : "run chrony here; in a container: on its host";
    struct node *node = doctor->node;
    struct timex timex = {.modes = 0};
    int64_t ahead = 0;
    size_t count = clocks_compare(&node->clocks, node_now(node), &ahead);
    uint64_t off = (uint64_t)(ahead < 0 ? -ahead : ahead);

    if (adjtimex(&timex) >= 0 && (timex.status & STA_UNSYNC))
        doctor_report(doctor, VERDICT_WARNING, fix, "nothing keeps this machine's clock in time");
    if (count == 0)
        doctor_report(doctor, VERDICT_SKIPPED, NULL, "no other node to compare the clock with");
    else if ((int64_t)off > CLOCK_AHEAD_USEC)
        doctor_report(doctor, (int64_t)off > CLOCK_WRONG_USEC ? VERDICT_FAILED : VERDICT_WARNING,
                      fix, "%" PRIu64 ".%" PRIu64 " s %s most of %zu other nodes",
                      off / USEC_PER_SEC, off / (100 * USEC_PER_MSEC) % 10,
                      ahead > 0 ? "behind" : "ahead of", count);
    else
        doctor_report(doctor, VERDICT_OK, NULL, "within %" PRIu64 " ms of most of %zu other node%s",
                      off / USEC_PER_MSEC + 1, count, PLURAL(count));
}

/* --- Key --- */

void doctor_check_key(struct doctor *doctor)
{
    const struct node *node = doctor->node;
    char fingerprint[FINGERPRINT_TEXT_MAX], fix[TEXT_SIZE];
    _cleanup_free_ char *path = NULL;
    struct stat status;
    size_t wrong = 0;

    if (!node->keyring) {
        (void)doctor_report_problems(doctor, VERDICT_WARNING, "not-encrypted",
                                     "set security.encrypt = true on all nodes, and restart them");
        return;
    }
    wrong += doctor_report_problems(doctor, VERDICT_FAILED, "key-mismatch", "p2pctl keys list");
    snprintf(fix, sizeof(fix), "cp %s/keyring to the file of security.keyring", node->state_dir);
    wrong += doctor_report_problems(doctor, VERDICT_WARNING, "keyring-differs", fix);
    if (asprintf(&path, "%s/keyring", node->state_dir) < 0) {
        path = NULL;
        return;
    }
    if (stat(path, &status) >= 0 && (status.st_mode & 077)) {
        snprintf(fix, sizeof(fix), "chmod 600 %s     (and then: p2pctl keys rotate)", path);
        doctor_report(doctor, VERDICT_FAILED, fix, "others may read %s", path);
        wrong++;
    }
    if (wrong == 0)
        doctor_report(doctor, VERDICT_OK, NULL, "key %s in use, and no node is known to lack it",
                      keyring_format_fingerprint(node->keyring->keys[0].id, fingerprint));
}

/* --- Sandbox --- */

static void report_program(const struct program_trouble *trouble, void *data)
{
    doctor_report(data, VERDICT_WARNING, trouble->fix, "%s: %s", trouble->key, trouble->message);
}

/* What is to be done about a runner that is not there, or without all that it wants. */
static void choose_runner_fix(const struct node *node, const struct exec *exec,
                              char target[static TEXT_SIZE])
{
    static const char levels[] = "the levels are explained in p2pnode(8), Tasks";

    if (!machine_has_systemd())
        snprintf(target, TEXT_SIZE, "%s", levels);
    else if (exec_has_failed(exec) && exec_is_unit(exec))
        snprintf(target, TEXT_SIZE, "systemctl start p2pnode-exec@%s.socket", node->instance);
    else
        snprintf(target, TEXT_SIZE, "systemctl status p2pnode-exec@%s; %s", node->instance, levels);
}

void doctor_check_sandbox(struct doctor *doctor)
{
    const struct node *node = doctor->node;
    const struct exec *exec = tasks_get_exec(node->tasks);
    char fix[TEXT_SIZE];

    (void)programs_check(node->config, exec && exec_is_unit(exec), report_program, doctor);
    if (!node->config->tasks.enabled || !exec) {
        doctor_report(doctor, VERDICT_SKIPPED, NULL, "this node runs no tasks (tasks.enabled)");
        return;
    }
    enum exec_level level = exec_get_level(exec);
    bool is_refused = !exec_is_ready(exec) || level == EXEC_REFUSE;
    choose_runner_fix(node, exec, fix);
    for (const char *const *missing = exec_get_missing(exec); *missing; missing++)
        doctor_report(doctor, is_refused ? VERDICT_FAILED : VERDICT_WARNING, fix, "%s", *missing);
    if (!is_refused)
        doctor_report(doctor, VERDICT_OK, NULL, "level %s", exec_level_name(level));
}

/* --- Disk --- */

/* Things that look alike to whoever wants to store a file. NULL = there is room. */
static const char *fix_of_room(enum problems_room room)
{
    switch (room) {
    case PROBLEMS_ROOM_QUOTA:
        return "p2pctl file ls, then p2pctl file rm NAME; or a larger files.quota, then p2pctl "
               "reload";
    case PROBLEMS_ROOM_RESERVE:
        return "free some space on that disk; or a smaller files.reserve, then p2pctl reload";
    case PROBLEMS_ROOM_INODES:
        return INODES_FIX;
    case PROBLEMS_ROOM_NONE:
        return "free some space on that disk: df -h, du -xsh";
    default:
        return NULL;
    }
}

void doctor_check_disk(struct doctor *doctor)
{
    static const char fix_log[] =
        "set log.file or log.target to what is there and may be written; then p2pctl reload";
    static const char fix_metrics[] =
        "set metrics.textfile to a place where p2pnode may write; then p2pctl reload";
    const struct node *node = doctor->node;
    struct statvfs disk;
    struct files_usage usage;
    char free_text[32], used_text[32], quota_text[32];
    enum problems_room room = problems_get_room(node);
    size_t wrong = doctor_report_problems(doctor, VERDICT_FAILED, "disk-full", fix_of_room(room));

    wrong +=
        doctor_report_problems(doctor, VERDICT_FAILED, "files-dir",
                               "make it writable for p2pnode; where it is gone: restart p2pnode");
    wrong += doctor_report_problems(
        doctor, VERDICT_FAILED, "memory-unsaved",
        memory_get_failure(node->memory) == -ENOSPC
            ? "free some space on the disk of state_dir; or p2pctl mem rm what is not needed"
            : "see the journal of this node");
    wrong += doctor_report_problems(doctor, VERDICT_WARNING, "log", fix_log);
    wrong += doctor_report_problems(doctor, VERDICT_WARNING, "metrics", fix_metrics);
    if (statvfs(node->state_dir, &disk) < 0) {
        doctor_report(doctor, VERDICT_FAILED, NULL, "%s: %s", node->state_dir, strerror(errno));
        return;
    }
    uint64_t left = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (room != PROBLEMS_ROOM_INODES && disk.f_files > 0 &&
        disk.f_favail < disk.f_files / INODES_SHARE) {
        doctor_report(doctor, VERDICT_WARNING, INODES_FIX, "the disk of %s has few inodes left",
                      node->state_dir);
        wrong++;
    }
    files_get_usage(node->files, &usage);
    if (wrong == 0)
        doctor_report(doctor, VERDICT_OK, NULL, "%s free at %s; files take %s of %s",
                      text_show_size((double)left, free_text), node->state_dir,
                      text_show_size((double)usage.used, used_text),
                      text_show_size((double)usage.quota, quota_text));
}

/* --- Python --- */

void doctor_check_python(struct doctor *doctor)
{
    const struct config *config = doctor->node->config;
    const char *interpreter = config->python.interpreter;
    _cleanup_free_ char *target = realpath(interpreter, NULL);

    if (!config->tasks.enabled)
        doctor_report(doctor, VERDICT_SKIPPED, NULL, "this node runs no tasks (tasks.enabled)");
    else if (access(interpreter, X_OK) < 0)
        doctor_report(doctor, VERDICT_WARNING,
                      "apt install python3; or set python.interpreter, then p2pctl reload",
                      "no Python task can run here: %s: %s", interpreter, strerror(errno));
    else
        doctor_report(doctor, VERDICT_OK, NULL, "%s is %s", interpreter,
                      target ? target : interpreter);
}
