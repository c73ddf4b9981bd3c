/* SPDX-License-Identifier: MIT */

/*
 * Functions as tasks, with a real interpreter: in one of their own and in a warm helper's fork, at
 * each level of the sandbox. What holds for the one has to hold for the other.
 */

#include "exec_fixture.h"
#include <sys/mman.h>
#include "exec/keeper.h"

#define JOB_TEXT_MAX 4096
#define WORKERS      2

/* A job as the daemon makes it. @code has no quotes; its argument is 1. */
static int make_job(const char *code)
{
    char text[JOB_TEXT_MAX];
    int fd = memfd_create("job", MFD_CLOEXEC);
    int size =
        snprintf(text, sizeof(text),
                 "{\"file\":\"x.py\",\"function\":\"f\",\"code\":\"%s\",\"args\":[\"1\"]}", code);

    assert_true(fd >= 0 && size > 0 && (size_t)size < sizeof(text));
    assert_int_equal(write(fd, text, (size_t)size), size);
    return fd;
}

static void start_function(struct fixture *fixture, uint64_t id, const char *code,
                           const char *const *environment)
{
    static const char *const none[] = {NULL};
    _cleanup_close_ int job = make_job(code);
    const struct exec_task task = {.words = none,
                                   .environment = environment,
                                   .is_python = true,
                                   .job_fd = job,
                                   .stdin_fd = -1,
                                   .level = EXEC_NONE};

    fixture_forget(&fixture->tasks[id]);
    assert_int_equal(exec_start(fixture->exec, id, &task), 0);
}

static const struct collected *call(struct fixture *fixture, const char *code)
{
    start_function(fixture, 0, code, NULL);
    WAIT_FOR(fixture, fixture->tasks[0].has_ended);
    return &fixture->tasks[0];
}

static const char *result_of(const struct collected *task)
{
    if (task->status.code != 0)
        fail_msg("code %d, error %d (%s): %s", task->status.code, task->status.error,
                 task->status.reason, text_of(task, EXEC_STDERR));
    return text_of(task, EXEC_STDOUT);
}

/* A helper has the library among its words, and what it forks as well, by a name of its own. */
static const char *library_of(const struct fixture *fixture)
{
    static char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s", fixture->program);
    strcpy(strrchr(path, '/'), "/p2pnode-warm.so");
    return path;
}

static unsigned signal_helpers(const struct fixture *fixture, int number)
{
    return signal_processes(library_of(fixture), "p2pnode-task", number);
}

static unsigned count_helpers(const struct fixture *fixture)
{
    return signal_helpers(fixture, 0);
}

static const char is_warm_code[] =
    "import os\\ndef f(x):\\n return b'p2pnode-warm' in open('/proc/self/cmdline','rb').read()";

static bool is_warm(struct fixture *fixture)
{
    return strcmp(result_of(call(fixture, is_warm_code)), "true\n") == 0;
}

static void become_warm(struct fixture *fixture)
{
    const usec_t deadline = fixture_now() + FIXTURE_DEADLINE_USEC;

    while (!is_warm(fixture))
        assert_true(fixture_now() < deadline &&
                    sd_event_run(fixture->event, 5 * USEC_PER_MSEC) >= 0);
}

static int setup(void **state, uint32_t workers, enum exec_level level)
{
    (void)fixture_setup(state);
    struct fixture *fixture = *state;

    fixture->config.workers = workers;
    fixture->config.is_auto = false;
    fixture->config.level = level;
    fixture_connect(fixture);
    assert_int_equal(exec_get_level(fixture->exec), level);
    if (workers > 0)
        become_warm(fixture);
    return 0;
}

static int setup_cold(void **state)
{
    return setup(state, 0, EXEC_NAMESPACES);
}

static int setup_warm(void **state)
{
    return setup(state, WORKERS, EXEC_NAMESPACES);
}

static int setup_warm_none(void **state)
{
    return setup(state, WORKERS, EXEC_NONE);
}

/* --- What holds for both --- */

static void the_result_is_json_and_alone_on_stdout(void **state)
{
    struct fixture *fixture = *state;
    const struct collected *task =
        call(fixture, "import os\\ndef f(x):\\n print('said')\\n os.system('echo more')\\n return "
                      "{'a': [x, None, 'ä']}");

    assert_string_equal(result_of(task), "{\"a\": [1, null, \"\303\244\"]}\n");
    assert_string_equal(text_of(task, EXEC_STDERR), "said\nmore\n");
}

static void an_exception_is_a_traceback_and_exit_1(void **state)
{
    const struct collected *task =
        call(*state, "def g():\\n  return {}['k']\\ndef f(x):\\n  return g()");

    assert_int_equal(task->status.code, 1);
    assert_string_equal(text_of(task, EXEC_STDOUT), "");
    assert_non_null(strstr(text_of(task, EXEC_STDERR), "KeyError: 'k'"));
    assert_non_null(
        strstr(text_of(task, EXEC_STDERR), "  File \"x.py\", line 2, in g\n    return {}['k']"));
    assert_null(strstr(text_of(task, EXEC_STDERR), "p2pnode"));
}

static void each_mistake_has_its_sentence(void **state)
{
    static const struct {
        const char *code;
        const char *said;
    } mistakes[] = {
        {"def g(x):\\n return 1", "x.py has no function \"f\"; it has: g\n"},
        {"f = 5", "\"f\" in x.py is no function but of type int\n"},
        {"def f(x):\\n return {1, 2}", "the result of f is no JSON: Object of type set is not"},
        {"def f(x):\\n return float('nan')", "the result of f is no JSON: Out of range float"},
        {"def f(x:", "SyntaxError: "},
        {"def f(x, y):\\n return 1", "TypeError: f() missing 1 required positional argument: 'y'"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(mistakes); i++) {
        const struct collected *task = call(*state, mistakes[i].code);
        assert_int_equal(task->status.code, 1);
        if (!strstr(text_of(task, EXEC_STDERR), mistakes[i].said))
            fail_msg("not \"%s\" but \"%s\"", mistakes[i].said, text_of(task, EXEC_STDERR));
    }
}

static void what_a_forked_process_returns_is_no_result(void **state)
{
    struct fixture *fixture = *state;
    const struct collected *task =
        call(fixture,
             "import os\\ndef f(x):\\n child = os.fork()\\n if child == 0:\\n  return 'child'\\n "
             "os.waitpid(child, 0)\\n return 'task'");

    assert_string_equal(result_of(task), "\"task\"\n");
    assert_non_null(
        strstr(text_of(task, EXEC_STDERR), "p2pnode: f forked, and returned in the new"));
    /* The other way around: it outlives the task, which is over with it. */
    task = call(fixture,
                "import os, signal\\ndef f(x):\\n if os.fork() == 0:\\n  signal.pause()\\n return "
                "os.getpid() > 0");
    assert_string_equal(result_of(task), "true\n");
    assert_string_equal(result_of(call(fixture, "def f(x):\\n return x")), "1\n");
}

static void sys_exit_sets_the_code(void **state)
{
    const struct collected *task = call(*state, "import sys\\ndef f(x):\\n sys.exit(7)");

    assert_int_equal(task->status.code, 7);
    assert_string_equal(text_of(task, EXEC_STDOUT), "");
    task = call(*state, "import sys\\ndef f(x):\\n sys.exit('no way')");
    assert_int_equal(task->status.code, 1);
    assert_string_equal(text_of(task, EXEC_STDERR), "no way\n");
}

/* What is left open is written, what was registered runs, threads are waited for. */
static void the_end_is_orderly(void **state)
{
    const struct collected *task =
        call(*state, "import atexit, os, threading\\n"
                     "out = os.fdopen(os.dup(2), 'w')\\n"
                     "def f(x):\\n"
                     " out.write('file ')\\n"
                     " atexit.register(lambda: os.write(2, b'exit '))\\n"
                     " threading.Thread(target=lambda: os.write(2, b'thread ')).start()\\n"
                     " return 1");

    assert_string_equal(result_of(task), "1\n");
    assert_string_equal(text_of(task, EXEC_STDERR), "thread exit file ");
}

static void a_function_may_take_its_surroundings_apart(void **state)
{
    const struct collected *task =
        call(*state, "import os, sys\\ndef f(x):\\n os.mkdir('d')\\n os.chdir('d')\\n"
                     " os.rmdir('../d')\\n sys.stdout = sys.modules = None\\n return 5");

    assert_string_equal(result_of(task), "5\n");
}

static void nothing_leaks_from_one_to_the_next(void **state)
{
    static const char *const secret[] = {"SECRET=value-of-the-first", NULL};
    static const char leave[] =
        "import builtins, json, os, random, sys, signal, threading\\n"
        "builtins.LEFT = 1\\nsys.LEFT = 1\\njson.LEFT = 1\\nos.environ['LEFT'] = '1'\\n"
        "random.seed(4)\\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\\n"
        "open('left', 'w').close()\\nopen(os.environ['TMPDIR'] + '/left', "
        "'w').close()\\n"
        "os.mkdir('d')\\nos.chdir('d')\\nsys.setrecursionlimit(77)\\nos.umask(0o777)\\n"
        "def f(x):\\n return 1";
    static const char look[] =
        "import builtins, json, os, random, sys, signal\\n"
        "def f(x):\\n"
        " import resource\\n"
        " return [hasattr(builtins, 'LEFT') or hasattr(sys, 'LEFT') or hasattr(json, 'LEFT'),\\n"
        "  'LEFT' in os.environ or 'SECRET' in os.environ, os.listdir('.'),\\n"
        "  os.listdir(os.environ['TMPDIR']), os.umask(0), sys.getrecursionlimit() == 77,\\n"
        "  signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, os.getpgid(0) == os.getpid(),\\n"
        "  sorted(os.listdir('/proc/self/fd'))[:3], len(os.listdir('/proc/self/fd'))]";
    struct fixture *fixture = *state;

    for (int i = 0; i < 2 * WORKERS; i++) {
        start_function(fixture, 0, leave, secret);
        WAIT_FOR(fixture, fixture->tasks[0].has_ended);
        assert_string_equal(result_of(&fixture->tasks[0]), "1\n");
        assert_string_equal(
            result_of(call(fixture, look)),
            "[false, false, [], [], 18, false, true, true, [\"0\", \"1\", \"2\"], 5]\n");
    }
}

/* How often a secret is in a task's memory. The word is never put together, or it would find
 * itself.
 */
static const char search[] =
    "import re\\n"
    "def f(x):\\n"
    " found = 0\\n"
    " with open('/proc/self/maps') as maps, open('/proc/self/mem', 'rb') as mem:\\n"
    "  for line in list(maps):\\n"
    "   m = re.match('([0-9a-f]+)-([0-9a-f]+) rw', line)\\n"
    "   if not m or '[v' in line: continue\\n"
    "   start, end = int(m[1], 16), int(m[2], 16)\\n"
    "   mem.seek(start)\\n"
    "   parts = mem.read(end - start).split(b'yellow-sub')[1:]\\n"
    "   found += sum(part[:6][::-1] == b'eniram' for part in parts)\\n"
    " return found";

static void leave_a_secret(struct fixture *fixture)
{
    static const char *const secret[] = {"SECRET=yellow-submarine-4711", NULL};

    start_function(fixture, 0, search, secret);
    WAIT_FOR(fixture, fixture->tasks[0].has_ended);
    assert_true(atoi(result_of(&fixture->tasks[0])) > 0); /* the search does find what is there */
}

/* The text of an earlier task's environment is nowhere in the memory of the next. */
static void no_memory_of_another_task_is_seen(void **state)
{
    struct fixture *fixture = *state;

    for (int i = 0; i < 2 * WORKERS; i++) {
        leave_a_secret(fixture);
        assert_string_equal(result_of(call(fixture, search)), "0\n");
    }
}

/* For sure in the same one: where keepers are free again too late, two of them take turns. */
static void a_keeper_forgets_one_function_before_the_next(void **state)
{
    const usec_t deadline = fixture_now() + FIXTURE_DEADLINE_USEC;
    struct fixture *fixture = *state;
    pid_t keepers[2];

    do {
        assert_true(fixture_now() < deadline);
        for (size_t i = 0; i < ARRAY_SIZE(keepers); i++) {
            leave_a_secret(fixture);
            keepers[i] = fixture->tasks[0].pid;
        }
        assert_string_equal(result_of(call(fixture, search)), "0\n");
    } while (fixture->tasks[0].pid != keepers[0] && fixture->tasks[0].pid != keepers[1]);
}

static void functions_with_files_have_a_supervisor_of_their_own(void **state _unused_)
{
    const struct exec_start start = {.is_python = true};
    char *const words[] = {NULL};
    struct supervisor_job job = {
        .start = &start, .level = EXEC_LANDLOCK, .inputs_fd = -EBADF, .results_fd = -EBADF};

    assert_true(keeper_can_hold(&job));
    job.inputs_fd = 5;
    assert_false(keeper_can_hold(&job));
    job.inputs_fd = -EBADF;
    job.results_fd = 5;
    assert_false(keeper_can_hold(&job));
    job.level = EXEC_NONE;
    assert_false(keeper_can_hold(&job));
    job.words = words; /* the process of a command has nothing of its keeper's memory */
    assert_true(keeper_can_hold(&job));
    job.level = EXEC_FULL;
    assert_false(keeper_can_hold(&job));
}

/* As the function sees it, as the programs that it starts, and as both do after a change. Only what
 * is warm: an interpreter that starts adds LC_CTYPE (PEP 538). */
static void the_environment_is_exactly_the_documented_one(void **state)
{
    static const char *const variables[] = {"A=b=c", "EMPTY=", "P2P_TASK_ID=1@lab-01", NULL};
    static const char code[] =
        "import os, subprocess\\n"
        "def look():\\n"
        " seen = subprocess.run(['/usr/bin/env', '-0'], stdout=subprocess.PIPE).stdout\\n"
        " assert sorted(seen.split(bytes(1))[:-1]) == sorted(k + b'=' + v for k, v in "
        "os.environb.items()), seen\\n"
        "def f(x):\\n"
        " look()\\n"
        " found = sorted(os.environ), os.environ['A'], os.environ['EMPTY']\\n"
        " del os.environ['A']\\n"
        " os.environ['B'] = 'x'\\n"
        " look()\\n"
        " return found";
    struct fixture *fixture = *state;

    start_function(fixture, 0, code, variables);
    WAIT_FOR(fixture, fixture->tasks[0].has_ended);
    assert_string_equal(result_of(&fixture->tasks[0]),
                        "[[\"A\", \"EMPTY\", \"P2P_INPUT_DIR\", \"P2P_OUTPUT_DIR\", "
                        "\"P2P_TASK_ID\", \"TMPDIR\"], \"b=c\", \"\"]\n");
}

static void random_numbers_differ(void **state)
{
    static const char code[] = "import random\\ndef f(x):\\n return random.random()";
    char first[64];

    snprintf(first, sizeof(first), "%s", result_of(call(*state, code)));
    for (int i = 0; i < WORKERS; i++)
        assert_string_not_equal(result_of(call(*state, code)), first);
}

static void it_is_killed_with_all_it_started(void **state)
{
    struct fixture *fixture = *state;

    start_function(
        fixture, 1,
        "import subprocess, sys\\ndef f(x):\\n subprocess.Popen(['/bin/sleep', '4711'])\\n"
        " print('up')\\n subprocess.run(['/bin/sleep', '4711'])",
        NULL);
    WAIT_FOR(fixture, fixture->tasks[1].sizes[EXEC_STDERR] > 0 && count_processes("4711") >= 2);
    assert_int_equal(exec_signal(fixture->exec, 1, SIGTERM, USEC_INFINITY), 0);
    WAIT_FOR(fixture, fixture->tasks[1].has_ended);
    WAIT_FOR(fixture, count_processes("4711") == 0);
    assert_int_equal(fixture->tasks[1].status.signal, SIGTERM);
}

static void limits_are_those_of_any_task(void **state)
{
    static const char *const none[] = {NULL};
    struct fixture *fixture = *state;
    _cleanup_close_ int job = make_job("def f(x):\\n return len('x' * (1 << 30))"),
                        slow = make_job("import signal\\ndef f(x):\\n signal.pause()");
    struct exec_task task = {.words = none,
                             .is_python = true,
                             .job_fd = job,
                             .stdin_fd = -1,
                             .level = EXEC_NONE,
                             .limits = {.memory_bytes = 256 << 20}};

    assert_int_equal(run_task(fixture, 0, &task)->status.code, 1);
    assert_non_null(strstr(text_of(&fixture->tasks[0], EXEC_STDERR), "MemoryError"));
    task.job_fd = slow;
    task.limits = (struct exec_limits){.timeout_usec = 50 * USEC_PER_MSEC};
    assert_true(run_task(fixture, 0, &task)->status.timed_out);
}

static void the_sandbox_is_that_of_any_task(void **state)
{
    static const char code[] = "import os, socket\\n"
                               "def f(x):\\n"
                               " said = [os.getpid(), os.path.exists('/etc/passwd'), "
                               "sorted(os.listdir('/sys')) if os.path.exists('/sys') else None]\\n"
                               " for what in (lambda: socket.socket(socket.AF_PACKET), lambda: "
                               "open('/usr/x', 'w'), lambda: os.chroot('/')):\\n"
                               "  try: said.append(str(what()))\\n"
                               "  except OSError as e: said.append(e.errno)\\n"
                               " said.append([l.split()[1] for l in open('/proc/self/status') if "
                               "l.startswith(('CapEff', 'NoNewPrivs', 'Seccomp:'))])\\n"
                               " return said";

    assert_string_equal(result_of(call(*state, code)),
                        "[2, false, null, 1, 30, 1, [\"0000000000000000\", \"1\", \"2\"]]\n");
}

/* --- Warm helpers --- */

static void a_variable_for_the_interpreter_gets_one_of_its_own(void **state)
{
    static const char *const seed[] = {"PYTHONHASHSEED=1", NULL};
    static const char code[] = "import os\\ndef f(x):\\n return [hash('x'), b'warm' in "
                               "open('/proc/self/cmdline', 'rb').read()]";
    struct fixture *fixture = *state;
    char first[128];

    start_function(fixture, 1, code, seed);
    WAIT_FOR(fixture, fixture->tasks[1].has_ended);
    snprintf(first, sizeof(first), "%s", result_of(&fixture->tasks[1]));
    assert_non_null(strstr(first, ", false]"));
    start_function(fixture, 1, code, seed);
    WAIT_FOR(fixture, fixture->tasks[1].has_ended);
    assert_string_equal(result_of(&fixture->tasks[1]), first);
}

static void a_helper_that_dies_costs_no_task(void **state)
{
    struct fixture *fixture = *state;
    unsigned count = 0;

    for (; count < 10; count++) {
        const char *text = result_of(call(fixture, "import os\\ndef f(x):\\n return 1"));
        assert_string_equal(text, "1\n");
    }
    WAIT_FOR(fixture, count_helpers(fixture) == WORKERS);
    assert_int_equal(signal_helpers(fixture, SIGKILL), WORKERS);
    assert_string_equal(result_of(call(fixture, "def f(x):\\n return x")), "1\n");
    become_warm(fixture);
}

static void helpers_end_when_nobody_asks(void **state)
{
    struct fixture *fixture = *state;

    WAIT_FOR(fixture, count_helpers(fixture) == WORKERS);
    fixture->config.helper_idle_usec = 500 * USEC_PER_MSEC;
    assert_int_equal(exec_configure(fixture->exec, &fixture->config), 0);
    WAIT_FOR(fixture, count_helpers(fixture) == 0);
    become_warm(fixture);
    WAIT_FOR(fixture, count_helpers(fixture) == 0);
    assert_string_equal(result_of(call(fixture, "def f(x):\\n return x")), "1\n");
}

static void a_helper_is_replaced_after_its_share(void **state)
{
    static const char code[] = "def f(x):\\n return hash('x')";
    struct fixture *fixture = *state;
    char seeds[64][64];
    size_t count = 0;

    fixture->config.workers = 1;
    fixture->config.jobs_max = 5;
    assert_int_equal(exec_configure(fixture->exec, &fixture->config), 0);
    become_warm(fixture);
    /* Each helper has a hash seed of its own. */
    for (int i = 0; i < 64; i++) {
        const char *text = result_of(call(fixture, code));
        size_t at = 0;
        while (at < count && strcmp(seeds[at], text) != 0)
            at++;
        snprintf(seeds[at], sizeof(seeds[at]), "%s", text);
        count = MAX(count, at + 1);
    }
    assert_true(count > 3);
    become_warm(fixture); /* the one whose share ended last may have no successor yet */
}

static void many_at_once_all_get_their_own_answer(void **state)
{
    struct fixture *fixture = *state;
    char code[128], answer[16];

    for (uint64_t i = 0; i < FIXTURE_TASKS_MAX; i++) {
        snprintf(code, sizeof(code), "def f(x):\\n return %d", (int)i);
        start_function(fixture, i, code, NULL);
    }
    for (uint64_t i = 0; i < FIXTURE_TASKS_MAX; i++) {
        WAIT_FOR(fixture, fixture->tasks[i].has_ended);
        snprintf(answer, sizeof(answer), "%d\n", (int)i);
        assert_string_equal(result_of(&fixture->tasks[i]), answer);
    }
    WAIT_FOR(fixture, count_entries(fixture->work_root) == 0);
}

static void modules_are_there_already(void **state)
{
    static const char *const modules[] = {"fractions", NULL};
    static const char code[] = "import sys\\ndef f(x):\\n return 'fractions' in sys.modules";
    struct fixture *fixture = *state;

    assert_string_equal(result_of(call(fixture, code)), "false\n");
    fixture->config.modules = modules;
    assert_int_equal(exec_configure(fixture->exec, &fixture->config), 0);
    become_warm(fixture);
    assert_string_equal(result_of(call(fixture, code)), "true\n");
}

static void an_interpreter_that_is_none_is_told(void **state)
{
    static const char *const unknown[] = {"no_such_module", NULL};
    struct fixture *fixture = *state;

    fixture->config.modules = unknown;
    assert_int_equal(exec_configure(fixture->exec, &fixture->config), 0);
    assert_string_equal(result_of(call(fixture, "def f(x):\\n return x")), "1\n");
    WAIT_FOR(fixture, count_helpers(fixture) == 0);
    assert_string_equal(result_of(call(fixture, "def f(x):\\n return x")), "1\n");
    fixture->config.interpreter = "/usr/bin/no-such-python";
    assert_int_equal(exec_configure(fixture->exec, &fixture->config), 0);
    const struct collected *task = call(fixture, "def f(x):\\n return x");
    assert_int_equal(task->status.code, 127);
    assert_non_null(
        strstr(text_of(task, EXEC_STDERR), "/usr/bin/no-such-python: command not found"));
}

#define AT(test, setup)                                                                            \
    {                                                                                              \
#test " (" #setup ")", test, setup, fixture_teardown, NULL                                 \
    }
#define AT_ALL(test) AT(test, setup_cold), AT(test, setup_warm), AT(test, setup_warm_none)

int main(void)
{
    const struct CMUnitTest tests[] = {
        AT_ALL(the_result_is_json_and_alone_on_stdout),
        AT_ALL(an_exception_is_a_traceback_and_exit_1),
        AT_ALL(each_mistake_has_its_sentence),
        AT_ALL(sys_exit_sets_the_code),
        AT_ALL(what_a_forked_process_returns_is_no_result),
        AT_ALL(the_end_is_orderly),
        AT_ALL(a_function_may_take_its_surroundings_apart),
        AT_ALL(nothing_leaks_from_one_to_the_next),
        AT_ALL(no_memory_of_another_task_is_seen),
        AT(a_keeper_forgets_one_function_before_the_next, setup_warm),
        AT(a_keeper_forgets_one_function_before_the_next, setup_warm_none),
        cmocka_unit_test(functions_with_files_have_a_supervisor_of_their_own),
        AT(the_environment_is_exactly_the_documented_one, setup_warm),
        AT(the_environment_is_exactly_the_documented_one, setup_warm_none),
        AT_ALL(random_numbers_differ),
        AT_ALL(it_is_killed_with_all_it_started),
        AT_ALL(limits_are_those_of_any_task),
        AT(the_sandbox_is_that_of_any_task, setup_cold),
        AT(the_sandbox_is_that_of_any_task, setup_warm),
        AT(a_variable_for_the_interpreter_gets_one_of_its_own, setup_warm),
        AT(a_helper_that_dies_costs_no_task, setup_warm),
        AT(helpers_end_when_nobody_asks, setup_warm),
        AT(a_helper_is_replaced_after_its_share, setup_warm),
        AT_ALL(many_at_once_all_get_their_own_answer),
        AT(modules_are_there_already, setup_warm),
        AT(an_interpreter_that_is_none_is_told, setup_warm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
