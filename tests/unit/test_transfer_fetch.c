/* SPDX-License-Identifier: MIT */

/* Many small files got in one go, from here and from another node, and nodes that answer badly. */

#include "transfer_rogue.h"
#include <fcntl.h>
#include <openssl/sha.h>
#include "store/batch.h"

/* "PREFIX0"... of which nothing is known yet. */
static struct transfer_item *make_names(const char *prefix, size_t count)
{
    struct transfer_item *list = calloc(count, sizeof(*list));

    for (size_t i = 0; i < count; i++)
        assert_true(asprintf(&list[i].name, "%s%zu", prefix, i) > 0);
    return list;
}

/* What came, as its owner saw it in its end. */
static struct transfer_item seen[BATCH_FILES_MAX];
static size_t seen_count;
static int content_fd;

static void fetch_on_end(const struct transfer_end *end, void *data)
{
    seen_count = end->r >= 0 ? end->count : 0;
    for (size_t i = 0; i < seen_count; i++) {
        seen[i] = end->list[i];
        seen[i].name = seen[i].owner = seen[i].reason = NULL;
        if (end->list[i].r == 0)
            assert_string_equal(end->list[i].owner, "user1");
        else
            assert_true(text_is_printable(end->list[i].reason));
    }
    moving_on_end(end, data);
}

static const struct transfer_handler fetch_handler = {.on_end = fetch_on_end};

static int begin_fetch(size_t from, struct transfer_item *list, size_t count, struct moving *moving)
{
    struct transfer_place at = place_of(here, from);
    int fd = new_memory("", 0);

    close_fd(content_fd);
    content_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    *moving = (struct moving){0};
    return transfers_get_list(here->transfers, &at, fd, (struct transfer_list){list, count},
                              &fetch_handler, moving, &moving->transfer);
}

static int fetch(size_t from, struct transfer_item *list, size_t count, struct moving *moving)
{
    int r = begin_fetch(from, list, count, moving);

    if (r < 0)
        return r;
    run_until(moving->is_ended);
    return moving->end.r;
}

static void store_some(struct depot *depot, const char *prefix, size_t count, size_t size)
{
    for (size_t i = 0; i < count; i++) {
        char name[64];
        struct upload_offer offer = offer_of(name, size);
        snprintf(name, sizeof(name), "%s%zu", prefix, i);
        offer.is_executable = i % 2;
        assert_int_equal(put(depot->room.files, &offer, some_bytes(FILE_MAX) + i, size), 0);
    }
}

static void many_come_in_the_order_of_their_names(void **state _unused_)
{
    static const struct {
        size_t count, size;
    } lists[] = {{1, 0}, {1, 1}, {300, 100}, {12, 200000}, {7, TRANSFERS_ITEM_MAX}};

    for (size_t place = HERE; place <= THERE; place++)
        for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
            size_t count = lists[i].count, size = lists[i].size;
            _cleanup_free_ uint8_t *content = malloc(size + 1);
            uint8_t sum[FILES_HASH_SIZE];
            struct moving moving;
            char prefix[16];
            snprintf(prefix, sizeof(prefix), "list-%zu-", i);
            store_some(&depots[place], prefix, count, size);
            assert_int_equal(fetch(place, make_names(prefix, count), count, &moving), 0);
            assert_int_equal(moving.stored, count);
            for (size_t j = 0; j < count; j++) {
                assert_int_equal(pread(content_fd, content, size, (off_t)(j * size)), size);
                assert_memory_equal(content, some_bytes(FILE_MAX) + j, size);
                assert_int_equal(seen[j].size, size);
                assert_int_equal(seen[j].modified_wall_usec, WALL);
                assert_int_equal(seen[j].is_executable, j % 2);
                assert_memory_equal(seen[j].sha256, SHA256(content, size, sum), sizeof(sum));
            }
            assert_int_equal(lseek(content_fd, 0, SEEK_END), count * size);
            for (size_t j = 0; j < count; j++) {
                char name[64];
                struct files_info info;
                snprintf(name, sizeof(name), "%s%zu", prefix, j);
                assert_int_equal(files_remove(depots[place].room.files, name, &info), 0);
            }
        }
    assert_int_equal(there->connections, 1);
}

/* One bit of a stored file, with no sign of a change. */
static void rot(struct depot *depot, const char *name)
{
    char path[256];
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
                                      {.tv_sec = (time_t)(WALL / USEC_PER_SEC)}};

    snprintf(path, sizeof(path), "%s/%s", depot->room.directory, name);
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "\xff", 1, 3), 1);
    assert_int_equal(futimens(fd, times), 0);
}

static void one_that_cannot_be_had_does_not_hinder_the_others(void **state _unused_)
{
    for (size_t place = HERE; place <= THERE; place++) {
        struct transfer_item *list = make_names("f", 6);
        struct upload_offer large = offer_of("f3", TRANSFERS_ITEM_MAX + 1);
        struct files_info info;
        struct moving moving;

        store_some(&depots[place], "f", 6, 10);
        assert_int_equal(files_remove(depots[place].room.files, "f1", &info), 0);
        assert_int_equal(put(depots[place].room.files, &large, some_bytes(FILE_MAX), large.size),
                         0);
        free(list[2].name);
        list[2].name = strdup("../f2");
        rot(&depots[place], "f4");
        assert_int_equal(fetch(place, list, 6, &moving), 0);
        assert_string_equal(moving.failures, "f1:2 ../f2:22 f3:27 f4:116 ");
        assert_int_equal(moving.stored, 2);
        assert_int_equal(lseek(content_fd, 0, SEEK_END), 20);
    }
}

static void as_many_as_the_limit_come_and_no_more_may_be_asked_for(void **state _unused_)
{
    struct moving moving;
    struct transfer_item *list = make_names("f", BATCH_FILES_MAX + 1);

    store_some(there, "f", 1, 1);
    assert_int_equal(fetch(THERE, list, BATCH_FILES_MAX + 1, &moving), -EINVAL);
    list = make_names("f", BATCH_FILES_MAX);
    assert_int_equal(fetch(THERE, list, BATCH_FILES_MAX, &moving), 0);
    assert_int_equal(moving.stored, 1);
    assert_int_equal(seen[1].r, -ENOENT);
    assert_int_equal(seen[BATCH_FILES_MAX - 1].r, -ENOENT);
    assert_int_equal(fetch(THERE, calloc(1, 1), 0, &moving), -EINVAL);
}

/* The names alone need more than one frame. */
static void long_names_go_in_several_frames(void **state _unused_)
{
    struct transfer_item *list = calloc(BATCH_FILES_MAX, sizeof(*list));
    struct moving moving;

    for (size_t i = 0; i < BATCH_FILES_MAX; i++)
        assert_true(asprintf(&list[i].name, "%0255zu", i) > 0);
    assert_int_equal(put_text(there->room.files, list[BATCH_FILES_MAX - 1].name, "last"), 0);
    assert_int_equal(fetch(THERE, list, BATCH_FILES_MAX, &moving), 0);
    assert_int_equal(moving.stored, 1);
    assert_int_equal(seen[BATCH_FILES_MAX - 1].size, 4);
}

/* 257 times the largest that may come with others: the last does not fit. */
static void more_than_64_mebibytes_do_not_come_together(void **state _unused_)
{
    size_t fitting = BATCH_BYTES_MAX / TRANSFERS_ITEM_MAX;

    for (size_t place = HERE; place <= THERE; place++) {
        struct transfer_item *list = calloc(fitting + 1, sizeof(*list));
        struct moving moving;

        store_some(&depots[place], "large", 1, TRANSFERS_ITEM_MAX);
        for (size_t i = 0; i <= fitting; i++)
            list[i].name = strdup("large0");
        assert_int_equal(fetch(place, list, fitting + 1, &moving), 0);
        assert_int_equal(moving.stored, fitting);
        assert_int_equal(seen[fitting].r, -EFBIG);
        assert_int_equal(seen[fitting - 1].r, 0);
    }
}

/* --- Rogues --- */

static const char *answer;
static const void *answer_body;
static size_t answer_size;

static void answer_so(struct rogue *self)
{
    hear();
    say(answer, answer_body, answer_size);
    (void)conn_wait(self->conn, until());
}

static int fetch_from_rogue(const char *text, const void *body, size_t size)
{
    struct moving moving;

    answer = text;
    answer_body = body;
    answer_size = size;
    assert_int_equal(begin_fetch(THERE, make_names("f", 2), 2, &moving), 0);
    serve(answer_so);
    run_until(moving.is_ended);
    end_rogue();
    assert_int_equal(lseek(content_fd, 0, SEEK_END), 0);
    return moving.end.r;
}

/* Of one byte, with no hash, of nobody. */
#define HEAD                                                                                       \
    "\0\0\0\1"                                                                                     \
    "\0\0\0\0\0\0\0\1"                                                                             \
    "\0"                                                                                           \
    "\0"
#define HEAD_SIZE 14

static void answers_that_are_none_end_the_transfer(void **state _unused_)
{
    static const char *const answers[] = {
        "{}",
        "{\"op\":\"fetched\"}",
        "{\"op\":\"fetched\",\"count\":2,\"last\":true}",
        "{\"op\":\"fetched\",\"count\":0,\"last\":false,\"others\":[]}",
        "{\"op\":\"fetched\",\"count\":3,\"last\":true,\"others\":[]}",
        "{\"op\":\"fetched\",\"count\":2,\"last\":false,\"others\":[]}",
        "{\"op\":\"fetched\",\"count\":1,\"last\":true,\"others\":[]}",
        "{\"op\":\"fetched\",\"count\":1,\"last\":false,\"others\":[{\"index\":1,\"error\":\"io\"}]"
        "}",
        "{\"op\":\"fetched\",\"count\":1,\"last\":false,\"others\":[{\"index\":0,\"error\":"
        "\"kept\"}]}",
        "{\"op\":\"fetched\",\"count\":2,\"last\":true,\"others\":[]}",
    };
    static const char both[] = "{\"op\":\"fetched\",\"count\":2,\"last\":true,\"others\":"
                               "[{\"index\":1,\"error\":\"io\"}]}";

    for (size_t i = 0; i < ARRAY_SIZE(answers); i++)
        assert_int_equal(fetch_from_rogue(answers[i], NULL, 0), -EBADMSG);
    /* A content that is cut off, and a head that says what none says. */
    assert_int_equal(fetch_from_rogue(both, HEAD, HEAD_SIZE), -EBADMSG);
    assert_int_equal(fetch_from_rogue(both, HEAD, HEAD_SIZE - 1), -EBADMSG);
    assert_int_equal(fetch_from_rogue(both,
                                      "\0\4\0\1"
                                      "\0\0\0\0\0\0\0\1"
                                      "\0"
                                      "\0x",
                                      15),
                     -EBADMSG);
    assert_int_equal(fetch_from_rogue(both,
                                      "\0\0\0\0"
                                      "\0\0\0\0\0\0\0\1"
                                      "\4"
                                      "\0",
                                      14),
                     -EBADMSG);
    assert_int_equal(fetch_from_rogue(both,
                                      "\0\0\0\0"
                                      "\0\0\0\0\0\0\0\1"
                                      "\0"
                                      "\1\33",
                                      15),
                     -EBADMSG);
}

static const char *names_frame;
static size_t names_size;

static void ask_so(struct rogue *self _unused_)
{
    say(names_frame, "\1a\1b", names_size);
    hear();
}

static void questions_that_are_none_end_the_connection(void **state _unused_)
{
    static const struct {
        const char *frame;
        size_t size;
    } questions[] = {
        {"{\"op\":\"fetch\"}", 4},
        {"{\"op\":\"fetch\",\"count\":0}", 0},
        {"{\"op\":\"fetch\",\"count\":4097}", 4},
        {"{\"op\":\"fetch\",\"count\":1}", 4},
        {"{\"op\":\"fetch\",\"count\":3}", 4},
        {"{\"op\":\"fetch\",\"count\":2}", 3},
    };

    for (size_t i = 0; i < ARRAY_SIZE(questions); i++) {
        names_frame = questions[i].frame;
        names_size = questions[i].size;
        assert_string_equal(ask(ask_so), "end ");
    }
    names_frame = "{\"op\":\"fetch\",\"count\":2}";
    names_size = 4;
    assert_string_equal(ask(ask_so), "fetched ");
}

static int fetch_start(void **state)
{
    content_fd = -EBADF;
    return transfer_start(state);
}

static int fetch_stop(void **state)
{
    content_fd = close_fd(content_fd);
    return transfer_stop(state);
}

#define test(name) cmocka_unit_test_setup_teardown(name, fetch_start, fetch_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(many_come_in_the_order_of_their_names),
        test(one_that_cannot_be_had_does_not_hinder_the_others),
        test(as_many_as_the_limit_come_and_no_more_may_be_asked_for),
        test(long_names_go_in_several_frames),
        test(more_than_64_mebibytes_do_not_come_together),
        test(answers_that_are_none_end_the_transfer),
        test(questions_that_are_none_end_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
