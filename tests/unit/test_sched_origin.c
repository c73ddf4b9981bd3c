/* SPDX-License-Identifier: MIT */
#include "origin_lab.h"

#include <errno.h>
#include "sched/task_json.h"

#define LEASE (15 * USEC_PER_SEC)
#define HOLD  (LEASE + LEASE / 3) /* how long the origin counts on it */
#define WALL  UINT64_C(1795244870000000)
#define DELAY (2 * USEC_PER_SEC)

static struct origin_config config_of(void)
{
    return (struct origin_config){
        .name = "lab-01",
        .id = {{1}},
        .tasks_max = 1000,
        .lease_usec = LEASE,
        .rebalance_after_usec = 30 * USEC_PER_SEC,
        .keep_usec = USEC_PER_HOUR,
        .keep_failed_usec = 2 * USEC_PER_HOUR,
    };
}

static struct origin *make(void)
{
    struct origin_config config = config_of();
    struct origin *origin;

    assert_int_equal(origin_new(&config, 1, 0, WALL, &origin), 0);
    return origin;
}

/* A node that takes work: load is such that low numbers are preferred. */
static void add_node(struct origin *origin, unsigned number, usec_t now)
{
    struct place_facts facts = facts_of(number);

    facts.load_permille = number * 10;
    assert_int_equal(origin_set_node(origin, &facts, now), 0);
}

static void set_state(struct origin *origin, unsigned number, enum place_state state, usec_t now)
{
    struct place_facts facts = facts_of(number);

    facts.state = state;
    assert_int_equal(origin_set_node(origin, &facts, now), 0);
}

static struct task_spec spec_of(const char *type)
{
    struct task_spec spec = {.type_number = 1,
                             .retries = 2,
                             .retry_delay_usec = DELAY,
                             .retry_on = TASK_RETRY_NODE_LOST | TASK_RETRY_NO_SPACE |
                                         TASK_RETRY_UNREACHABLE};

    (void)snprintf(spec.type, sizeof(spec.type), "%s", type);
    return spec;
}

static void submit_spec(struct origin *origin, uint64_t number, const struct task_spec *spec,
                        usec_t now)
{
    char reason[TASK_REASON_MAX + 1];

    assert_int_equal(origin_submit(origin, number, spec, false, now, reason), 0);
}

static void submit(struct origin *origin, uint64_t number, usec_t now)
{
    struct task_spec spec = spec_of("a");

    submit_spec(origin, number, &spec, now);
}

static void accept(struct origin *origin, uint64_t number, uint64_t attempt, unsigned at,
                   usec_t now)
{
    struct node_id id = node(at);

    origin_accepted(origin, number, attempt, &id, now);
}

static void start(struct origin *origin, uint64_t number, uint64_t attempt, unsigned at, usec_t now)
{
    struct node_id id = node(at);

    origin_accepted(origin, number, attempt, &id, now);
    origin_started(origin, number, attempt, &id, 0, now);
}

static void end(struct origin *origin, uint64_t number, uint64_t attempt, unsigned at,
                enum task_end_type type, int code, usec_t now)
{
    struct node_id id = node(at);
    struct task_end task_end = {.type = type, .code = code, .run_usec = USEC_PER_SEC};

    origin_ended(origin, number, attempt, &id, &task_end, now);
}

static void refuse(struct origin *origin, uint64_t number, uint64_t attempt, unsigned at,
                   enum origin_refusal refusal, usec_t now)
{
    struct node_id id = node(at);

    origin_refused(origin, number, attempt, &id, refusal, now);
}

static enum task_state state_of(struct origin *origin, uint64_t number)
{
    return origin_find(origin, number)->state;
}

static const char *reason_of(struct origin *origin, uint64_t number)
{
    return origin_find(origin, number)->reason;
}

/* Ticks at its own deadlines until @until, and says what it wanted meanwhile. */
static const char *run_until(struct origin *origin, usec_t until)
{
    static char all[8192];

    all[0] = '\0';
    while (origin_deadline(origin) <= until) {
        usec_t now = origin_deadline(origin);
        origin_tick(origin, now);
        strncat(all, actions(origin, now), sizeof(all) - strlen(all) - 1);
    }
    origin_tick(origin, until);
    strncat(all, actions(origin, until), sizeof(all) - strlen(all) - 1);
    return all;
}

/* What the database would give back. */
static struct task *reload(const struct origin *origin, uint64_t number)
{
    cJSON *json = task_to_json(origin_find(origin, number)), *parsed;
    char *text = json_format(json);
    struct task *task;

    assert_int_equal(json_parse(text, strlen(text), &parsed), 0);
    assert_int_equal(task_from_json(parsed, &task), 0);
    cJSON_Delete(json);
    cJSON_Delete(parsed);
    free(text);
    return task;
}

static struct origin *restart(struct origin *origin, usec_t now)
{
    struct origin *next;
    struct origin_config config = config_of();

    assert_int_equal(origin_new(&config, 2, now, WALL + now, &next), 0);
    for (const struct task *task = origin_next(origin, 0); task;
         task = origin_next(origin, task->number))
        assert_int_equal(origin_restore(next, reload(origin, task->number), true, now), 0);
    origin_free(origin);
    return next;
}

/* tasks.types, users: as of somebody else alone. */
static int permits_nobody(const struct task_spec *spec _unused_, void *data _unused_)
{
    return -EACCES;
}

static void add_own_for_others(struct origin *origin, usec_t now)
{
    struct place_facts facts = facts_of(1);

    facts.check = permits_nobody;
    assert_int_equal(origin_set_node(origin, &facts, now), 0);
}

static void what_was_accepted_waits_for_a_node_that_is_not_known_yet(void **state _unused_)
{
    struct origin *origin = make();

    set_state(origin, 2, PLACE_DEAD, 0);
    add_own_for_others(origin, 0);
    submit(origin, 1, 1);
    assert_string_equal(actions(origin, 1), "commit 1, accepted 1, ");
    origin = restart(origin, USEC_PER_MIN);
    add_own_for_others(origin, USEC_PER_MIN);
    origin_tick(origin, USEC_PER_MIN);
    (void)actions(origin, USEC_PER_MIN);
    assert_int_equal(origin_find(origin, 1)->state, TASK_PENDING);
    /* What comes now is refused at once. */
    struct task_spec spec = spec_of("a");
    char reason[TASK_REASON_MAX + 1];
    assert_int_equal(origin_submit(origin, 2, &spec, false, USEC_PER_MIN, reason), -EACCES);
    /* Of a list that waits for types too. */
    assert_int_equal(origin_submit(origin, 2, &spec, true, USEC_PER_MIN, reason), 0);
    assert_non_null(strstr(actions(origin, USEC_PER_MIN), "accepted 2, "));
    add_node(origin, 2, USEC_PER_MIN);
    origin_tick(origin, USEC_PER_MIN);
    const char *all = actions(origin, USEC_PER_MIN);
    assert_non_null(strstr(all, "send 1.1 lab-02, "));
    assert_non_null(strstr(all, "send 2.1 lab-02, "));
    origin_free(origin);
}

static void a_restart_does_not_tell_of_nodes_that_are_not_known_yet(void **state _unused_)
{
    struct origin *origin = make();
    usec_t now = USEC_PER_MIN;

    set_state(origin, 2, PLACE_DEAD, 0);
    submit(origin, 1, 1);
    (void)actions(origin, 1);
    assert_string_equal(reason_of(origin, 1), "the only node for type a, lab-02, is dead");
    size_t told = origin_find(origin, 1)->timeline_count;
    origin = restart(origin, now);
    add_own_for_others(origin, now);
    origin_tick(origin, now);
    set_state(origin, 2, PLACE_DEAD, now);
    origin_tick(origin, now);
    assert_string_equal(reason_of(origin, 1), "the only node for type a, lab-02, is dead");
    assert_int_equal(origin_find(origin, 1)->timeline_count, told);
    /* Who does not come soon is told of. */
    origin_remove_node(origin, &(struct node_id){{2}}, now);
    origin_tick(origin, now);
    assert_int_equal(origin_find(origin, 1)->timeline_count, told);
    now = origin_deadline(origin);
    origin_tick(origin, now);
    assert_int_equal(origin_find(origin, 1)->timeline_count, told + 1);
    assert_string_equal(origin_find(origin, 1)->timeline[told].text,
                        "waiting: not permitted: the only node for type a, lab-01, does not run it "
                        "for ");
    assert_int_equal(origin_deadline(origin), USEC_INFINITY);
    origin_free(origin);
}

static void what_was_accepted_waits_for_a_node_that_left(void **state _unused_)
{
    struct origin *origin = make();
    struct task_spec spec = spec_of("a");
    struct place_facts back = facts_of(2);
    char reason[TASK_REASON_MAX + 1];

    set_state(origin, 2, PLACE_DEAD, 0);
    add_own_for_others(origin, 0);
    submit(origin, 1, 1);
    (void)actions(origin, 1);
    set_state(origin, 2, PLACE_LEFT, 2);
    /* It may come back, but what is new does not wait for that. */
    assert_int_equal(origin_submit(origin, 2, &spec, false, 2, reason), -EACCES);
    add_node(origin, 3, 3);
    origin_tick(origin, 3);
    assert_non_null(strstr(actions(origin, 3), "send 1.1 lab-03, "));
    origin_refused(origin, 1, 1, &(struct node_id){{3}}, ORIGIN_REFUSED_USER, 4);
    (void)actions(origin, 4);
    assert_int_equal(origin_find(origin, 1)->state, TASK_PENDING);
    back.generation++;
    assert_int_equal(origin_set_node(origin, &back, 5), 0);
    origin_tick(origin, 5);
    assert_non_null(strstr(actions(origin, 5), "send 1.2 lab-02, "));
    origin_free(origin);
}

static void a_task_goes_from_submitted_to_succeeded(void **state _unused_)
{
    struct origin *origin = make();
    const struct task *task;

    add_node(origin, 2, 0);
    submit(origin, 1, 1);
    assert_string_equal(actions(origin, 1), "commit 1, accepted 1, placed 1, send 1.1 lab-02, ");
    task = origin_find(origin, 1);
    assert_int_equal(task->state, TASK_PENDING);
    start(origin, 1, 1, 2, 2);
    assert_string_equal(actions(origin, 2), "started 1, ");
    assert_int_equal(task->state, TASK_RUNNING);
    assert_int_equal(task->started_wall_usec, WALL + 2);
    end(origin, 1, 1, 2, TASK_END_EXIT, 0, 3);
    assert_string_equal(actions(origin, 3), "commit 1, ack 1.1 lab-02, ended 1 succeeded, ");
    assert_int_equal(task->tries, 1);
    assert_string_equal(task->reason, "");
    assert_int_equal(task->timeline_count, 4);
    assert_string_equal(task->timeline[0].text, "submitted");
    assert_string_equal(task->timeline[1].text, "placed on lab-02: load 0.02, the only one");
    assert_string_equal(task->timeline[2].text, "started on lab-02");
    assert_string_equal(task->timeline[3].text, "succeeded, exit 0 on lab-02 after 1s");
    origin_free(origin);
}

/* One task, offered to lab-02; then the origin is away until @now. */
static struct origin *make_away(usec_t now)
{
    struct origin *origin = make();

    add_node(origin, 2, 0);
    submit(origin, 1, 1);
    (void)actions(origin, 1);
    origin = restart(origin, now);
    add_node(origin, 2, now);
    (void)actions(origin, now);
    return origin;
}

static void what_happened_while_the_origin_was_away_keeps_its_time(void **state _unused_)
{
    const struct node_id id = node(2);
    const struct task_end over = {
        .type = TASK_END_EXIT, .run_usec = 200, .ago_usec = 100, .code = 0};
    struct origin *origin = make_away(1000);
    const struct task *task = origin_find(origin, 1);

    origin_started(origin, 1, 1, &id, 900, 1000);
    assert_int_equal(task->started_wall_usec, WALL + 100);
    /* Asked again it says so again, a little later. */
    origin_started(origin, 1, 1, &id, 905, 1010);
    assert_int_equal(task->started_wall_usec, WALL + 100);
    origin_ended(origin, 1, 1, &id, &over, 2000);
    assert_int_equal(task->ended_wall_usec, WALL + 1900);
    assert_int_equal(task->started_wall_usec, WALL + 100);
    origin_free(origin);

    origin = make_away(1000);
    task = origin_find(origin, 1);
    origin_ended(origin, 1, 1, &id, &over, 1000);
    assert_int_equal(task->ended_wall_usec, WALL + 900);
    assert_int_equal(task->started_wall_usec, WALL + 700);
    origin_free(origin);
}

/* A word of a start may be longer on its way than that of the end. */
static void an_end_is_not_told_as_before_its_start(void **state _unused_)
{
    const struct node_id id = node(2);
    const struct task_end over = {.type = TASK_END_EXIT, .run_usec = 200, .ago_usec = 100};
    struct origin *origin = make_away(1000);
    const struct task *task = origin_find(origin, 1);

    origin_started(origin, 1, 1, &id, 0, 1000);
    origin_ended(origin, 1, 1, &id, &over, 1050);
    assert_int_equal(task->ended_wall_usec, WALL + 1000);
    for (size_t i = 1; i < task->timeline_count; i++)
        assert_true(task->timeline[i - 1].wall_usec <= task->timeline[i].wall_usec);
    origin_free(origin);
}

static void nothing_happened_before_the_task_was_submitted(void **state _unused_)
{
    const struct node_id id = node(2);
    const struct task_end over = {
        .type = TASK_END_EXIT, .run_usec = UINT64_MAX, .ago_usec = UINT64_MAX};
    struct origin *origin = make_away(1000);
    const struct task *task = origin_find(origin, 1);

    origin_started(origin, 1, 1, &id, UINT64_MAX, 1000);
    assert_int_equal(task->started_wall_usec, WALL + 1);
    origin_ended(origin, 1, 1, &id, &over, 2000);
    assert_int_equal(task->ended_wall_usec, WALL + 1);
    origin_free(origin);
}

static void nothing_is_said_before_it_is_on_disk(void **state _unused_)
{
    struct origin *origin = make();

    add_node(origin, 2, 0);
    submit(origin, 1, 1);
    assert_string_equal(drain(origin, true, 1), "commit 1, ");
    origin_committed(origin, 1, 1, 2);
    assert_string_equal(drain(origin, true, 2), "");
    origin_committed(origin, 1, 2, 2);
    assert_string_equal(drain(origin, true, 2), "accepted 1, placed 1, send 1.1 lab-02, ");
    start(origin, 1, 1, 2, 3);
    (void)drain(origin, true, 3);
    end(origin, 1, 1, 2, TASK_END_EXIT, 0, 4);
    assert_string_equal(drain(origin, true, 4), "commit 1, ");
    /* The worker says it again meanwhile: the answer still waits for the disk. */
    end(origin, 1, 1, 2, TASK_END_EXIT, 0, 5);
    assert_string_equal(drain(origin, true, 5), "");
    origin_committed(origin, 1, UINT64_MAX, 6);
    assert_string_equal(drain(origin, true, 6), "ack 1.1 lab-02, ended 1 succeeded, ");
    end(origin, 1, 1, 2, TASK_END_EXIT, 0, 7);
    assert_string_equal(drain(origin, true, 7), "ack 1.1 lab-02, ");
    origin_free(origin);
}

static void only_what_a_user_has_pending_counts_for_the_share(void **state _unused_)
{
    struct origin *origin = make();

    assert_true(origin_has_fewer_pending(origin, "alice", 1));
    assert_false(origin_has_fewer_pending(origin, "alice", 0));
    add_node(origin, 2, 0);
    submit(origin, 1, 1);
    submit(origin, 2, 1);
    (void)drain(origin, true, 1);
    const char *user = origin_find(origin, 1)->spec.user;
    assert_true(origin_has_fewer_pending(origin, user, 3));
    assert_false(origin_has_fewer_pending(origin, user, 2));
    assert_true(origin_has_fewer_pending(origin, "nobody-else", 1));
    assert_int_equal(origin_cancel(origin, 1, 15, 0, 2), 0);
    (void)drain(origin, true, 2);
    assert_true(origin_has_fewer_pending(origin, user, 2));
    assert_false(origin_has_fewer_pending(origin, user, 1));
    origin_free(origin);
}

static void a_submission_that_cannot_be_saved_is_taken_back(void **state _unused_)
{
    struct origin *origin = make();
    struct origin_statistics statistics;

    add_node(origin, 2, 0);
    submit(origin, 1, 1);
    (void)drain(origin, true, 1);
    assert_int_equal(origin_take_back(origin, 1, 2), 0);
    assert_null(origin_find(origin, 1));
    assert_int_equal(origin_take_back(origin, 1, 2), -ENOENT);
    origin_committed(origin, 1, 2, 3);
    assert_string_equal(actions(origin, 3), "");
    origin_get_statistics(origin, &statistics);
    assert_int_equal(statistics.tasks, 0);
    submit(origin, 2, 3);
    (void)actions(origin, 3);
    assert_int_equal(origin_take_back(origin, 2, 4), -ENOENT);
    origin_free(origin);
}

static void a_commit_that_failed_is_asked_for_again(void **state _unused_)
{
    struct origin *origin = make();

    add_node(origin, 2, 0);
    submit(origin, 1, 1);
    (void)actions(origin, 1);
    end(origin, 1, 1, 2, TASK_END_EXIT, 0, 2);
    assert_string_equal(drain(origin, true, 2), "commit 1, ");
    origin_uncommitted(origin, 1, "no room", 3);
    origin_uncommitted(origin, 9, "no room", 3);
    assert_false(origin_is_stranded(origin, 1)); /* it has ended */
    assert_false(origin_has_ended(origin, origin_find(origin, 1)));
    assert_int_equal(origin_deadline(origin), 3 + USEC_PER_SEC);
    origin_tick(origin, 3 + USEC_PER_SEC);
    assert_string_equal(actions(origin, 3 + USEC_PER_SEC),
                        "commit 1, ack 1.1 lab-02, ended 1 succeeded, ");
    assert_true(origin_has_ended(origin, origin_find(origin, 1)));
    origin_free(origin);
}

static void a_commit_that_was_not_tried_comes_before_one_that_failed(void **state _unused_)
{
    struct origin *origin = make();
    usec_t soon = 3 + 20 * USEC_PER_MSEC;

    add_node(origin, 2, 0);
    submit(origin, 1, 1);
    submit(origin, 2, 1);
    (void)actions(origin, 1);
    end(origin, 1, 1, 2, TASK_END_EXIT, 0, 2);
    end(origin, 2, 1, 2, TASK_END_EXIT, 0, 2);
    (void)drain(origin, true, 2);
    origin_uncommitted(origin, 1, "no room", 3);
    origin_delayed(origin, 2, 3);
    origin_delayed(origin, 9, 3);
    assert_int_equal(origin_deadline(origin), soon);
    origin_tick(origin, soon);
    assert_string_equal(actions(origin, soon), "commit 2, ack 2.1 lab-02, ended 2 succeeded, ");
    assert_int_equal(origin_deadline(origin), 3 + USEC_PER_SEC);
    origin_tick(origin, 3 + USEC_PER_SEC);
    assert_string_equal(actions(origin, 3 + USEC_PER_SEC),
                        "commit 1, ack 1.1 lab-02, ended 1 succeeded, ");
    origin_free(origin);
}

/* Commits all. Return: the attempt whose output is to be kept, by the last commit. */
static uint64_t commit_all(struct origin *origin, usec_t now)
{
    struct origin_action action;
    uint64_t over = UINT64_MAX;

    while (origin_next_action(origin, &action))
        if (action.type == ORIGIN_COMMIT) {
            over = action.over;
            origin_committed(origin, action.number, action.revision, now);
        }
    return over;
}

static void a_commit_names_the_attempt_that_is_over(void **state _unused_)
{
    struct origin *origin = make();
    struct task_spec spec = spec_of("a");

    spec.retry_on |= TASK_RETRY_EXIT;
    spec.retry_delay_usec = 0;
    add_node(origin, 2, 0);
    submit_spec(origin, 1, &spec, 1);
    assert_int_equal(commit_all(origin, 1), 0);
    end(origin, 1, 1, 2, TASK_END_EXIT, 3, 2);
    assert_int_equal(commit_all(origin, 2), 1);
    /* One that was refused has its number, and no output. */
    refuse(origin, 1, 2, 2, ORIGIN_REFUSED_BUSY, 3);
    assert_int_equal(commit_all(origin, 3), 1);
    assert_int_equal(origin_find(origin, 1)->attempt, 3);
    start(origin, 1, 3, 2, 4);
    (void)commit_all(origin, 4);
    end(origin, 1, 3, 2, TASK_END_STOPPED, 0, 5);
    assert_int_equal(commit_all(origin, 5), 3);
    origin_free(origin);
}

static void an_accepted_task_whose_place_cannot_be_saved_waits_for_the_disk(void **state _unused_)
{
    struct origin *origin = make();
    struct task_spec spec = spec_of("a");
    char first[] = "1", *afters[] = {first, NULL};

    add_node(origin, 2, 0);
    submit(origin, 1, 1);
    spec.after = (struct task_words){.items = afters, .count = 1};
    submit_spec(origin, 2, &spec, 1);
    (void)actions(origin, 1);
    end(origin, 1, 1, 2, TASK_END_EXIT, 0, 2);
    (void)actions(origin, 2);
    origin_tick(origin, 3);
    assert_string_equal(drain(origin, true, 3), "commit 2, ");
    origin_uncommitted(origin, 2, "no room", 3);
    assert_string_equal(origin_find(origin, 2)->reason, "no room");
    assert_true(origin_is_stranded(origin, 2));
    /* It waits no more when something else becomes of it. */
    assert_int_equal(origin_cancel(origin, 2, 15, 0, 4), 0);
    assert_string_equal(actions(origin, 4), "commit 2, ended 2 cancelled, ");
    assert_false(origin_is_stranded(origin, 2));
    origin_tick(origin, 5 * USEC_PER_SEC);
    assert_string_equal(actions(origin, 5 * USEC_PER_SEC), "");
    origin_free(origin);
}

static void a_new_task_that_is_not_taken_back_waits_for_the_disk(void **state _unused_)
{
    struct origin *origin = make();
    char placed[TASK_REASON_MAX + 1];
    usec_t now = 1;

    add_node(origin, 2, 0);
    submit(origin, 1, now);
    assert_string_equal(drain(origin, true, now), "commit 1, ");
    (void)snprintf(placed, sizeof(placed), "%s", origin_find(origin, 1)->reason);
    for (int i = 0; i < 3; i++) {
        origin_uncommitted(origin, 1, "no room", now);
        assert_string_equal(origin_find(origin, 1)->reason, "no room");
        assert_true(origin_is_stranded(origin, 1));
        assert_ptr_equal(origin_next_stranded(origin, NULL), origin_find(origin, 1));
        assert_null(origin_next_stranded(origin, origin_find(origin, 1)));
        now += USEC_PER_SEC;
        assert_int_equal(origin_deadline(origin), now);
        origin_tick(origin, now);
        assert_string_equal(drain(origin, true, now), "commit 1, ");
        assert_string_equal(origin_find(origin, 1)->reason, "no room");
        assert_true(origin_is_stranded(origin, 1));
    }
    origin_committed(origin, 1, 9, now);
    /* That it waited does not stay in the record. */
    assert_string_equal(origin_find(origin, 1)->reason, placed);
    assert_string_equal(actions(origin, now), "commit 1, accepted 1, placed 1, send 1.1 lab-02, ");
    assert_false(origin_is_stranded(origin, 1));
    origin_free(origin);
}

static void a_retry_that_cannot_be_saved_is_taken_back(void **state _unused_)
{
    struct origin *origin = make();
    struct origin_statistics statistics;
    struct task_spec spec = spec_of("a");
    char other[] = "other", first[] = "1", *words[] = {other, NULL}, *afters[] = {first, NULL};
    struct task_words args = {.items = words, .count = 1};

    add_node(origin, 2, 0);
    submit(origin, 1, 1);
    (void)actions(origin, 1);
    end(origin, 1, 1, 2, TASK_END_EXIT, 3, 2);
    (void)actions(origin, 2);
    const struct task *task = origin_find(origin, 1);
    const uint64_t attempt = task->attempt;
    assert_int_equal(origin_retry(origin, 1, "lab-02", &args, 3), 0);
    spec.after = (struct task_words){.items = afters, .count = 1};
    submit_spec(origin, 2, &spec, 3);
    (void)drain(origin, true, 3);
    assert_int_equal(origin_take_back(origin, 1, 4), 0);
    assert_ptr_equal(origin_find(origin, 1), task);
    assert_int_equal(task->state, TASK_FAILED);
    assert_true(task->has_end);
    assert_int_equal(task->end.code, 3);
    assert_int_equal(task->attempt, attempt);
    assert_int_equal(task->spec.args.count, 0);
    assert_string_equal(task->spec.node, "");
    assert_int_equal(origin_take_back(origin, 1, 4), -ENOENT);
    /* A later commit of the retry may have had room; whoever waited for its end looks again. */
    assert_non_null(strstr(drain(origin, false, 4), "commit 1, "));
    origin_tick(origin, 5);
    (void)actions(origin, 5);
    assert_int_equal(origin_find(origin, 2)->state, TASK_CANCELLED);
    origin_get_statistics(origin, &statistics);
    assert_int_equal(statistics.pending, 0);
    /* It goes when its time is over, and can be asked for again before. */
    assert_int_equal(origin_retry(origin, 1, NULL, NULL, 6), 0);
    assert_non_null(strstr(actions(origin, 6), "accepted 1, "));
    assert_int_equal(origin_take_back(origin, 1, 6), -ENOENT);
    end(origin, 1, 2, 2, TASK_END_EXIT, 0, 7);
    (void)actions(origin, 7);
    assert_int_equal(origin_find(origin, 1)->state, TASK_SUCCEEDED);
    origin_free(origin);
}

static void a_task_whose_end_is_not_saved_does_not_run_again(void **state _unused_)
{
    struct origin *origin = make();

    add_node(origin, 2, 0);
    submit(origin, 1, 1);
    (void)actions(origin, 1);
    end(origin, 1, 1, 2, TASK_END_EXIT, 0, 2);
    (void)drain(origin, true, 2);
    origin_uncommitted(origin, 1, "no room", 3);
    assert_int_equal(origin_retry(origin, 1, NULL, NULL, 4), -EBUSY);
    assert_int_equal(state_of(origin, 1), TASK_SUCCEEDED);
    /* Its worker keeps it until then, and nobody has heard of it. */
    end(origin, 1, 1, 2, TASK_END_EXIT, 0, 5);
    assert_string_equal(drain(origin, true, 5), "");
    origin_committed(origin, 1, UINT64_MAX, 6);
    assert_string_equal(drain(origin, true, 6), "ack 1.1 lab-02, ended 1 succeeded, ");
    assert_int_equal(origin_retry(origin, 1, NULL, NULL, 7), 0);
    origin_free(origin);
}

static void a_result_that_is_lost_after_its_end_is_told(void **state _unused_)
{
    struct origin *origin = make();
    struct place_facts facts = facts_of(2);
    _cleanup_(task_spec_done) struct task_spec spec = spec_of(TASK_TYPE_PYTHON);

    strcpy(facts.python, "3.11");
    facts.has_python = true;
    assert_int_equal(origin_set_node(origin, &facts, 0), 0);
    assert_int_equal(task_python_new("f.py", "f", "", &spec.python), 0);
    submit_spec(origin, 1, &spec, 1);
    (void)actions(origin, 1);
    end(origin, 1, 1, 2, TASK_END_EXIT, 0, 2);
    (void)actions(origin, 2);
    assert_string_equal(reason_of(origin, 1), "");
    origin_cut(origin, 1, 1, ENOSPC, true, 3);
    assert_string_equal(actions(origin, 3), "commit 1, ");
    assert_string_equal(reason_of(origin, 1), "its result is lost: no space left on lab-01");
    const struct task *task = origin_find(origin, 1);
    assert_int_equal(task->state, TASK_SUCCEEDED);
    assert_string_equal(task->timeline[task->timeline_count - 1].text, task->reason);
    origin_free(origin);
}

static void a_start_that_is_heard_of_late_stands_where_it_was(void **state _unused_)
{
    struct origin *origin = make();
    struct node_id two = node(2);

    add_node(origin, 2, 0);
    submit(origin, 1, 1);
    (void)actions(origin, 1);
    accept(origin, 1, 1, 2, 2);
    assert_int_equal(origin_cancel(origin, 1, 15, USEC_PER_SEC, 20), 0);
    origin_started(origin, 1, 1, &two, 15, 25);
    const struct task *task = origin_find(origin, 1);
    assert_int_equal(task->timeline_count, 4);
    assert_string_equal(task->timeline[2].text, "started on lab-02");
    assert_int_equal(task->timeline[2].wall_usec, WALL + 10);
    assert_string_equal(task->timeline[3].text, "cancelled by a user");
    origin_free(origin);
}

static void an_end_that_is_heard_of_late_stands_where_it_was(void **state _unused_)
{
    struct origin *origin = make();
    struct node_id two = node(2);
    struct task_end end = {.type = TASK_END_EXIT,
                           .code = 1,
                           .run_usec = 2 * USEC_PER_SEC,
                           .ago_usec = 75 * USEC_PER_SEC};
    const usec_t now = 100 * USEC_PER_SEC;

    add_node(origin, 2, 0);
    submit(origin, 1, 1);
    (void)actions(origin, 1);
    accept(origin, 1, 1, 2, 2);
    assert_int_equal(origin_cancel(origin, 1, 15, USEC_PER_SEC, 90 * USEC_PER_SEC), 0);
    origin_ended(origin, 1, 1, &two, &end, now);
    (void)actions(origin, now);
    const struct task *task = origin_find(origin, 1);
    assert_int_equal(task->started_wall_usec, WALL + 23 * USEC_PER_SEC);
    assert_int_equal(task->ended_wall_usec, WALL + 25 * USEC_PER_SEC);
    assert_int_equal(task->timeline_count, 5);
    assert_string_equal(task->timeline[2].text, "started on lab-02");
    assert_int_equal(task->timeline[2].wall_usec, WALL + 23 * USEC_PER_SEC);
    assert_non_null(strstr(task->timeline[3].text, "after 2"));
    assert_int_equal(task->timeline[3].wall_usec, WALL + 25 * USEC_PER_SEC);
    assert_string_equal(task->timeline[4].text, "cancelled by a user");
    origin_free(origin);
}

static void what_never_left_goes_elsewhere_when_the_node_cannot_be_reached(void **state _unused_)
{
    struct origin *origin = make();
    struct node_id two = node(2);

    add_node(origin, 2, 0);
    submit(origin, 1, 0);
    (void)actions(origin, 0);
    /* The first went over a connection that broke: it may be there. */
    origin_disconnected(origin, &two, 1);
    submit(origin, 2, 2);
    submit(origin, 3, 2);
    (void)actions(origin, 2);
    accept(origin, 3, 1, 2, 2);
    add_node(origin, 3, 2);
    origin_unreachable(origin, &two, 3);
    assert_string_equal(actions(origin, 3), "commit 2, placed 2, send 2.2 lab-03, ");
    origin_free(origin);
}

static void an_unknown_type_is_an_error_unless_one_may_wait(void **state _unused_)
{
    struct origin *origin = make();
    struct task_spec spec = spec_of("d");
    char reason[TASK_REASON_MAX + 1];
    struct place_facts facts = facts_of(3);
    static const char *const d[] = {"d"};

    add_node(origin, 2, 0);
    assert_int_equal(origin_submit(origin, 1, &spec, false, 1, reason), -ENOENT);
    assert_string_equal(reason, "no node handles task type \"d\"");
    assert_int_equal(origin_submit(origin, 1, &spec, true, 1, reason), 0);
    assert_string_equal(actions(origin, 1), "commit 1, accepted 1, ");
    assert_string_equal(reason_of(origin, 1), "no node handles task type \"d\"");
    facts.types = d;
    facts.types_count = 1;
    assert_int_equal(origin_set_node(origin, &facts, 2), 0);
    assert_string_equal(run_until(origin, 2), "commit 1, placed 1, send 1.1 lab-03, ");
    origin_free(origin);
}

static void what_no_node_can_take_is_stranded_until_one_can(void **state _unused_)
{
    struct origin *origin = make();
    struct task_spec spec = spec_of("a");

    add_node(origin, 2, 0);
    submit(origin, 1, 1);
    set_state(origin, 2, PLACE_DEAD, 2);
    assert_false(origin_is_stranded(origin, 1)); /* its node may come back */
    assert_null(origin_next_stranded(origin, NULL));
    submit(origin, 2, 3);
    submit(origin, 3, 3);
    assert_int_equal(task_words_add(&spec.after, "3:any"), 0);
    submit_spec(origin, 4, &spec, 4);
    task_words_done(&spec.after);
    assert_true(origin_is_stranded(origin, 2));
    assert_false(origin_is_stranded(origin, 4)); /* it waits for a task */
    assert_false(origin_is_stranded(origin, 99));
    const struct task *first = origin_next_stranded(origin, NULL);
    const struct task *second = origin_next_stranded(origin, first);
    assert_int_equal(first->number + second->number, 5);
    assert_string_equal(first->reason, "the only node for type a, lab-02, is dead");
    assert_null(origin_next_stranded(origin, second));
    set_state(origin, 2, PLACE_ALIVE, 5);
    origin_tick(origin, 5);
    assert_false(origin_is_stranded(origin, 2));
    assert_null(origin_next_stranded(origin, NULL));
    origin_free(origin);
}

static void a_confidential_task_for_another_node_is_refused(void **state _unused_)
{
    struct origin *origin = make();
    struct task_spec spec = spec_of("a");
    char reason[TASK_REASON_MAX + 1];

    add_node(origin, 1, 0);
    add_node(origin, 2, 0);
    spec.is_confidential = true;
    (void)snprintf(spec.node, sizeof(spec.node), "lab-02");
    assert_int_equal(origin_submit(origin, 1, &spec, false, 1, reason), -EPERM);
    (void)snprintf(spec.node, sizeof(spec.node), "lab-01");
    submit_spec(origin, 1, &spec, 1);
    assert_string_equal(actions(origin, 1), "commit 1, accepted 1, placed 1, send 1.1 lab-01, ");
    end(origin, 1, 1, 1, TASK_END_EXIT, 0, 2);
    (void)actions(origin, 2);
    assert_int_equal(origin_retry(origin, 1, "lab-02", NULL, 3), -EPERM);
    origin_free(origin);
}

static void a_task_moves_when_its_node_is_dead_and_its_lease_is_over(void **state _unused_)
{
    struct origin *origin = make();
    struct node_id two = node(2);

    add_node(origin, 2, 0);
    add_node(origin, 3, 0);
    submit(origin, 1, 0);
    (void)actions(origin, 0);
    start(origin, 1, 1, 2, 0);
    (void)actions(origin, 0);
    assert_true(origin_renewed(origin, 1, 1, &two, 10 * USEC_PER_SEC));
    (void)actions(origin, 10 * USEC_PER_SEC);
    set_state(origin, 2, PLACE_DEAD, 11 * USEC_PER_SEC);
    assert_null(strstr(run_until(origin, 10 * USEC_PER_SEC + HOLD - 1), "lost"));
    assert_int_equal(state_of(origin, 1), TASK_RUNNING);
    assert_string_equal(run_until(origin, 10 * USEC_PER_SEC + HOLD),
                        "lost 1 (lab-02 dead), commit 1, ");
    assert_int_equal(state_of(origin, 1), TASK_PENDING);
    assert_string_equal(run_until(origin, 10 * USEC_PER_SEC + HOLD + 2 * DELAY),
                        "moved 1 (from lab-02: lab-02 dead), commit 1, placed 1, "
                        "send 1.2 lab-03, ");
    start(origin, 1, 2, 3, 40 * USEC_PER_SEC);
    end(origin, 1, 2, 3, TASK_END_EXIT, 0, 41 * USEC_PER_SEC);
    assert_non_null(strstr(actions(origin, 41 * USEC_PER_SEC), "ended 1 succeeded"));
    assert_string_equal(reason_of(origin, 1), "attempt 2; before: lab-02 dead");
    origin_free(origin);
}

static void a_suspect_node_keeps_its_task(void **state _unused_)
{
    struct origin *origin = make();

    add_node(origin, 2, 0);
    add_node(origin, 3, 0);
    submit(origin, 1, 0);
    (void)actions(origin, 0);
    start(origin, 1, 1, 2, 0);
    set_state(origin, 2, PLACE_SUSPECT, 1);
    assert_null(strstr(run_until(origin, USEC_PER_HOUR), "lost"));
    assert_string_equal(reason_of(origin, 1), "no contact with lab-02");
    assert_true(origin_is_unheard(origin, 1));
    struct node_id two = node(2);
    assert_true(origin_renewed(origin, 1, 1, &two, USEC_PER_HOUR));
    assert_string_equal(reason_of(origin, 1), "");
    assert_false(origin_is_unheard(origin, 1));
    origin_free(origin);
}

static void the_end_of_an_old_attempt_is_not_accepted(void **state _unused_)
{
    struct origin *origin = make();
    struct origin_statistics statistics;

    add_node(origin, 2, 0);
    add_node(origin, 3, 0);
    submit(origin, 1, 0);
    (void)actions(origin, 0);
    start(origin, 1, 1, 2, 0);
    set_state(origin, 2, PLACE_DEAD, 1);
    (void)run_until(origin, USEC_PER_MIN);
    assert_int_equal(origin_find(origin, 1)->attempt, 2);
    end(origin, 1, 1, 2, TASK_END_EXIT, 7, USEC_PER_MIN);
    assert_string_equal(actions(origin, USEC_PER_MIN), "ack 1.1 lab-02, ");
    end(origin, 1, 2, 2, TASK_END_EXIT, 7, USEC_PER_MIN); /* nor one from the wrong node */
    assert_string_equal(actions(origin, USEC_PER_MIN), "ack 1.2 lab-02, ");
    start(origin, 1, 1, 2, USEC_PER_MIN);
    assert_string_equal(actions(origin, USEC_PER_MIN), "cancel 1.1 lab-02, cancel 1.1 lab-02, ");
    struct node_id two = node(2);
    assert_false(origin_renewed(origin, 1, 1, &two, USEC_PER_MIN));
    assert_int_equal(state_of(origin, 1), TASK_PENDING);
    origin_get_statistics(origin, &statistics);
    assert_int_equal(statistics.stale, 2);
    origin_free(origin);
}

static void without_retries_a_lost_task_is_unknown(void **state _unused_)
{
    struct origin *origin = make();
    struct task_spec spec = spec_of("a");

    spec.retries = 0;
    add_node(origin, 2, 0);
    submit_spec(origin, 1, &spec, 0);
    (void)actions(origin, 0);
    set_state(origin, 2, PLACE_DEAD, 1);
    assert_non_null(strstr(run_until(origin, USEC_PER_MIN), "ended 1 unknown"));
    assert_string_equal(reason_of(origin, 1), "attempt 1 lost: lab-02 dead");
    origin_free(origin);
}

static void after_the_last_retry_the_task_is_lost(void **state _unused_)
{
    struct origin *origin = make();
    struct task_spec spec = spec_of("a");

    spec.retries = 1;
    add_node(origin, 2, 0);
    add_node(origin, 3, 0);
    submit_spec(origin, 1, &spec, 0);
    (void)actions(origin, 0);
    set_state(origin, 2, PLACE_DEAD, 1);
    set_state(origin, 3, PLACE_DEAD, 1);
    (void)run_until(origin, USEC_PER_MIN);
    assert_string_equal(reason_of(origin, 1),
                        "none of the 2 nodes for type a accepts work: 2 dead");
    set_state(origin, 3, PLACE_ALIVE, 2 * USEC_PER_MIN);
    assert_non_null(strstr(run_until(origin, 2 * USEC_PER_MIN), "send 1.2 lab-03"));
    set_state(origin, 3, PLACE_LEFT, 3 * USEC_PER_MIN);
    assert_non_null(strstr(run_until(origin, 4 * USEC_PER_MIN), "ended 1 lost"));
    assert_string_equal(reason_of(origin, 1), "lab-03 left; last of 2 attempts");
    origin_free(origin);
}

static void a_failure_is_final_unless_retry_on_exit(void **state _unused_)
{
    struct origin *origin = make();
    struct task_spec spec = spec_of("a");

    add_node(origin, 2, 0);
    submit_spec(origin, 1, &spec, 0);
    spec.retry_on |= TASK_RETRY_EXIT;
    submit_spec(origin, 2, &spec, 0);
    (void)actions(origin, 0);
    end(origin, 1, 1, 2, TASK_END_EXIT, 1, 1);
    end(origin, 2, 1, 2, TASK_END_EXIT, 1, 1);
    assert_string_equal(actions(origin, 1), "commit 1, commit 2, ack 1.1 lab-02, ended 1 failed, "
                                            "ack 2.1 lab-02, ");
    assert_string_equal(reason_of(origin, 1), "exit 1");
    assert_string_equal(reason_of(origin, 2), "attempt 1: exit 1 on lab-02");
    (void)run_until(origin, USEC_PER_MIN);
    end(origin, 2, 2, 2, TASK_END_SIGNAL, 11, USEC_PER_MIN);
    (void)run_until(origin, 2 * USEC_PER_MIN);
    end(origin, 2, 3, 2, TASK_END_EXIT, 3, 2 * USEC_PER_MIN);
    assert_non_null(strstr(actions(origin, 2 * USEC_PER_MIN), "ended 2 failed"));
    assert_string_equal(reason_of(origin, 2), "exit 3; last of 3 attempts");
    origin_free(origin);
}

static void retries_back_off_doubled_with_jitter_up_to_five_minutes(void **state _unused_)
{
    struct origin *origin = make();
    struct task_spec spec = spec_of("a");
    usec_t now = 0, before = 0;

    spec.retries = 20;
    spec.retry_on |= TASK_RETRY_EXIT;
    add_node(origin, 2, 0);
    submit_spec(origin, 1, &spec, 0);
    (void)actions(origin, 0);
    for (uint64_t attempt = 1; attempt <= 20; attempt++) {
        end(origin, 1, attempt, 2, TASK_END_EXIT, 1, now);
        (void)actions(origin, now);
        before = now;
        now = origin_deadline(origin);
        usec_t delay = now - before,
               base = attempt > 8 ? ORIGIN_DELAY_MAX_USEC : DELAY << (attempt - 1);
        assert_in_range(delay, base * 3 / 4, MIN(base * 5 / 4, ORIGIN_DELAY_MAX_USEC));
        origin_tick(origin, now);
        assert_non_null(strstr(actions(origin, now), "send"));
    }
    origin_free(origin);
}

static void a_refused_attempt_goes_elsewhere_at_once_and_costs_no_try(void **state _unused_)
{
    struct origin *origin = make();

    add_node(origin, 2, 0);
    add_node(origin, 3, 0);
    submit(origin, 1, 0);
    (void)actions(origin, 0);
    refuse(origin, 1, 1, 2, ORIGIN_REFUSED_BUSY, 1);
    assert_string_equal(actions(origin, 1), "commit 1, placed 1, send 1.2 lab-03, ");
    assert_int_equal(origin_find(origin, 1)->tries, 1);
    refuse(origin, 1, 1, 2, ORIGIN_REFUSED_BUSY, 1); /* the same again says nothing new */
    assert_string_equal(actions(origin, 1), "");
    refuse(origin, 1, 2, 3, ORIGIN_REFUSED_DRAINING, 2);
    assert_non_null(strstr(actions(origin, 2), "send 1.3 lab-02"));
    /* Then it takes its time. */
    refuse(origin, 1, 3, 2, ORIGIN_REFUSED_BUSY, 3);
    assert_string_equal(actions(origin, 3), "commit 1, ");
    assert_string_equal(reason_of(origin, 1), "not taken by lab-02: its queue is full");
    assert_in_range(origin_deadline(origin), 3 + 100 * USEC_PER_MSEC, 3 + USEC_PER_SEC);
    assert_non_null(strstr(run_until(origin, USEC_PER_SEC), "send 1.4"));
    origin_free(origin);
}

static void a_node_that_has_no_space_for_what_it_took_is_tried_ever_less_often(
    void **state _unused_)
{
    struct origin *origin = make();
    struct node_id two = node(2);
    usec_t now = 0;

    add_node(origin, 2, 0);
    submit(origin, 1, now);
    (void)actions(origin, now);
    for (uint64_t attempt = 1; attempt <= 5; attempt++) {
        assert_false(origin_is_stranded(origin, 1));
        origin_accepted(origin, 1, attempt, &two, now);
        refuse(origin, 1, attempt, 2, ORIGIN_REFUSED_NO_SPACE, now);
        (void)actions(origin, now);
        while (!origin_find(origin, 1)->has_node) {
            now = MAX(now, origin_deadline(origin));
            assert_string_equal(reason_of(origin, 1), "not taken by lab-02: its disk is full");
            assert_int_equal(origin_is_stranded(origin, 1), attempt > 2);
            origin_tick(origin, now);
            (void)actions(origin, now);
        }
    }
    assert_true(now > USEC_PER_SEC / 2);
    /* One that has room for it is as any other then. */
    start(origin, 1, 6, 2, now);
    (void)actions(origin, now);
    assert_false(origin_is_stranded(origin, 1));
    origin_free(origin);
}

static void a_task_whose_results_are_held_up_is_stranded(void **state _unused_)
{
    struct origin *origin = make();

    add_node(origin, 2, 0);
    submit(origin, 1, 0);
    (void)actions(origin, 0);
    start(origin, 1, 1, 2, 1);
    assert_false(origin_is_stranded(origin, 1));
    origin_explain(origin, 1, "no room", 2);
    assert_true(origin_is_stranded(origin, 1));
    assert_string_equal(origin_next_stranded(origin, NULL)->reason, "no room");
    end(origin, 1, 1, 2, TASK_END_EXIT, 0, 3);
    assert_false(origin_is_stranded(origin, 1));
    origin_free(origin);
}

static void refusals_that_the_user_wants_no_retry_on_are_final(void **state _unused_)
{
    struct origin *origin = make();
    struct task_spec spec = spec_of("a");

    spec.retry_on = TASK_RETRY_NODE_LOST;
    add_node(origin, 2, 0);
    submit_spec(origin, 1, &spec, 0);
    (void)actions(origin, 0);
    refuse(origin, 1, 1, 2, ORIGIN_REFUSED_UNREACHABLE, 1);
    assert_string_equal(actions(origin, 1), "commit 1, ended 1 failed, ");
    assert_string_equal(reason_of(origin, 1), "not taken by lab-02: it cannot be reached");
    origin_free(origin);
}

static void a_drained_queue_moves_to_another_node(void **state _unused_)
{
    struct origin *origin = make();

    add_node(origin, 2, 0);
    add_node(origin, 3, 0);
    submit(origin, 1, 0);
    (void)actions(origin, 0);
    accept(origin, 1, 1, 2, 0);
    refuse(origin, 1, 1, 2, ORIGIN_REFUSED_DRAINING, 1);
    assert_string_equal(actions(origin, 1),
                        "moved 1 (from lab-02: it is draining), commit 1, placed 1, "
                        "send 1.2 lab-03, ");
    origin_free(origin);
}

static void a_long_queued_task_is_recalled_when_another_node_is_free(void **state _unused_)
{
    struct origin *origin = make();
    struct node_id two = node(2);

    add_node(origin, 2, 0);
    submit(origin, 1, 0);
    (void)actions(origin, 0);
    accept(origin, 1, 1, 2, 0);
    for (usec_t now = 0; now < 30 * USEC_PER_SEC; now += 5 * USEC_PER_SEC) {
        origin_tick(origin, now);
        assert_true(origin_renewed(origin, 1, 1, &two, now));
        assert_string_equal(actions(origin, now), "");
    }
    origin_tick(origin, 30 * USEC_PER_SEC);
    assert_string_equal(actions(origin, 30 * USEC_PER_SEC), "");
    add_node(origin, 3, 31 * USEC_PER_SEC);
    for (usec_t now = 30 * USEC_PER_SEC; now < 60 * USEC_PER_SEC; now += 5 * USEC_PER_SEC)
        assert_true(origin_renewed(origin, 1, 1, &two, now));
    origin_tick(origin, 60 * USEC_PER_SEC);
    assert_string_equal(actions(origin, 60 * USEC_PER_SEC), "ask 1.2 lab-03, ");
    origin_answered(origin, 1, 2, &(struct node_id){{3}},
                    &(struct place_answer){.is_willing = true, .slots = 4}, 60 * USEC_PER_SEC);
    assert_string_equal(actions(origin, 60 * USEC_PER_SEC), "recall 1.1 lab-02, ");
    refuse(origin, 1, 1, 2, ORIGIN_REFUSED_RECALLED, 60 * USEC_PER_SEC);
    assert_non_null(strstr(actions(origin, 60 * USEC_PER_SEC),
                           "moved 1 (from lab-02: another node is freer), commit 1, placed 1, "
                           "send 1.2 lab-03"));
    origin_free(origin);
}

static void what_did_not_begin_within_its_lease_is_placed_again(void **state _unused_)
{
    struct origin *origin = make();
    struct task_spec spec = spec_of("a");

    spec.retries = 0; /* even so: it did not run */
    add_node(origin, 2, 0);
    submit_spec(origin, 1, &spec, 0);
    (void)actions(origin, 0);
    accept(origin, 1, 1, 2, 0);
    refuse(origin, 1, 1, 2, ORIGIN_REFUSED_RECALLED, 1);
    assert_string_equal(actions(origin, 1), "commit 1, placed 1, send 1.2 lab-02, ");
    assert_int_equal(origin_find(origin, 1)->tries, 1);
    assert_non_null(strstr(origin_find(origin, 1)->timeline[2].text,
                           "not taken by lab-02: it did not begin within its lease"));
    origin_free(origin);
}

static void a_lost_connection_is_followed_by_questions(void **state _unused_)
{
    struct origin *origin = make();
    struct node_id two = node(2);

    add_node(origin, 2, 0);
    submit(origin, 1, 0);
    (void)actions(origin, 0);
    start(origin, 1, 1, 2, 0);
    (void)actions(origin, 0);
    origin_disconnected(origin, &two, 1);
    assert_string_equal(run_until(origin, USEC_PER_SEC), "query 1.1 lab-02, ");
    assert_string_equal(run_until(origin, 2 * USEC_PER_SEC), "query 1.1 lab-02, ");
    start(origin, 1, 1, 2, 2 * USEC_PER_SEC);
    assert_string_equal(run_until(origin, 10 * USEC_PER_SEC), "");
    origin_free(origin);
}

static void questions_that_find_no_connection_come_ever_less_often(void **state _unused_)
{
    struct origin *origin = make();
    struct node_id two = node(2);
    unsigned queries = 0;

    add_node(origin, 2, 0);
    submit(origin, 1, 0);
    (void)actions(origin, 0);
    start(origin, 1, 1, 2, 0);
    (void)actions(origin, 0);
    origin_disconnected(origin, &two, 1);
    for (usec_t now = 1; now < USEC_PER_MIN; now += 10 * USEC_PER_MSEC) {
        origin_tick(origin, now);
        if (!strstr(actions(origin, now), "query 1.1 lab-02"))
            continue;
        queries++;
        origin_disconnected(origin, &two, now);
    }
    assert_in_range(queries, 10, 20);
    origin_free(origin);
}

static void an_attempt_that_never_arrived_is_placed_again(void **state _unused_)
{
    struct origin *origin = make();
    struct node_id two = node(2);
    struct task_spec spec = spec_of("a");

    spec.retries = 0; /* even so: it cannot have run */
    add_node(origin, 2, 0);
    add_node(origin, 3, 0);
    submit_spec(origin, 1, &spec, 0);
    (void)actions(origin, 0);
    origin_disconnected(origin, &two, 1);
    (void)run_until(origin, USEC_PER_SEC);
    origin_missing(origin, 1, 1, &two, true, USEC_PER_SEC);
    assert_non_null(strstr(actions(origin, USEC_PER_SEC), "send 1.2 lab-03"));
    assert_int_equal(origin_find(origin, 1)->tries, 1);
    origin_free(origin);
}

static void an_attempt_that_its_node_forgot_is_lost(void **state _unused_)
{
    struct origin *origin = make();
    struct node_id two = node(2);

    add_node(origin, 2, 0);
    submit(origin, 1, 0);
    (void)actions(origin, 0);
    start(origin, 1, 1, 2, 0);
    (void)actions(origin, 0);
    origin_missing(origin, 1, 1, &two, true, 1);
    assert_string_equal(actions(origin, 1),
                        "lost 1 (lab-02 does not have it any more), commit 1, ");
    origin_free(origin);
}

/* It waited in the queue of a node that was killed: it may run there again, even if only once. */
static void an_attempt_that_did_not_begin_is_none(void **state _unused_)
{
    struct origin *origin = make();
    struct node_id two = node(2);
    struct task_spec spec = spec_of("a");

    spec.retries = 0;
    add_node(origin, 2, 0);
    submit_spec(origin, 1, &spec, 0);
    (void)actions(origin, 0);
    accept(origin, 1, 1, 2, 0);
    origin_missing(origin, 1, 1, &two, false, USEC_PER_SEC);
    assert_non_null(strstr(actions(origin, USEC_PER_SEC), "send 1.2 lab-02"));
    assert_int_equal(origin_find(origin, 1)->tries, 1);
    /* What is known to have begun is not believed to have not. */
    start(origin, 1, 2, 2, USEC_PER_SEC);
    (void)actions(origin, USEC_PER_SEC);
    origin_missing(origin, 1, 2, &two, false, USEC_PER_SEC);
    assert_int_equal(state_of(origin, 1), TASK_UNKNOWN);
    origin_free(origin);
}

static void what_did_not_begin_here_waits_again_after_a_restart(void **state _unused_)
{
    struct origin *origin = make(), *next;
    struct origin_config config = config_of();
    struct task_spec spec = spec_of("a");

    spec.retries = 0;
    add_node(origin, 1, 0);
    submit_spec(origin, 1, &spec, 0);
    (void)actions(origin, 0);
    accept(origin, 1, 1, 1, 0);
    assert_int_equal(origin_new(&config, 2, 0, WALL, &next), 0);
    add_node(next, 1, 0);
    assert_int_equal(origin_restore(next, reload(origin, 1), false, 0), 0);
    assert_non_null(strstr(actions(next, 0), "send 1.2 lab-01"));
    assert_int_equal(origin_find(next, 1)->tries, 1);
    assert_int_equal(state_of(next, 1), TASK_PENDING);
    origin_free(origin);
    origin_free(next);
}

static bool has_told(const struct origin *origin, const char *text)
{
    const struct task *task = origin_find(origin, 1);

    for (size_t i = 0; i < task->timeline_count; i++)
        if (strcmp(task->timeline[i].text, text) == 0)
            return true;
    return false;
}

/* The offer got lost with the origin, and the worker runs on. */
static void what_a_node_never_had_is_not_put_down_to_its_restart(void **state _unused_)
{
    struct origin_config config = config_of();
    struct place_facts facts = facts_of(2);
    struct node_id two = node(2);

    for (int is_restarted = 0; is_restarted < 2; is_restarted++) {
        struct origin *origin = make(), *next;
        add_node(origin, 2, 0);
        submit(origin, 1, 0);
        assert_int_equal(origin_new(&config, 2, 0, WALL, &next), 0);
        facts.generation += (uint64_t)is_restarted;
        assert_int_equal(origin_set_node(next, &facts, 0), 0);
        assert_int_equal(origin_restore(next, reload(origin, 1), true, 0), 0);
        (void)actions(next, 0);
        origin_missing(next, 1, 1, &two, false, 1);
        assert_int_equal(has_told(next, "not begun on lab-02: it was restarted"), is_restarted);
        assert_int_equal(has_told(next, "not begun on lab-02: it never had it"), !is_restarted);
        origin_free(origin);
        origin_free(next);
    }
}

/* Else a restart of both could ask for what its worker does not remember any more. */
static void what_is_not_on_disk_is_not_acknowledged(void **state _unused_)
{
    struct origin *origin = make();

    add_node(origin, 2, 0);
    add_node(origin, 3, 0);
    submit(origin, 1, 0);
    (void)actions(origin, 0);
    start(origin, 1, 1, 2, 0);
    (void)actions(origin, 0);
    struct node_id two = node(2);
    origin_missing(origin, 1, 1, &two, true, 1);
    end(origin, 1, 1, 2, TASK_END_EXIT, 0, 1);
    assert_null(strstr(drain(origin, true, 1), "ack"));
    origin_free(origin);
}

static void a_restarted_node_is_asked_and_then_given_up(void **state _unused_)
{
    struct origin *origin = make();
    struct place_facts facts = facts_of(2);

    add_node(origin, 2, 0);
    submit(origin, 1, 0);
    (void)actions(origin, 0);
    start(origin, 1, 1, 2, 0);
    (void)actions(origin, 0);
    facts.generation++;
    assert_int_equal(origin_set_node(origin, &facts, USEC_PER_SEC), 0);
    assert_string_equal(actions(origin, USEC_PER_SEC), "query 1.1 lab-02, ");
    assert_null(strstr(run_until(origin, HOLD - 1), "lost"));
    assert_non_null(strstr(run_until(origin, HOLD), "lost 1 (lab-02 started again)"));
    origin_free(origin);
}

static void cancelling_what_waits_ends_it_at_once(void **state _unused_)
{
    struct origin *origin = make();
    struct task_spec spec = spec_of("d");
    char reason[TASK_REASON_MAX + 1];

    assert_int_equal(origin_submit(origin, 1, &spec, true, 0, reason), 0);
    (void)actions(origin, 0);
    assert_int_equal(origin_cancel(origin, 1, 15, USEC_PER_SEC, 1), 0);
    assert_string_equal(actions(origin, 1), "commit 1, ended 1 cancelled, ");
    assert_int_equal(origin_cancel(origin, 1, 15, USEC_PER_SEC, 1), -EALREADY);
    assert_int_equal(origin_cancel(origin, 9, 15, USEC_PER_SEC, 1), -ENOENT);
    /* Also what has not gone out yet. */
    add_node(origin, 2, 2);
    submit(origin, 2, 2);
    (void)drain(origin, true, 2);
    assert_int_equal(origin_cancel(origin, 2, 15, USEC_PER_SEC, 2), 0);
    assert_string_equal(actions(origin, 2), "commit 2, accepted 2, ended 2 cancelled, ");
    origin_free(origin);
}

static void cancelling_what_runs_waits_for_its_end(void **state _unused_)
{
    struct origin *origin = make();

    add_node(origin, 2, 0);
    submit(origin, 1, 0);
    submit(origin, 2, 0);
    (void)actions(origin, 0);
    start(origin, 1, 1, 2, 0);
    start(origin, 2, 1, 2, 0);
    (void)actions(origin, 0);
    assert_int_equal(origin_cancel(origin, 1, 15, USEC_PER_SEC, 1), 0);
    assert_int_equal(origin_cancel(origin, 2, 15, USEC_PER_SEC, 1), 0);
    assert_string_equal(actions(origin, 1),
                        "commit 1, cancel 1.1 lab-02, commit 2, cancel 2.1 lab-02, ");
    assert_int_equal(state_of(origin, 1), TASK_RUNNING);
    end(origin, 1, 1, 2, TASK_END_CANCELLED, 0, 2);
    end(origin, 2, 1, 2, TASK_END_EXIT, 0, 2); /* it was faster */
    (void)actions(origin, 2);
    assert_int_equal(state_of(origin, 1), TASK_CANCELLED);
    assert_int_equal(state_of(origin, 2), TASK_SUCCEEDED);
    origin_free(origin);
}

static void what_was_cancelled_before_it_was_known_to_run_stays_so(void **state _unused_)
{
    struct origin *origin = make();

    add_node(origin, 2, 0);
    submit(origin, 1, 0);
    submit(origin, 2, 0);
    (void)actions(origin, 0);
    accept(origin, 1, 1, 2, 0);
    accept(origin, 2, 1, 2, 0);
    assert_int_equal(origin_cancel(origin, 1, 15, USEC_PER_SEC, 1), 0);
    assert_int_equal(origin_cancel(origin, 2, 15, USEC_PER_SEC, 1), 0);
    start(origin, 2, 1, 2, 2);
    end(origin, 1, 1, 2, TASK_END_EXIT, 0, 3);
    end(origin, 2, 1, 2, TASK_END_STOPPED, 0, 3);
    (void)actions(origin, 3);
    assert_int_equal(state_of(origin, 1), TASK_CANCELLED);
    assert_int_equal(state_of(origin, 2), TASK_CANCELLED);
    origin_free(origin);
}

static void a_cancelled_task_is_not_tried_again(void **state _unused_)
{
    struct origin *origin = make();

    add_node(origin, 2, 0);
    submit(origin, 1, 0);
    (void)actions(origin, 0);
    start(origin, 1, 1, 2, 0);
    assert_int_equal(origin_cancel(origin, 1, 15, USEC_PER_SEC, 1), 0);
    set_state(origin, 2, PLACE_DEAD, 2);
    assert_non_null(strstr(run_until(origin, USEC_PER_MIN), "ended 1 cancelled"));
    origin_free(origin);
}

static void a_task_runs_again_when_a_user_asks_for_it(void **state _unused_)
{
    struct origin *origin = make();

    add_node(origin, 2, 0);
    add_node(origin, 3, 0);
    submit(origin, 1, 0);
    assert_int_equal(origin_retry(origin, 1, NULL, NULL, 0), -EBUSY);
    (void)actions(origin, 0);
    end(origin, 1, 1, 2, TASK_END_EXIT, 1, 1);
    (void)actions(origin, 1);
    assert_int_equal(origin_retry(origin, 1, "lab-03", NULL, 2), 0);
    assert_string_equal(actions(origin, 2), "commit 1, accepted 1, placed 1, send 1.2 lab-03, ");
    end(origin, 1, 2, 3, TASK_END_EXIT, 0, 3);
    (void)actions(origin, 3);
    assert_int_equal(state_of(origin, 1), TASK_SUCCEEDED);
    assert_int_equal(origin_find(origin, 1)->tries_max, 4);
    assert_int_equal(origin_retry(origin, 9, NULL, NULL, 3), -ENOENT);
    origin_free(origin);
}

static void a_task_runs_again_with_other_words(void **state _unused_)
{
    struct origin *origin = make();
    struct task_spec spec = spec_of(TASK_TYPE_COMMAND);
    struct task_words words = {0}, none = {0};

    spec.is_command = true;
    assert_int_equal(task_words_add(&spec.args, "false"), 0);
    assert_int_equal(task_words_add(&words, "echo"), 0);
    assert_int_equal(task_words_add(&words, ""), 0);
    add_node(origin, 2, 0);
    submit_spec(origin, 1, &spec, 0);
    (void)actions(origin, 0);
    end(origin, 1, 1, 2, TASK_END_EXIT, 1, 1);
    (void)actions(origin, 1);
    assert_int_equal(origin_retry(origin, 1, NULL, &none, 2), -EINVAL); /* a command of no word */
    assert_int_equal(state_of(origin, 1), TASK_FAILED);
    assert_string_equal(origin_find(origin, 1)->spec.args.items[0], "false");
    assert_int_equal(origin_retry(origin, 1, NULL, &words, 2), 0);
    assert_non_null(strstr(actions(origin, 2), "send 1.2 lab-02"));
    assert_int_equal(origin_find(origin, 1)->spec.args.count, 2);
    assert_string_equal(origin_find(origin, 1)->spec.args.items[0], "echo");
    assert_string_equal(origin_find(origin, 1)->spec.args.items[1], "");
    task_words_done(&words);
    task_spec_done(&spec);
    origin_free(origin);
}

static void a_restart_asks_the_workers_and_goes_on(void **state _unused_)
{
    struct origin *origin = make();

    add_node(origin, 2, 0);
    submit(origin, 1, 0);
    submit(origin, 2, 0);
    (void)actions(origin, 0);
    start(origin, 1, 1, 2, 0);
    (void)actions(origin, 0);
    origin = restart(origin, USEC_PER_SEC);
    assert_string_equal(run_until(origin, USEC_PER_SEC), "query 1.1 lab-02, query 2.1 lab-02, ");
    add_node(origin, 2, 2 * USEC_PER_SEC);
    (void)actions(origin, 2 * USEC_PER_SEC);
    start(origin, 1, 1, 2, 3 * USEC_PER_SEC);
    end(origin, 2, 1, 2, TASK_END_EXIT, 0, 3 * USEC_PER_SEC);
    assert_string_equal(actions(origin, 3 * USEC_PER_SEC),
                        "commit 2, ack 2.1 lab-02, ended 2 succeeded, ");
    assert_int_equal(state_of(origin, 1), TASK_RUNNING);
    assert_int_equal(origin_find(origin, 1)->tries, 1);
    origin_free(origin);
}

static void after_a_restart_a_silent_worker_is_given_up_after_one_lease(void **state _unused_)
{
    struct origin *origin = make();

    add_node(origin, 2, 0);
    submit(origin, 1, 0);
    (void)actions(origin, 0);
    origin = restart(origin, USEC_PER_SEC);
    add_node(origin, 3, USEC_PER_SEC);
    assert_null(strstr(run_until(origin, USEC_PER_SEC + HOLD - 1), "lost"));
    assert_non_null(
        strstr(run_until(origin, USEC_PER_SEC + HOLD), "lost 1 (lab-02 not seen any more)"));
    assert_non_null(strstr(run_until(origin, USEC_PER_MIN), "send 1.2 lab-03"));
    origin_free(origin);
}

static void own_work_of_before_the_restart_is_lost_at_once(void **state _unused_)
{
    struct origin *origin = make();

    add_node(origin, 1, 0);
    submit(origin, 1, 0);
    (void)actions(origin, 0);
    start(origin, 1, 1, 1, 0);
    origin = restart(origin, USEC_PER_SEC);
    assert_string_equal(actions(origin, USEC_PER_SEC),
                        "lost 1 (this node was restarted), commit 1, ");
    add_node(origin, 1, USEC_PER_SEC);
    assert_non_null(strstr(run_until(origin, USEC_PER_MIN), "send 1.2 lab-01"));
    origin_free(origin);
}

static void ended_tasks_are_kept_for_their_time(void **state _unused_)
{
    struct origin *origin = make();

    add_node(origin, 2, 0);
    submit(origin, 1, 0);
    submit(origin, 2, 0);
    (void)actions(origin, 0);
    end(origin, 1, 1, 2, TASK_END_EXIT, 0, 0);
    end(origin, 2, 1, 2, TASK_END_EXIT, 1, 0);
    (void)actions(origin, 0);
    origin = restart(origin, USEC_PER_MIN);
    assert_string_equal(run_until(origin, USEC_PER_HOUR - 1), "");
    assert_string_equal(run_until(origin, USEC_PER_HOUR), "forget 1, ");
    assert_null(origin_find(origin, 1));
    assert_string_equal(run_until(origin, 2 * USEC_PER_HOUR), "forget 2, ");
    assert_null(origin_next(origin, 0));
    assert_int_equal(origin_deadline(origin), USEC_INFINITY);
    origin_free(origin);
}

static void tasks_of_a_workflow_stay_until_it_is_released(void **state _unused_)
{
    struct origin *origin = make();
    struct task_spec spec = spec_of("a");

    spec.workflow = 7;
    add_node(origin, 2, 0);
    submit_spec(origin, 1, &spec, 0);
    (void)actions(origin, 0);
    end(origin, 1, 1, 2, TASK_END_EXIT, 0, 0);
    (void)actions(origin, 0);
    assert_int_equal(origin_forget(origin, 1, 1), -EBUSY);
    assert_string_equal(run_until(origin, 3 * USEC_PER_HOUR), "");
    origin = restart(origin, 3 * USEC_PER_HOUR);
    origin_hold_workflow(origin, 7, 3 * USEC_PER_HOUR);
    assert_string_equal(run_until(origin, 4 * USEC_PER_HOUR), "");
    origin_release_workflow(origin, 7, 4 * USEC_PER_HOUR);
    assert_string_equal(run_until(origin, 6 * USEC_PER_HOUR), "forget 1, ");
    origin_free(origin);
}

static void the_oldest_ended_task_makes_room(void **state _unused_)
{
    struct origin_config config = config_of();
    struct origin *origin;
    struct task_spec spec = spec_of("a");
    char reason[TASK_REASON_MAX + 1];

    config.tasks_max = 2;
    assert_int_equal(origin_new(&config, 1, 0, WALL, &origin), 0);
    add_node(origin, 2, 0);
    submit(origin, 1, 0);
    submit(origin, 2, 0);
    (void)actions(origin, 0);
    assert_int_equal(origin_submit(origin, 3, &spec, false, 0, reason), -ENOBUFS);
    assert_string_equal(reason, "2 tasks wait or run already");
    end(origin, 2, 1, 2, TASK_END_EXIT, 0, 0);
    (void)actions(origin, 0);
    assert_int_equal(origin_submit(origin, 3, &spec, false, 0, reason), 0);
    assert_string_equal(actions(origin, 0),
                        "forget 2, commit 3, accepted 3, placed 3, send 3.1 lab-02, ");
    assert_int_equal(origin_submit(origin, 3, &spec, false, 0, reason), -EEXIST);
    origin_free(origin);
}

static void a_task_is_dropped_by_hand_only_when_it_has_ended(void **state _unused_)
{
    struct origin *origin = make();

    add_node(origin, 2, 0);
    submit(origin, 1, 0);
    (void)actions(origin, 0);
    assert_int_equal(origin_forget(origin, 1, 0), -EBUSY);
    assert_int_equal(origin_forget(origin, 2, 0), -ENOENT);
    end(origin, 1, 1, 2, TASK_END_EXIT, 0, 0);
    (void)actions(origin, 0);
    assert_int_equal(origin_forget(origin, 1, 0), 0);
    assert_null(origin_find(origin, 1));
    assert_string_equal(actions(origin, 0), "forget 1, ");
    origin_free(origin);
}

static void many_waiting_tasks_are_placed_in_batches(void **state _unused_)
{
    struct origin *origin = make();
    struct task_spec spec = spec_of("a");
    char reason[TASK_REASON_MAX + 1];
    struct origin_statistics statistics;
    size_t sent = 0, ticks = 0;

    for (uint64_t i = 1; i <= 1000; i++)
        assert_int_equal(origin_submit(origin, i, &spec, true, 0, reason), 0);
    (void)actions(origin, 0);
    assert_int_equal(origin_deadline(origin), USEC_INFINITY);
    add_node(origin, 2, 1);
    while (origin_deadline(origin) <= 1) {
        struct origin_action action;
        origin_tick(origin, 1);
        ticks++;
        while (origin_next_action(origin, &action)) {
            if (action.type == ORIGIN_COMMIT)
                origin_committed(origin, action.number, action.revision, 1);
            sent += action.type == ORIGIN_SEND;
        }
    }
    assert_int_equal(sent, 1000);
    assert_in_range(ticks, 4, 5);
    origin_get_statistics(origin, &statistics);
    assert_int_equal(statistics.pending, 1000);
    origin_free(origin);
}

static int refuse_mail(const struct task_spec *spec, void *data _unused_)
{
    return strcmp(spec->user, "mail") == 0 ? -EACCES : 0;
}

/* All draining: lab-01 and lab-02, or with lab-03. */
static void set_draining(struct origin *origin, unsigned count, usec_t now)
{
    static const char *const tags[] = {"gpu=1"};

    for (unsigned number = 1; number <= count; number++) {
        struct place_facts facts = facts_of(number);
        facts.is_draining = true;
        facts.check = number == 1 ? refuse_mail : NULL;
        facts.types_count = number == 2 ? 2 : 1;
        facts.tags = tags;
        facts.tags_count = number != 2;
        facts.cpus = 2 * number;
        facts.slots = 4 * number;
        facts.has_commands = number != 2;
        assert_true(origin_set_node(origin, &facts, now) >= 0);
    }
}

/* One that differs in a single thing stands before each: the first, or a command before its type.
 */
static size_t spec_at(uint64_t i)
{
    return i % 2 ? i / 2 : i / 2 == 10 ? 9 : 0;
}

static void each_that_waits_keeps_a_reason_of_its_own(void **state _unused_)
{
    struct task_spec specs[13];
    struct task_python python = {.file = "f.py", .function = "f", .code = (char[]){"f = print"}};
    char *command[] = {(char[]){"true"}, NULL};
    struct origin *origin = make();
    char reason[TASK_REASON_MAX + 1];

    for (size_t i = 0; i < ARRAY_SIZE(specs); i++)
        specs[i] = spec_of("a");
    strcpy(specs[1].type, "b");
    strcpy(specs[2].node, "lab-02");
    strcpy(specs[3].node, "lab-03");
    strcpy(specs[4].select, "gpu=1");
    strcpy(specs[5].user, "mail");
    specs[6].slots = 10;
    specs[7].cpus_milli = 5000;
    specs[8].is_confidential = true;
    specs[9].is_command = true;
    specs[9].args = (struct task_words){command, 1};
    specs[11].python = &python;
    strcpy(specs[9].type, TASK_TYPE_COMMAND);
    strcpy(specs[10].type, TASK_TYPE_COMMAND);
    strcpy(specs[11].type, TASK_TYPE_PYTHON);
    set_draining(origin, 2, 0);
    for (uint64_t i = 0; i < 2 * ARRAY_SIZE(specs); i++)
        assert_int_equal(origin_submit(origin, i + 1, &specs[spec_at(i)], true, 1, reason), 0);
    (void)drain(origin, false, 1);
    for (unsigned count = 3; count <= 5; count++) {
        set_draining(origin, count, count);
        origin_tick(origin, count);
        for (uint64_t i = 0; i < 2 * ARRAY_SIZE(specs); i++) {
            struct task_spec *spec = &specs[spec_at(i)];
            assert_null(place_choose(origin_get_place(origin), spec, NULL, reason));
            assert_string_equal(origin_find(origin, i + 1)->reason, reason);
        }
    }
    origin_free(origin);
}

static void answers_to_strangers_are_bounded(void **state _unused_)
{
    struct origin *origin = make();
    struct origin_action action;
    size_t count = 0;

    for (uint64_t i = 1; i <= 100000; i++)
        end(origin, i, 1, 2, TASK_END_EXIT, 0, 0);
    while (origin_next_action(origin, &action)) {
        assert_null(action.task);
        count++;
    }
    assert_int_equal(count, 256);
    origin_free(origin);
}

static void refusals_have_names(void **state _unused_)
{
    for (int i = 0; i < _ORIGIN_REFUSED_MAX; i++)
        assert_int_equal(origin_refusal_parse(origin_refusal_name((enum origin_refusal)i)), i);
    assert_int_equal(origin_refusal_parse("mood"), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_task_goes_from_submitted_to_succeeded),
        cmocka_unit_test(what_was_accepted_waits_for_a_node_that_is_not_known_yet),
        cmocka_unit_test(what_was_accepted_waits_for_a_node_that_left),
        cmocka_unit_test(a_restart_does_not_tell_of_nodes_that_are_not_known_yet),
        cmocka_unit_test(what_happened_while_the_origin_was_away_keeps_its_time),
        cmocka_unit_test(nothing_happened_before_the_task_was_submitted),
        cmocka_unit_test(an_end_is_not_told_as_before_its_start),
        cmocka_unit_test(nothing_is_said_before_it_is_on_disk),
        cmocka_unit_test(only_what_a_user_has_pending_counts_for_the_share),
        cmocka_unit_test(a_submission_that_cannot_be_saved_is_taken_back),
        cmocka_unit_test(a_commit_that_failed_is_asked_for_again),
        cmocka_unit_test(a_commit_that_was_not_tried_comes_before_one_that_failed),
        cmocka_unit_test(a_commit_names_the_attempt_that_is_over),
        cmocka_unit_test(an_accepted_task_whose_place_cannot_be_saved_waits_for_the_disk),
        cmocka_unit_test(a_new_task_that_is_not_taken_back_waits_for_the_disk),
        cmocka_unit_test(a_retry_that_cannot_be_saved_is_taken_back),
        cmocka_unit_test(a_task_whose_end_is_not_saved_does_not_run_again),
        cmocka_unit_test(a_result_that_is_lost_after_its_end_is_told),
        cmocka_unit_test(a_start_that_is_heard_of_late_stands_where_it_was),
        cmocka_unit_test(an_end_that_is_heard_of_late_stands_where_it_was),
        cmocka_unit_test(what_never_left_goes_elsewhere_when_the_node_cannot_be_reached),
        cmocka_unit_test(an_unknown_type_is_an_error_unless_one_may_wait),
        cmocka_unit_test(what_no_node_can_take_is_stranded_until_one_can),
        cmocka_unit_test(a_confidential_task_for_another_node_is_refused),
        cmocka_unit_test(a_task_moves_when_its_node_is_dead_and_its_lease_is_over),
        cmocka_unit_test(a_suspect_node_keeps_its_task),
        cmocka_unit_test(the_end_of_an_old_attempt_is_not_accepted),
        cmocka_unit_test(without_retries_a_lost_task_is_unknown),
        cmocka_unit_test(after_the_last_retry_the_task_is_lost),
        cmocka_unit_test(a_failure_is_final_unless_retry_on_exit),
        cmocka_unit_test(retries_back_off_doubled_with_jitter_up_to_five_minutes),
        cmocka_unit_test(a_refused_attempt_goes_elsewhere_at_once_and_costs_no_try),
        cmocka_unit_test(a_node_that_has_no_space_for_what_it_took_is_tried_ever_less_often),
        cmocka_unit_test(a_task_whose_results_are_held_up_is_stranded),
        cmocka_unit_test(refusals_that_the_user_wants_no_retry_on_are_final),
        cmocka_unit_test(a_drained_queue_moves_to_another_node),
        cmocka_unit_test(a_long_queued_task_is_recalled_when_another_node_is_free),
        cmocka_unit_test(what_did_not_begin_within_its_lease_is_placed_again),
        cmocka_unit_test(a_lost_connection_is_followed_by_questions),
        cmocka_unit_test(questions_that_find_no_connection_come_ever_less_often),
        cmocka_unit_test(an_attempt_that_never_arrived_is_placed_again),
        cmocka_unit_test(an_attempt_that_its_node_forgot_is_lost),
        cmocka_unit_test(an_attempt_that_did_not_begin_is_none),
        cmocka_unit_test(what_did_not_begin_here_waits_again_after_a_restart),
        cmocka_unit_test(what_a_node_never_had_is_not_put_down_to_its_restart),
        cmocka_unit_test(what_is_not_on_disk_is_not_acknowledged),
        cmocka_unit_test(a_restarted_node_is_asked_and_then_given_up),
        cmocka_unit_test(cancelling_what_waits_ends_it_at_once),
        cmocka_unit_test(cancelling_what_runs_waits_for_its_end),
        cmocka_unit_test(what_was_cancelled_before_it_was_known_to_run_stays_so),
        cmocka_unit_test(a_cancelled_task_is_not_tried_again),
        cmocka_unit_test(a_task_runs_again_when_a_user_asks_for_it),
        cmocka_unit_test(a_task_runs_again_with_other_words),
        cmocka_unit_test(a_restart_asks_the_workers_and_goes_on),
        cmocka_unit_test(after_a_restart_a_silent_worker_is_given_up_after_one_lease),
        cmocka_unit_test(own_work_of_before_the_restart_is_lost_at_once),
        cmocka_unit_test(ended_tasks_are_kept_for_their_time),
        cmocka_unit_test(tasks_of_a_workflow_stay_until_it_is_released),
        cmocka_unit_test(the_oldest_ended_task_makes_room),
        cmocka_unit_test(a_task_is_dropped_by_hand_only_when_it_has_ended),
        cmocka_unit_test(many_waiting_tasks_are_placed_in_batches),
        cmocka_unit_test(each_that_waits_keeps_a_reason_of_its_own),
        cmocka_unit_test(answers_to_strangers_are_bounded),
        cmocka_unit_test(refusals_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
