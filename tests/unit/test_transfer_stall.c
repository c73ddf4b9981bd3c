/* SPDX-License-Identifier: MIT */

/* Nodes that accept and then say nothing, or next to nothing; and who has to wait for his turn. */

#include "transfer_rogue.h"
#include <fcntl.h>
#include <poll.h>
#include "store/files_core.h"

#define SHORT_PATIENCE (200 * USEC_PER_MSEC)
#define PATIENCE       (2 * USEC_PER_SEC) /* where it has to be in time */

#define PUT                                                                                        \
    "{\"op\":\"put\",\"name\":\"file\",\"owner\":\"user1\",\"size\":1000000,"                      \
    "\"modified_usec\":1,\"executable\":false,\"overwrite\":\"always\"}"
#define PUT_SMALL                                                                                  \
    "{\"op\":\"put\",\"name\":\"file\",\"owner\":\"user1\",\"size\":1000,"                         \
    "\"modified_usec\":1,\"executable\":false,\"overwrite\":\"always\"}"
#define STORED                                                                                     \
    "{\"op\":\"stored\",\"name\":\"file\",\"owner\":\"user1\",\"size\":1000,\"modified_usec\":1,"  \
    "\"executable\":false}"
#define FILE_ANSWER                                                                                \
    "{\"op\":\"file\",\"name\":\"file\",\"owner\":\"user1\",\"size\":1000000,\"modified_usec\":1," \
    "\"executable\":false}"

static const struct transfers_limits one_at_once = {
    .connect_timeout_usec = LAB_CONNECT, .idle_usec = LAB_IDLE_USEC, .transfers_max = 1};

static void expect_stalled(const struct moving *moving, int r, const char *what)
{
    assert_int_equal(r, -EHOSTUNREACH);
    assert_non_null(strstr(moving->end.reason, what));
}

/* --- Asked --- */

static void say_nothing(struct rogue *self _unused_)
{
    hear();
    (void)conn_wait(self->conn, until()); /* until the other side has had enough */
}

static void a_node_that_accepts_and_says_nothing_is_told(void **state _unused_)
{
    struct moving moving;

    expect_stalled(&moving, get_from(say_nothing, &moving), "has stalled");
    expect_stalled(&moving, put_to(say_nothing, &moving), "has stalled");
}

static void stop_amid_a_content(struct rogue *self)
{
    hear();
    say(FILE_ANSWER, NULL, 0);
    say("{\"op\":\"data\"}", some_bytes(100000), 100000);
    (void)conn_wait(self->conn, until());
}

static void announce_more_than_comes(struct rogue *self)
{
    _cleanup_json_ cJSON *frame = cJSON_Parse("{\"op\":\"data\"}");

    hear();
    say(FILE_ANSWER, NULL, 0);
    if (frame_send(self->conn, frame, 100000, until()) >= 0)
        (void)conn_write(self->conn, some_bytes(1000), 1000, until());
    (void)conn_wait(self->conn, until());
}

static void a_content_that_stops_is_told(void **state _unused_)
{
    struct moving moving;

    expect_stalled(&moving, get_from(stop_amid_a_content, &moving), "has stalled");
    assert_int_equal(moving.end.resumed, 0);
    expect_stalled(&moving, get_from(announce_more_than_comes, &moving), "has stalled");
}

/* A byte at a time, each before the patience is over. */
static void dribble(struct rogue *self)
{
    _cleanup_json_ cJSON *frame = cJSON_Parse("{\"op\":\"data\"}");

    while (frame_send(self->conn, frame, 1, until()) >= 0 &&
           conn_write(self->conn, "x", 1, until()) >= 0 &&
           conn_wait(self->conn, conn_now() + PATIENCE / 50) == -ETIMEDOUT)
        ;
}

static void give_byte_by_byte(struct rogue *self)
{
    hear();
    say(FILE_ANSWER, NULL, 0);
    dribble(self);
}

static void a_node_that_sends_a_byte_a_minute_is_too_slow(void **state _unused_)
{
    struct moving moving;

    expect_stalled(&moving, get_from(give_byte_by_byte, &moving), "too slow: less than 1024 bytes");
    assert_in_range(moving.done, 0, 1023);
}

static void take_nothing(struct rogue *self)
{
    hear();
    say("{\"op\":\"go\"}", NULL, 0);
    /* More than the sockets hold comes; it is left there. */
    usec_t end = until();
    while (!atomic_load(&self->is_over) && conn_now() < end)
        (void)poll(NULL, 0, 10);
}

static void begin_to_who_takes_nothing(struct moving *moving)
{
    struct upload_offer offer = offer_of("file", UINT64_C(256) << 20);
    int fd = new_memory("", 0);

    assert_int_equal(ftruncate(fd, (off_t)offer.size), 0);
    assert_int_equal(begin_put(here, THERE, fd, &offer, moving), 0);
    serve(take_nothing);
}

static void a_node_that_takes_nothing_is_told(void **state _unused_)
{
    struct moving moving;

    begin_to_who_takes_nothing(&moving);
    run_until(moving.is_ended);
    atomic_store(&rogue.is_over, true);
    end_rogue();
    expect_stalled(&moving, moving.end.r, "has stalled");
}

/* Whether nothing more has gone for longer than half the patience. */
static bool is_stuck(const struct moving *moving)
{
    static uint64_t done;
    static usec_t since;

    if (moving->done == 0 || moving->done != done) {
        done = moving->done;
        since = conn_now();
    }
    return conn_now() > since + PATIENCE * 3 / 5;
}

/* The patience of the other side may end first. */
static void a_node_that_takes_nothing_and_breaks_off_has_stalled(void **state _unused_)
{
    struct moving moving;

    begin_to_who_takes_nothing(&moving);
    run_until(moving.is_ended || is_stuck(&moving));
    atomic_store(&rogue.is_over, true);
    end_rogue();
    run_until(moving.is_ended);
    expect_stalled(&moving, moving.end.r, "has stalled");
}

static void wait_first(struct rogue *self _unused_)
{
    hear();
    for (unsigned i = 0; i < 3; i++) {
        say("{\"op\":\"wait\"}", NULL, 0);
        (void)conn_wait(self->conn, conn_now() + PATIENCE * 2 / 5);
    }
    say("{\"op\":\"error\",\"error\":\"not-found\",\"reason\":\"after all\"}", NULL, 0);
    hear();
}

/* Longer in all than the patience. */
static void a_node_that_says_wait_is_waited_for(void **state _unused_)
{
    struct moving moving;

    assert_int_equal(get_from(wait_first, &moving), -ENOENT);
    assert_string_equal(moving.end.reason, "after all");
}

/* --- Asking --- */

static void put_and_stop(struct rogue *self)
{
    say(PUT, NULL, 0);
    hear();
    say("{\"op\":\"data\"}", some_bytes(1000), 1000);
    (void)conn_wait(self->conn, until());
}

static void put_byte_by_byte(struct rogue *self)
{
    say(PUT, NULL, 0);
    hear();
    dribble(self);
}

static void who_puts_nothing_more_does_not_keep_a_place(void **state _unused_)
{
    size_t own, served;

    for (int i = 0; i < 2; i++) {
        assert_string_equal(ask(i ? put_byte_by_byte : put_and_stop), "go ");
        run_until(count_parts(&here->room) == 0);
        run_until((transfers_count(here->transfers, &own, &served), served == 0));
        assert_empty(here);
        assert_int_equal(usage_of(here->room.files).under_way, 0);
    }
}

static atomic_bool may_end;

static void put_and_be_patient(struct rogue *self _unused_)
{
    say(PUT_SMALL, NULL, 0);
    hear();
    while (!atomic_load(&may_end))
        (void)poll(NULL, 0, 1);
    say("{\"op\":\"data\"}", some_bytes(1000), 1000);
    say("{\"op\":\"done\"}", NULL, 0);
    hear();
    while (strstr(rogue.heard, "stored") == NULL && strlen(rogue.heard) < 50)
        hear();
}

/* The store is busy, and takes longer than the patience of who waits for it. */
static void who_waits_for_the_disk_hears_so(void **state _unused_)
{
    lab_dial(&nodes[2], &nodes[HERE], TLS_PROTOCOL_FILE);
    start_rogue(put_and_be_patient, &nodes[2]);
    run_until(rogue.heard_count == 1);
    pthread_mutex_lock(&here->room.files->change_mutex);
    atomic_store(&may_end, true);
    run_until(rogue.heard_count >= 2);
    pthread_mutex_unlock(&here->room.files->change_mutex);
    end_rogue();
    assert_memory_equal(rogue.heard, "go wait ", 8);
    assert_non_null(strstr(rogue.heard, "stored "));
}

static void store_and_stop(struct rogue *self)
{
    hear();
    say(STORED, NULL, 0);
    hear();
    while (!atomic_load(&self->is_over))
        (void)poll(NULL, 0, 10);
}

/* The patience with a node that answered before is a long one here. */
static void a_kept_connection_to_a_stopped_node_is_soon_given_up(void **state _unused_)
{
    struct upload_offer offer = offer_of("file", 1000);
    struct moving moving;

    assert_int_equal(begin_put(here, THERE, new_memory(some_bytes(1000), 1000), &offer, &moving),
                     0);
    serve(store_and_stop);
    run_until(moving.is_ended);
    assert_int_equal(moving.end.r, 0);
    assert_int_equal(begin_put(here, THERE, new_memory(some_bytes(1000), 1000), &offer, &moving),
                     0);
    run_until(nodes[THERE].stranger);
    atomic_store(&rogue.is_over, true);
    end_rogue();
    assert_string_equal(rogue.heard, "put still ");
    transfer_cancel(moving.transfer);
}

static void a_node_that_is_dead_is_given_up_at_once(void **state _unused_)
{
    struct upload_offer offer = offer_of("file", UINT64_C(256) << 20);
    struct moving movings[2]; /* one of them waits for its turn */

    transfers_set_limits(here->transfers, &one_at_once);
    for (size_t i = 0; i < ARRAY_SIZE(movings); i++) {
        int fd = new_memory("", 0);
        assert_int_equal(ftruncate(fd, (off_t)offer.size), 0);
        assert_int_equal(begin_put(here, THERE, fd, &offer, &movings[i]), 0);
    }
    serve(take_nothing);
    run_until(movings[0].done > 0);
    transfers_lose(here->transfers, &nodes[HERE].id, "another one is dead");
    transfers_lose(here->transfers, &nodes[THERE].id, "lab-02 is dead");
    for (size_t i = 0; i < ARRAY_SIZE(movings); i++) {
        run_until(movings[i].is_ended);
        assert_int_equal(movings[i].end.r, -EHOSTUNREACH);
        assert_string_equal(movings[i].end.reason, "lab-02 is dead");
    }
    atomic_store(&rogue.is_over, true);
    end_rogue();
}

static ssize_t drain(int fd)
{
    static uint8_t buffer[65536];
    ssize_t got;

    while ((got = read(fd, buffer, sizeof(buffer))) > 0)
        ;
    return got < 0 && errno == EAGAIN ? 0 : got;
}

/* Its reader pauses for longer than the other node's patience, and takes it all then. */
static void who_does_not_read_for_a_while_gets_all(void **state _unused_)
{
    const uint64_t size = UINT64_C(32) << 20;
    struct moving moving;
    char path[256];
    int pipes[2];

    snprintf(path, sizeof(path), "%s/large", there->room.directory);
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
    assert_int_equal(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
    assert_int_equal(begin_get(here, THERE, "large", pipes[1], &moving), 0);
    lab_run_for(3 * PATIENCE);
    run_until(drain(pipes[0]) >= 0 && moving.is_ended);
    assert_int_equal(moving.end.r, 0);
    assert_int_equal(moving.end.info.size, size);
    close_fd(pipes[0]);
    assert_int_equal(unlink(path), 0);
}

/* --- Turns --- */

/* It takes half a minute, and never comes to rest. */
static void begin_slow_put(struct moving *moving, const char *name, const char *user)
{
    const size_t size = 512 * 1024;
    struct upload_offer offer = offer_of(name, size);
    int fd = new_memory(some_bytes(size), size);

    assert_int_equal(begin_put(here, THERE, fd, &offer, moving), 0);
    transfer_set_rate(moving->transfer, size / 32);
    if (user)
        assert_int_equal(transfer_set_user(moving->transfer, user), 0);
}

static void put_some(size_t to, const char *name)
{
    struct upload_offer offer = offer_of(name, 1000);
    struct moving moving;

    assert_int_equal(put_fd(to, new_memory(some_bytes(1000), 1000), &offer, &moving), 0);
}

static void who_waits_for_his_turn_hears_so(void **state _unused_)
{
    struct upload_offer offer = offer_of("file", 1000);
    struct moving slow, waiting;

    transfers_set_limits(there->transfers, &one_at_once);
    begin_slow_put(&slow, "slow", NULL);
    run_until(slow.done > 0);
    assert_int_equal(begin_put(here, THERE, new_memory(some_bytes(1000), 1000), &offer, &waiting),
                     0);
    run_until(waiting.was_put_off);
    assert_false(waiting.is_ended);
    transfer_cancel(slow.transfer);
    run_until(waiting.is_ended);
    assert_int_equal(waiting.end.r, 0);
    assert_int_equal(waiting.ahead, 0);
}

/* Sources that say nothing and sinks that nobody reads keep neither place here nor there. */
static void who_makes_no_progress_keeps_no_place(void **state _unused_)
{
    struct moving movings[2 * LAB_TRANSFERS], own[LAB_TRANSFERS];
    int pipes[3 * LAB_TRANSFERS][2];
    struct upload_offer offer = offer_of("large", FILE_MAX);

    assert_int_equal(put_fd(THERE, new_memory(some_bytes(FILE_MAX), FILE_MAX), &offer, &movings[0]),
                     0);
    offer = offer_of("silent", FILES_SIZE_UNKNOWN);
    for (size_t i = 0; i < ARRAY_SIZE(pipes); i++)
        assert_int_equal(pipe2(pipes[i], O_CLOEXEC), 0);
    for (size_t i = 0; i < LAB_TRANSFERS; i++) {
        int *source = pipes[i], *local = pipes[LAB_TRANSFERS + i],
            *sink = pipes[2 * LAB_TRANSFERS + i];
        assert_int_equal(begin_put(here, THERE, source[0], &offer, &movings[2 * i]), 0);
        assert_int_equal(begin_get(here, THERE, "large", sink[1], &movings[2 * i + 1]), 0);
        assert_int_equal(begin_put(here, HERE, local[0], &offer, &own[i]), 0);
    }
    put_some(THERE, "one");
    put_some(HERE, "one");
    for (size_t i = 0; i < ARRAY_SIZE(movings); i++)
        transfer_cancel(movings[i].transfer);
    for (size_t i = 0; i < LAB_TRANSFERS; i++) {
        transfer_cancel(own[i].transfer);
        close_fd(pipes[i][1]);
        close_fd(pipes[LAB_TRANSFERS + i][1]);
        close_fd(pipes[2 * LAB_TRANSFERS + i][0]);
    }
}

static void no_user_has_all_places(void **state _unused_)
{
    struct upload_offer offer = offer_of("file", 1000);
    struct moving movings[LAB_TRANSFERS], other;

    for (size_t i = 0; i < LAB_TRANSFERS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "slow%zu", i);
        begin_slow_put(&movings[i], name, "user1");
    }
    for (size_t i = 0; i < LAB_TRANSFERS - 1; i++)
        run_until(movings[i].done > 0);
    assert_int_equal(begin_put(here, THERE, new_memory(some_bytes(1000), 1000), &offer, &other), 0);
    assert_int_equal(transfer_set_user(other.transfer, "user2"), 0);
    run_until(other.is_ended);
    assert_int_equal(other.end.r, 0);
    run_until(movings[LAB_TRANSFERS - 1].ahead > 0);
    assert_int_equal(movings[LAB_TRANSFERS - 1].done, 0);
    for (size_t i = 0; i < LAB_TRANSFERS; i++)
        transfer_cancel(movings[i].transfer);
}

static void no_place_of_the_network_is_needed_for_the_own_store(void **state _unused_)
{
    struct moving movings[LAB_TRANSFERS];

    for (size_t i = 0; i < LAB_TRANSFERS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "slow%zu", i);
        begin_slow_put(&movings[i], name, NULL);
    }
    put_some(HERE, "file");
    for (size_t i = 0; i < LAB_TRANSFERS; i++) {
        assert_false(movings[i].is_ended);
        transfer_cancel(movings[i].transfer);
    }
}

static void get_absent(struct rogue *self _unused_)
{
    say("{\"op\":\"get\",\"name\":\"absent\"}", NULL, 0);
    hear();
}

/* Another node always has one, whatever the first one does. */
static void no_node_has_all_places(void **state _unused_)
{
    struct moving movings[LAB_TRANSFERS];

    for (size_t i = 0; i < LAB_TRANSFERS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "slow%zu", i);
        begin_slow_put(&movings[i], name, NULL);
    }
    for (size_t i = 0; i < LAB_TRANSFERS; i++)
        run_until(movings[i].done > 0);
    lab_dial(&nodes[2], &nodes[THERE], TLS_PROTOCOL_FILE);
    start_rogue(get_absent, &nodes[2]);
    end_rogue();
    assert_string_equal(rogue.heard, "error:not-found ");
    for (size_t i = 0; i < LAB_TRANSFERS; i++)
        transfer_cancel(movings[i].transfer);
}

static int start_with(void **state, usec_t patience_usec)
{
    depot_patience_usec = patience_usec;
    int r = transfer_start(state);
    depot_patience_usec = TRANSFERS_PATIENCE;
    return r;
}

static int impatient_start(void **state)
{
    return start_with(state, SHORT_PATIENCE);
}

static int long_start(void **state)
{
    return start_with(state, 10 * LAB_WAIT_USEC);
}

static int patient_start(void **state)
{
    return start_with(state, PATIENCE);
}

#define test_impatient(name) cmocka_unit_test_setup_teardown(name, impatient_start, transfer_stop)
#define test_long(name)      cmocka_unit_test_setup_teardown(name, long_start, transfer_stop)
#define test_patient(name)   cmocka_unit_test_setup_teardown(name, patient_start, transfer_stop)
#define test(name)           cmocka_unit_test_setup_teardown(name, transfer_start, transfer_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_impatient(a_node_that_accepts_and_says_nothing_is_told),
        test_impatient(a_content_that_stops_is_told),
        test_patient(a_node_that_sends_a_byte_a_minute_is_too_slow),
        test_impatient(a_node_that_takes_nothing_is_told),
        test_patient(a_node_that_takes_nothing_and_breaks_off_has_stalled),
        test_patient(a_node_that_says_wait_is_waited_for),
        test_patient(who_waits_for_the_disk_hears_so),
        test_patient(who_does_not_read_for_a_while_gets_all),
        test_long(a_kept_connection_to_a_stopped_node_is_soon_given_up),
        test_long(a_node_that_is_dead_is_given_up_at_once),
        test_patient(who_puts_nothing_more_does_not_keep_a_place),
        test(who_waits_for_his_turn_hears_so),
        test(who_makes_no_progress_keeps_no_place),
        test(no_user_has_all_places),
        test(no_place_of_the_network_is_needed_for_the_own_store),
        test(no_node_has_all_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
