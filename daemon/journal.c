/* SPDX-License-Identifier: MIT */
#include "journal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include "emit.h"
#include "output.h"

/* Numbers of a node's gossip up to this one are told at info. */
static uint32_t gossip_first;

int journal_open(const struct config *config)
{
    gossip_first = config->log.gossip_first;
    return emit_open(config);
}

void journal_close(void)
{
    emit_close();
}

void journal_set_observer(journal_observer_t observer, void *data)
{
    emit_set_observer(observer, data);
}

void journal_set_send(journal_send_t send)
{
    output_set_send(send);
}

const char *journal_event_text(const struct journal_event *event, const char *name)
{
    for (const struct journal_field *field = event->fields; field && field->name; field++)
        if (strcmp(field->name, name) == 0)
            return field->text;
    return NULL;
}

static int level_of(enum event event)
{
    return event_get_info(event)->level;
}

/* The texts of an address, or NULL. */
static const char *text_of(const struct address *address, char target[static ADDRESS_TEXT_MAX])
{
    return address ? address_format(address, target) : NULL;
}

static const char *or_unknown(const char *text)
{
    return text ? text : "unknown";
}

void journal_node_started(const struct node_id *id, const char *role, const struct address *address)
{
    char uuid[NODE_ID_TEXT_MAX], text[ADDRESS_TEXT_MAX];

    node_id_format(id, uuid);
    address_format(address, text);
    emit(EVENT_NODE_STARTED, level_of(EVENT_NODE_STARTED), NULL,
         FIELDS(TEXT("UUID", uuid), TEXT("ROLE", role), TEXT("ADDRESS", text)),
         "node %s started: %s at %s", emit_get_node(), role, text);
}

void journal_node_stopping(const char *reason)
{
    emit(EVENT_NODE_STOPPING, level_of(EVENT_NODE_STOPPING), NULL, FIELDS(TEXT("REASON", reason)),
         "node %s stopping: %s", emit_get_node(), or_unknown(reason));
}

void journal_join_request(const char *name, const struct address *from)
{
    char text[ADDRESS_TEXT_MAX];

    address_format(from, text);
    emit(EVENT_JOIN_REQUEST, level_of(EVENT_JOIN_REQUEST), NULL,
         FIELDS(TEXT("MEMBER", name), TEXT("ADDRESS", text)), "join request from %s %s",
         or_unknown(name), text);
}

/* Whom an event is about, who said so, and the seed's text. */
struct subject {
    const struct swim_member *member;
    const struct swim_member *by;
    const char *line;
};

/* What all events about a member carry; @more ends the message. */
static void _printf_(4, 5) emit_member(enum event event, const struct subject *subject,
                                       const char *more, const char *format, ...)
{
    static const char *const states[] = {"alive", "suspect", "dead", "left"};
    const struct swim_member *member = subject->member, *by = subject->by;
    char uuid[NODE_ID_TEXT_MAX], address[ADDRESS_TEXT_MAX], incarnation[48];
    _cleanup_free_ char *what = NULL;
    va_list arguments;

    va_start(arguments, format);
    int size = vasprintf(&what, format, arguments);
    va_end(arguments);
    if (size < 0) {
        what = NULL;
        return;
    }
    node_id_format(&member->id, uuid);
    address_format(&member->address, address);
    snprintf(incarnation, sizeof(incarnation), "%" PRIu64 ".%" PRIu64,
             member->incarnation.generation, member->incarnation.counter);
    emit(event, level_of(event), subject->line,
         FIELDS(TEXT("MEMBER", member->name), TEXT("UUID", uuid), TEXT("ADDRESS", address),
                TEXT("INCARNATION", incarnation), TEXT("STATE", states[member->state]),
                TEXT("BY", by ? by->name : NULL)),
         "member %s %s%s%s%s", member->name, what, by ? ", reported by " : "", by ? by->name : "",
         more ? more : "");
}

void journal_member_joined(const struct swim_member *member)
{
    char address[ADDRESS_TEXT_MAX];

    emit_member(EVENT_MEMBER_JOINED, &(struct subject){.member = member}, NULL, "joined from %s",
                address_format(&member->address, address));
}

void journal_member_suspect(const struct swim_member *member, const struct swim_member *by,
                            uint32_t direct, const char *through)
{
    struct subject subject = {.member = member, .by = by};
    _cleanup_free_ char *why = NULL;

    if (direct > 0 && asprintf(&why, ": %u requests unanswered%s%s", direct,
                               through ? ", also through " : "", through ? through : "") < 0)
        why = NULL;
    emit_member(EVENT_MEMBER_SUSPECT, &subject, why, "suspect");
}

void journal_member_alive(const struct swim_member *member)
{
    emit_member(EVENT_MEMBER_ALIVE, &(struct subject){.member = member}, NULL, "alive again");
}

void journal_member_dead(const struct swim_member *member, const struct swim_member *by,
                         const char *seeds, const char *line)
{
    struct subject subject = {.member = member, .by = by, .line = line};
    _cleanup_free_ char *whom = NULL;

    if (seeds && asprintf(&whom, ": reported to %s", seeds) < 0)
        whom = NULL;
    emit_member(EVENT_MEMBER_DEAD, &subject, whom, "dead");
}

void journal_member_left(const struct swim_member *member)
{
    emit_member(EVENT_MEMBER_LEFT, &(struct subject){.member = member}, NULL, "left");
}

void journal_member_reaped(const struct swim_member *member)
{
    emit_member(EVENT_MEMBER_REAPED, &(struct subject){.member = member}, NULL,
                "is no longer listed");
}

void journal_dead_report(const struct journal_report *report)
{
    char text[ADDRESS_TEXT_MAX];
    const char *address = text_of(report->address, text), *through = report->through;
    bool is_told = report->seeds == NULL;

    if (is_told)
        emit(EVENT_DEAD_REPORT, level_of(EVENT_DEAD_REPORT), report->line,
             FIELDS(TEXT("MEMBER", report->name), TEXT("ADDRESS", address), TEXT("BY", report->by),
                    TEXT("WAY", through ? "indirect" : "direct"), TEXT("THROUGH", through)),
             "%s (%s by %s: no answer directly%s%s)", report->line, or_unknown(report->name),
             or_unknown(report->by), through ? ", nor through " : "", through ? through : "");
    else
        emit(EVENT_DEAD_REPORT, report->has_acked ? LOG_INFO : level_of(EVENT_DEAD_REPORT), NULL,
             FIELDS(TEXT("MEMBER", report->name), TEXT("ADDRESS", address),
                    TEXT("SEEDS", report->seeds),
                    TEXT("ACTION", report->has_acked ? "acknowledged" : "unanswered")),
             "report of %s %s by %s", or_unknown(report->name),
             report->has_acked ? "acknowledged" : "not acknowledged", report->seeds);
}

void journal_peer_list(const char *seed, const struct address *address, size_t count,
                       const char *peers)
{
    char text[ADDRESS_TEXT_MAX];

    emit(EVENT_PEER_LIST, level_of(EVENT_PEER_LIST), NULL,
         FIELDS(TEXT("MEMBER", seed), TEXT("ADDRESS", text_of(address, text)),
                NUMBER("COUNT", count)),
         "peer list from %s: %s", or_unknown(seed), peers);
}

void journal_name_conflict(const char *name, const struct address *one, const struct address *other)
{
    char text[ADDRESS_TEXT_MAX], other_text[ADDRESS_TEXT_MAX];

    address_format(one, text);
    address_format(other, other_text);
    emit(EVENT_NAME_CONFLICT, level_of(EVENT_NAME_CONFLICT), NULL,
         FIELDS(TEXT("MEMBER", name), TEXT("ADDRESS", text), TEXT("OTHER", other_text)),
         "name %s is in use by %s and %s", name, text, other_text);
}

void journal_id_conflict(const struct node_id *id, const struct address *other, bool is_fatal)
{
    char uuid[NODE_ID_TEXT_MAX], text[ADDRESS_TEXT_MAX];

    node_id_format(id, uuid);
    address_format(other, text);
    emit(EVENT_ID_CONFLICT, level_of(EVENT_ID_CONFLICT), NULL,
         FIELDS(TEXT("UUID", uuid), TEXT("ADDRESS", text)), "id %s of this node is in use by %s%s",
         uuid, text, is_fatal ? "; this node takes a new one" : "");
}

void journal_cluster_mismatch(const struct address *from, uint64_t count)
{
    char text[ADDRESS_TEXT_MAX];

    address_format(from, text);
    emit(EVENT_CLUSTER_MISMATCH, level_of(EVENT_CLUSTER_MISMATCH), NULL,
         FIELDS(TEXT("ADDRESS", text), NUMBER("COUNT", count)),
         "datagrams of another cluster or key from %s are ignored (%" PRIu64 " so far)", text,
         count);
}

void journal_seed_unreachable(const char *seed)
{
    emit(EVENT_SEED_UNREACHABLE, level_of(EVENT_SEED_UNREACHABLE), NULL,
         FIELDS(TEXT("ADDRESS", seed)), "seed %s does not answer", seed);
}

void journal_key_changed(const char *fingerprint, const char *action)
{
    emit(EVENT_KEY_CHANGED, level_of(EVENT_KEY_CHANGED), NULL,
         FIELDS(TEXT("KEY", fingerprint), TEXT("ACTION", action)), "key %s %s", fingerprint,
         action);
}

void journal_gossip(const char *name, uint64_t number, const char *line)
{
    int level = number <= gossip_first ? LOG_INFO : level_of(EVENT_GOSSIP);

    emit(EVENT_GOSSIP, level, line, FIELDS(TEXT("MEMBER", name), NUMBER("NUMBER", number)), "%s",
         line);
}

void journal_message(const char *sender, const char *text, bool is_broadcast)
{
    emit(EVENT_MESSAGE, level_of(EVENT_MESSAGE), NULL,
         FIELDS(TEXT("MEMBER", sender), TEXT("TEXT", text),
                TEXT("SCOPE", is_broadcast ? "all" : "node")),
         "message from %s: %s", or_unknown(sender), text);
}

void journal_liveness(const char *name, bool is_request, bool is_outgoing, const char *line)
{
    emit(EVENT_LIVENESS, level_of(EVENT_LIVENESS), line,
         FIELDS(TEXT("MEMBER", name), TEXT("KIND", is_request ? "request" : "reply"),
                TEXT("DIRECTION", is_outgoing ? "sent" : "received")),
         "%s", line);
}

void journal_connection(const char *name, const struct address *address, const char *protocol,
                        const char *what, const char *reason)
{
    char text[ADDRESS_TEXT_MAX];
    bool is_good = strcmp(what, "opened") == 0 || strcmp(what, "closed") == 0;

    emit(EVENT_CONNECTION, is_good ? level_of(EVENT_CONNECTION) : LOG_NOTICE, NULL,
         FIELDS(TEXT("MEMBER", name), TEXT("ADDRESS", text_of(address, text)),
                TEXT("PROTOCOL", protocol), TEXT("ACTION", what), TEXT("REASON", reason)),
         "connection with %s %s (%s) %s%s%s", or_unknown(name), address ? text : "-",
         or_unknown(protocol), what, reason ? ": " : "", reason ? reason : "");
}

/* What all events about a task carry. @node: where it is or goes. An empty @reason is none. */
static void _printf_(6, 7) emit_task(enum event event, int level, const struct journal_task *task,
                                     const char *node, const char *reason, const char *format, ...)
{
    _cleanup_free_ char *what = NULL;
    va_list arguments;

    va_start(arguments, format);
    int size = vasprintf(&what, format, arguments);
    va_end(arguments);
    if (size < 0) {
        what = NULL;
        return;
    }
    if (reason && !*reason)
        reason = NULL;
    emit(event, level, NULL,
         FIELDS(TEXT("TASK", task->id), TEXT("NAME", task->name), TEXT("USER", task->user),
                TEXT("WORKFLOW", task->workflow), TEXT("MEMBER", node), TEXT("REASON", reason),
                CONFIDENTIAL(task->is_confidential)),
         "task %s%s%s %s%s%s", task->id, task->name ? " " : "", task->name ? task->name : "", what,
         reason ? ": " : "", reason ? reason : "");
}

void journal_task_submitted(const struct journal_task *task)
{
    emit_task(EVENT_TASK_SUBMITTED, level_of(EVENT_TASK_SUBMITTED), task, NULL, NULL,
              "submitted by %s", or_unknown(task->user));
}

void journal_task_placed(const struct journal_task *task, const char *node, const char *reason)
{
    emit_task(EVENT_TASK_PLACED, level_of(EVENT_TASK_PLACED), task, node, reason, "placed on %s",
              node);
}

void journal_task_started(const struct journal_task *task, const char *node, uint32_t attempt)
{
    emit_task(EVENT_TASK_STARTED, level_of(EVENT_TASK_STARTED), task, node, NULL,
              "started on %s (attempt %" PRIu32 ")", node, attempt);
}

void journal_task_moved(const struct journal_task *task, const char *source, const char *target,
                        const char *reason)
{
    emit_task(EVENT_TASK_MOVED, level_of(EVENT_TASK_MOVED), task, target, reason,
              "moved from %s to %s", or_unknown(source), or_unknown(target));
}

void journal_task_lost(const struct journal_task *task, const char *node, const char *reason)
{
    emit_task(EVENT_TASK_LOST, level_of(EVENT_TASK_LOST), task, node, reason, "lost with %s",
              or_unknown(node));
}

void journal_task_ended(const struct journal_task *task, const char *node, const char *state,
                        const char *reason, usec_t run_usec)
{
    bool is_good = strcmp(state, "succeeded") == 0, is_placed = node && *node;
    int level = is_good ? level_of(EVENT_TASK_ENDED) : LOG_NOTICE;

    if (is_placed)
        emit_task(EVENT_TASK_ENDED, level, task, node, reason, "%s on %s in %.2fs", state, node,
                  (double)run_usec / (double)USEC_PER_SEC);
    else
        emit_task(EVENT_TASK_ENDED, level, task, NULL, reason, "%s before it was placed", state);
}

void journal_file_stored(const char *name, uint64_t size, const char *owner, size_t count)
{
    char others[48] = "";

    if (count > 1)
        snprintf(others, sizeof(others), " and %zu others", count - 1);
    emit(EVENT_FILE_STORED, level_of(EVENT_FILE_STORED), NULL,
         FIELDS(TEXT("FILE", name), NUMBER("SIZE", size), TEXT("USER", owner),
                NUMBER("FILES", count)),
         "file %s%s stored: %" PRIu64 " bytes", name, others, size);
}

void journal_file_removed(const char *name, uint64_t size, size_t count)
{
    char others[48] = "";

    if (count > 1)
        snprintf(others, sizeof(others), " and %zu others", count - 1);
    emit(EVENT_FILE_REMOVED, level_of(EVENT_FILE_REMOVED), NULL,
         FIELDS(TEXT("FILE", name), NUMBER("SIZE", size), NUMBER("FILES", count)),
         "file %s%s removed: %" PRIu64 " bytes", name, others, size);
}

void journal_mem_changed(const char *key, const char *action, uint64_t version)
{
    emit(EVENT_MEM_CHANGED, level_of(EVENT_MEM_CHANGED), NULL,
         FIELDS(TEXT("KEY", key), TEXT("ACTION", action), NUMBER("VERSION", version)),
         "key %s %s (version %" PRIu64 ")", key, action, version);
}

void journal_drain(const char *reason)
{
    emit(EVENT_DRAIN, level_of(EVENT_DRAIN), NULL, FIELDS(TEXT("REASON", reason)),
         "node %s is draining%s%s", emit_get_node(), reason ? ": " : "", reason ? reason : "");
}

void journal_undrain(void)
{
    emit(EVENT_UNDRAIN, level_of(EVENT_UNDRAIN), NULL, NO_FIELDS, "node %s takes tasks again",
         emit_get_node());
}

/* "a b c"; NULL without memory or entries. */
static char *join(const struct config_strings *strings)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = strings && strings->count > 0 ? open_memstream(&text, &size) : NULL;

    if (!stream)
        return NULL;
    for (size_t i = 0; i < strings->count; i++)
        fprintf(stream, "%s%s", i > 0 ? " " : "", strings->items[i]);
    if (fclose(stream) == 0)
        return text;
    free(text);
    return NULL;
}

void journal_config_reloaded(const struct config_strings *changed,
                             const struct config_strings *needs_restart)
{
    _cleanup_free_ char *keys = join(changed), *restart = join(needs_restart);

    emit(EVENT_CONFIG_RELOADED, level_of(EVENT_CONFIG_RELOADED), NULL,
         FIELDS(TEXT("CHANGED", keys), TEXT("RESTART", restart)), "configuration reloaded: %s%s%s",
         keys ? keys : "nothing changed", restart ? "; needs restart: " : "",
         restart ? restart : "");
}

void journal_problem(const char *code, const char *node, const char *text, bool is_over)
{
    emit(EVENT_PROBLEM, is_over ? LOG_NOTICE : level_of(EVENT_PROBLEM), NULL,
         FIELDS(TEXT("CODE", code), TEXT("MEMBER", node),
                TEXT("ACTION", is_over ? "over" : "begun")),
         "%s%s%s%s", is_over ? "solved: " : "", node ? node : "", node ? ": " : "", text);
}
