/* SPDX-License-Identifier: MIT */

/* Files into and out of a task's work directory, with a real p2pnode-exec at every level it has. */

#include "exec_fixture.h"

#include "base/bundle.h"

static int new_file(void)
{
    int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    return fd;
}

/* A bundle of name, mode, text; name, mode, text; NULL. */
static int new_bundle(const char *name, ...)
{
    int fd = new_file();
    uint64_t at = (uint64_t)bundle_begin(fd);
    va_list arguments;

    va_start(arguments, name);
    for (; name; name = va_arg(arguments, const char *)) {
        struct bundle_entry entry = {.mode = (uint16_t)va_arg(arguments, int)};
        const char *text = va_arg(arguments, const char *);
        snprintf(entry.name, sizeof(entry.name), "%s", name);
        entry.size = strlen(text);
        int64_t offset = bundle_add_head(fd, at, &entry);
        assert_true(offset > 0);
        assert_int_equal(pwrite(fd, text, entry.size, offset), entry.size);
        at = (uint64_t)offset + entry.size;
    }
    va_end(arguments);
    return fd;
}

struct files {
    int inputs;  /* owned; negative = none */
    int results; /* owned */
    uint64_t results_max;
    uint64_t reserve;
    const char *outs[8];
};

static const struct collected *run(struct fixture *fixture, const struct files *files,
                                   const char *script)
{
    start_shell(fixture, 0, script,
                (struct exec_task){.stdin_fd = -1,
                                   .level = EXEC_NONE,
                                   .has_inputs = files->inputs >= 0,
                                   .inputs_fd = files->inputs,
                                   .outs = files->outs,
                                   .results_fd = files->results,
                                   .results_max = files->results_max,
                                   .reserve = files->reserve});
    WAIT_FOR(fixture, fixture->tasks[0].has_ended);
    return &fixture->tasks[0];
}

/* What the bundle says of @name: its text, or NULL. */
static const char *text_in(int fd, const char *name)
{
    static char text[128];
    struct bundle_entry entry;

    if (bundle_find(fd, name, &entry) != 1)
        return NULL;
    assert_true(entry.size < sizeof(text));
    memset(text, 0, sizeof(text));
    assert_int_equal(pread(fd, text, entry.size, (off_t)entry.offset), entry.size);
    return text;
}

static void inputs_are_there_and_results_come_back(void **state)
{
    _cleanup_close_ int inputs = new_bundle("a.txt", 0644, "one\n", "dir/sub/tool", 0755,
                                            "#!/bin/sh\necho tool $1\n", NULL),
                        results = new_file();
    struct files files = {.inputs = inputs, .results = results, .outs = {"*.out", "dir/*/b"}};
    const struct collected *task = run(
        *state, &files,
        "cat a.txt; ./dir/sub/tool 5; echo result > x.out; echo deep > dir/sub/b; "
        "echo more >> a.txt; [ \"$P2P_INPUT_DIR\" = \"$PWD\" ] && cat \"$P2P_INPUT_DIR/a.txt\"");
    struct bundle_entry entry;

    assert_string_equal(text_of(task, EXEC_STDERR), "");
    assert_string_equal(text_of(task, EXEC_STDOUT), "one\ntool 5\none\nmore\n");
    assert_int_equal(task->status.code, 0);
    assert_int_equal(task->status.results.error, 0);
    assert_int_equal(task->status.results.count, 2);
    assert_string_equal(task->status.results.note, "");
    assert_string_equal(text_in(results, "x.out"), "result\n");
    assert_string_equal(text_in(results, "dir/sub/b"), "deep\n");
    assert_int_equal(bundle_find(results, "x.out", &entry), 1);
    assert_int_equal(entry.tag, 0);
    assert_int_equal(bundle_find(results, "dir/sub/b", &entry), 1);
    assert_int_equal(entry.tag, 1);
    struct stat status;
    assert_int_equal(fstat(results, &status), 0);
    assert_int_equal(task->status.results.size, status.st_size);
}

static void standard_input_is_read_and_cannot_be_seen(void **state)
{
    _cleanup_close_ int inputs = new_bundle("a", 0600, "file\n", "", 0600, "from stdin\n", NULL);
    struct files files = {.inputs = inputs, .results = -1};
    const struct collected *task = run(*state, &files, "cat; ls; cat < /dev/null; ls .. | wc -w");

    assert_memory_equal(text_of(task, EXEC_STDOUT), "from stdin\na\n", 13);
    assert_int_equal(task->status.code, 0);
}

static void without_files_nothing_changes(void **state)
{
    struct files files = {.inputs = -1, .results = -1};
    const struct collected *task = run(*state, &files, "cat; ls -a | wc -l");

    assert_string_equal(text_of(task, EXEC_STDOUT), "2\n");
    assert_int_equal(task->status.results.count, 0);
}

static void links_and_what_is_no_file_stay_behind(void **state)
{
    _cleanup_close_ int results = new_file();
    struct files files = {.inputs = -1, .results = results, .outs = {"*"}};
    const struct collected *task = run(
        *state, &files,
        "ln -s /etc/passwd passwd; ln -s /etc etc; mkfifo fifo; echo good > good; "
        "mkdir sub; ln -s ../../../../../etc/hostname sub/up; echo x > sub/x; echo .h > .hidden");

    assert_int_equal(task->status.code, 0);
    assert_int_equal(task->status.results.error, 0);
    assert_int_equal(task->status.results.count, 2);
    assert_string_equal(text_in(results, "good"), "good\n");
    assert_string_equal(text_in(results, "sub/x"), "x\n");
    assert_null(text_in(results, "passwd"));
    assert_null(text_in(results, "etc/passwd"));
    assert_null(text_in(results, "sub/up"));
    assert_null(text_in(results, ".hidden"));
    assert_non_null(strstr(task->status.results.note, "; and 3 more"));
}

static void link_in_the_middle_of_a_pattern_is_not_followed(void **state)
{
    _cleanup_close_ int results = new_file();
    struct files files = {.inputs = -1, .results = results, .outs = {"out/hostname", "etc/*"}};
    const struct collected *task = run(*state, &files, "ln -s /etc out; ln -s /etc etc");

    assert_int_equal(task->status.results.count, 0);
    assert_string_equal(task->status.results.note, "no file matches out/hostname; and 1 more");
}

static void pattern_without_a_match_is_told_and_the_code_stays(void **state)
{
    _cleanup_close_ int results = new_file();
    struct files files = {.inputs = -1, .results = results, .outs = {"plot*.png", "x"}};
    const struct collected *task = run(*state, &files, "echo 1 > x; exit 3");

    assert_int_equal(task->status.code, 3);
    assert_int_equal(task->status.results.count, 1);
    assert_string_equal(task->status.results.note, "no file matches plot*.png");
}

static void file_that_two_patterns_mean_comes_once(void **state)
{
    _cleanup_close_ int results = new_file();
    struct files files = {.inputs = -1, .results = results, .outs = {"a*", "*.txt", "[ab].txt"}};
    const struct collected *task = run(*state, &files, "echo 1 > a.txt");

    assert_int_equal(task->status.results.count, 1);
    assert_string_equal(task->status.results.note, "");
}

static void results_have_a_limit(void **state)
{
    _cleanup_close_ int results = new_file(), more = new_file();
    struct files files = {
        .inputs = -1, .results = results, .results_max = 100000, .outs = {"a", "b"}};
    const struct collected *task =
        run(*state, &files, "head -c 50000 /dev/zero > a; head -c 50000 /dev/zero > b");

    assert_int_equal(task->status.results.error, 0);
    assert_int_equal(task->status.results.count, 2);
    files.results = more;
    task = run(*state, &files, "head -c 50000 /dev/zero > a; head -c 50001 /dev/zero > b");
    assert_int_equal(task->status.code, 0);
    assert_int_equal(task->status.results.error, -EFBIG);
    assert_int_equal(task->status.results.count, 0);
}

static void sparse_file_beyond_the_disk_is_no_way_around_it(void **state)
{
    _cleanup_close_ int results = new_file();
    struct files files = {.inputs = -1, .results = results, .outs = {"sparse"}};
    const struct collected *task = run(*state, &files, "truncate -s 10T sparse");

    assert_int_equal(task->status.code, 0);
    assert_int_equal(task->status.results.error, -ENOSPC);
}

static void reserve_stays_free(void **state)
{
    _cleanup_close_ int results = new_file();
    struct files files = {.inputs = -1, .results = results, .reserve = EXEC_ID_MAX, .outs = {"a"}};

    assert_int_equal(run(*state, &files, "echo 1 > a")->status.results.error, -ENOSPC);
}

static void what_a_task_leaves_running_changes_nothing_any_more(void **state)
{
    _cleanup_close_ int results = new_file();
    struct files files = {.inputs = -1, .results = results, .outs = {"log"}};
    const struct collected *task = run(
        *state, &files, "(while :; do echo more >> log; done) & while ! [ -s log ]; do :; done");

    assert_int_equal(task->status.code, 0);
    assert_int_equal(task->status.results.count, 1);
    struct bundle_content content;
    assert_int_equal(bundle_check(results, &content), 0);
}

static void bundle_that_is_none_or_lies_does_not_start_the_task(void **state)
{
    _cleanup_close_ int garbage = new_file(),
                        twice = new_bundle("a", 0644, "1", "a", 0644, "2", NULL),
                        through = new_bundle("a", 0644, "1", "a/b", 0644, "2", NULL);
    struct files files = {.inputs = garbage, .results = -1};

    assert_int_equal(pwrite(garbage, "no bundle at all", 16, 0), 16);
    assert_int_equal(run(*state, &files, "echo ran")->status.error, -EBADMSG);
    files.inputs = twice;
    assert_int_equal(run(*state, &files, "echo ran")->status.error, -EEXIST);
    files.inputs = through;
    const struct collected *task = run(*state, &files, "echo ran");
    assert_int_equal(task->status.error, -ENOTDIR);
    assert_string_equal(text_of(task, EXEC_STDOUT), "");
    assert_non_null(strstr(task->status.reason, "put the input files into the work directory"));
}

static void modes_survive_both_ways(void **state)
{
    _cleanup_close_ int inputs = new_bundle("run", 0755, "", "data", 0640, "", NULL),
                        results = new_file();
    struct files files = {.inputs = inputs, .results = results, .outs = {"made*"}};
    const struct collected *task =
        run(*state, &files,
            "stat -c %a run data; touch made1 made2; chmod 4755 made1; chmod 600 made2");
    struct bundle_entry entry;

    assert_string_equal(text_of(task, EXEC_STDOUT), "755\n640\n");
    assert_int_equal(bundle_find(results, "made1", &entry), 1);
    assert_int_equal(entry.mode, 0755);
    assert_int_equal(bundle_find(results, "made2", &entry), 1);
    assert_int_equal(entry.mode, 0600);
}

static void what_is_too_deep_is_left_with_a_word(void **state)
{
    _cleanup_close_ int results = new_file();
    struct files files = {.inputs = -1, .results = results, .outs = {"*"}};
    const struct collected *task =
        run(*state, &files, "for i in $(seq 33); do mkdir 1; cd 1; echo $i > f; done");

    assert_int_equal(task->status.code, 0);
    assert_int_equal(task->status.results.count, 31);
    assert_non_null(strstr(task->status.results.note, "below more than 31 directories"));
}

static void strange_names_are_left_with_a_word(void **state)
{
    _cleanup_close_ int results = new_file();
    struct files files = {.inputs = -1, .results = results, .outs = {"*"}};
    const struct collected *task =
        run(*state, &files,
            "echo 1 > -rf; printf x > \"$(printf 'a\\nb')\"; printf x > \"$(printf '\\377')\"");

    assert_int_equal(task->status.code, 0);
    assert_int_equal(task->status.results.count, 0);
    assert_non_null(strstr(task->status.results.note, "name that cannot be sent"));
}

static void deep_trees_end(void **state)
{
    _cleanup_close_ int results = new_file();
    struct files files = {.inputs = -1, .results = results, .outs = {"d"}};
    const struct collected *task =
        run(*state, &files,
            "i=0; mkdir d; cd d; echo top > top; while [ $i -lt 300 ]; do mkdir d && cd d; "
            "i=$((i+1)); done; echo low > low");

    assert_int_equal(task->status.code, 0);
    assert_int_equal(task->status.results.count, 1);
    assert_string_equal(text_in(results, "d/top"), "top\n");
}

static void killed_task_still_gives_what_it_had(void **state)
{
    _cleanup_close_ int results = new_file();
    struct files files = {.inputs = -1, .results = results, .outs = {"partial"}};
    const struct collected *task = run(*state, &files, "echo half > partial; kill -KILL $$");

    assert_int_equal(task->status.signal, SIGKILL);
    assert_string_equal(text_in(results, "partial"), "half\n");
}

#define AT_ALL_LEVELS(test)                                                                        \
    cmocka_unit_test_setup_teardown(test, connected_setup, fixture_teardown),                      \
        cmocka_unit_test_setup_teardown(test, landlock_setup, fixture_teardown),                   \
        cmocka_unit_test_setup_teardown(test, none_setup, fixture_teardown)
#define AT_BEST(test) cmocka_unit_test_setup_teardown(test, connected_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        AT_ALL_LEVELS(inputs_are_there_and_results_come_back),
        AT_ALL_LEVELS(standard_input_is_read_and_cannot_be_seen),
        AT_ALL_LEVELS(links_and_what_is_no_file_stay_behind),
        AT_ALL_LEVELS(modes_survive_both_ways),
        AT_BEST(without_files_nothing_changes),
        AT_BEST(link_in_the_middle_of_a_pattern_is_not_followed),
        AT_BEST(pattern_without_a_match_is_told_and_the_code_stays),
        AT_BEST(file_that_two_patterns_mean_comes_once),
        AT_BEST(results_have_a_limit),
        AT_BEST(sparse_file_beyond_the_disk_is_no_way_around_it),
        AT_BEST(reserve_stays_free),
        AT_BEST(what_a_task_leaves_running_changes_nothing_any_more),
        AT_BEST(bundle_that_is_none_or_lies_does_not_start_the_task),
        AT_BEST(what_is_too_deep_is_left_with_a_word),
        AT_BEST(strange_names_are_left_with_a_word),
        AT_BEST(deep_trees_end),
        AT_BEST(killed_task_still_gives_what_it_had),
    };

    return cmocka_run_group_tests_name("exec/files", tests, NULL, NULL);
}
