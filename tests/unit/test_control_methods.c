/* SPDX-License-Identifier: MIT */

/* The table of methods against the interface file, and what is refused before a method runs. */

#include "call_lab.h"
#include <ctype.h>
#include <fcntl.h>
#include "control/methods_internal.h"

#define INTERFACE_FILE "daemon/control/org.p2pnode.varlink"
#define METHODS_MAX    64
#define NAME_SIZE      48
#define PARAMETERS_MAX 32

struct declared {
    char name[NAME_SIZE];
    char parameters[PARAMETERS_MAX][NAME_SIZE];
    size_t count;
};

static char text[128 * 1024]; /* of the file */
static struct declared declared[METHODS_MAX];
static size_t declared_count;
static struct node node;
static struct config config;

static bool is_name(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

static const char *read_name(const char *at, char target[static NAME_SIZE])
{
    size_t size = 0;

    while (is_name(at[size]))
        size++;
    assert_in_range(size, 1, NAME_SIZE - 1);
    memcpy(target, at, size);
    target[size] = '\0';
    return at + size;
}

/* The names at depth one of the parentheses at @at: a small reader of its own, unlike the daemon's.
 */
static void read_parameters(const char *at, struct declared *method)
{
    int depth = 0;

    do {
        if (*at == '#') {
            at += strcspn(at, "\n");
        } else if (*at == '(') {
            depth++;
            at++;
        } else if (*at == ')') {
            depth--;
            at++;
        } else if (depth == 1 && is_name(*at)) {
            char name[NAME_SIZE];
            at = read_name(at, name);
            if (*at == ':') {
                assert_true(method->count < PARAMETERS_MAX);
                strcpy(method->parameters[method->count++], name);
                at += 1 + strspn(at + 1, " ?[]");
                while (is_name(*at))
                    at++;
            }
        } else {
            at++;
        }
    } while (depth > 0);
}

static int read_interface(void **state _unused_)
{
    _cleanup_close_ int fd = open(INTERFACE_FILE, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
        return -1;
    for (const char *at = text; (at = strstr(at, "\nmethod ")); at++) {
        struct declared *method = &declared[declared_count++];
        assert_true(declared_count <= METHODS_MAX);
        read_parameters(read_name(at + 8, method->name), method);
    }
    config.node.name = strdup("lab-01");
    config.control.admin_group = strdup("p2pnode-admin");
    node.config = &config;
    return 0;
}

static int forget_interface(void **state _unused_)
{
    free(config.node.name);
    free(config.control.admin_group);
    return 0;
}

static struct call_lab lab;

static void ask_as(const char *method, const char *parameters, bool is_admin, bool is_remote)
{
    call_lab_done(&lab);
    struct call *call = call_lab_new(&lab, method, parameters, true);
    call->caller.is_admin = is_admin;
    call->caller.is_remote = is_remote;
    methods_dispatch(call, &node);
    assert_true(lab.is_answered);
}

static int forget_answer(void **state _unused_)
{
    call_lab_done(&lab);
    return 0;
}

static void every_method_of_the_table_is_declared_and_the_other_way_round(void **state _unused_)
{
    size_t count = 0;

    for (const char *name; (name = methods_get_name(count)); count++) {
        bool is_found = false;
        for (size_t i = 0; i < declared_count; i++)
            is_found = is_found || strcmp(declared[i].name, name) == 0;
        if (!is_found)
            fail_msg("%s is not in " INTERFACE_FILE, name);
    }
    assert_int_equal(count, declared_count);
}

static void every_declared_parameter_is_known_and_no_other(void **state _unused_)
{
    char method[64], parameters[128];

    for (size_t i = 0; i < declared_count; i++) {
        snprintf(method, sizeof(method), "org.p2pnode.%s", declared[i].name);
        for (size_t j = 0; j < declared[i].count; j++) {
            /* The first one that is not known is named. */
            snprintf(parameters, sizeof(parameters), "{\"%s\":null,\"unheard\":1}",
                     declared[i].parameters[j]);
            ask_as(method, parameters, true, false);
            call_lab_assert_invalid(&lab, "unheard");
        }
        for (size_t j = 0; j < declared_count; j++)
            for (size_t k = 0; k < declared[j].count; k++) {
                const char *other = declared[j].parameters[k];
                bool is_own = false;
                for (size_t l = 0; l < declared[i].count; l++)
                    is_own = is_own || strcmp(declared[i].parameters[l], other) == 0;
                if (is_own)
                    continue;
                snprintf(parameters, sizeof(parameters), "{\"%s\":1}", other);
                ask_as(method, parameters, true, false);
                call_lab_assert_invalid(&lab, other);
            }
    }
}

static void strange_parameters_are_unknown_to_every_method(void **state _unused_)
{
    static const char *const keys[] = {"",    ":",      " ",     "(",     "node:",  "ode",
                                       "nod", "Node",   "->",    "?",     "string", "#",
                                       ")",   "schema", "node ", "method"};
    char method[64], parameters[64];

    for (size_t i = 0; methods_get_name(i); i++)
        for (size_t j = 0; j < ARRAY_SIZE(keys); j++) {
            snprintf(method, sizeof(method), "org.p2pnode.%s", methods_get_name(i));
            snprintf(parameters, sizeof(parameters), "{\"%s\":1}", keys[j]);
            ask_as(method, parameters, true, false);
            call_lab_assert_invalid(&lab, keys[j]);
        }
}

static void the_interface_is_shown_as_it_stands_in_the_file(void **state _unused_)
{
    const char *description = NULL;

    ask_as("org.varlink.service.GetInterfaceDescription", "{\"interface\":\"org.p2pnode\"}", false,
           false);
    _cleanup_json_ cJSON *reply = cJSON_Parse(lab.last);
    assert_int_equal(json_get_string(reply, "description", &description), 1);
    assert_string_equal(description, text);
    ask_as("org.varlink.service.GetInterfaceDescription", "{\"interface\":\"org.other\"}", false,
           false);
    assert_string_equal(lab.error, "org.varlink.service.InterfaceNotFound");
    ask_as("org.varlink.service.GetInterfaceDescription", "{}", false, false);
    call_lab_assert_invalid(&lab, "interface");
}

static void the_service_says_what_it_is(void **state _unused_)
{
    ask_as("org.varlink.service.GetInfo", "{}", false, false);
    assert_string_equal(lab.error, "");
    assert_non_null(strstr(lab.last, "\"product\":\"p2pnode\""));
    assert_non_null(strstr(lab.last, "[\"org.varlink.service\",\"org.p2pnode\"]"));
}

static void what_is_no_method_is_not_found(void **state _unused_)
{
    static const char *const names[] = {"",
                                        "Status",
                                        "org.p2pnode",
                                        "org.p2pnode.",
                                        "org.p2pnode.status",
                                        "org.p2pnode.StatusX",
                                        "org.p2pnodeXStatus",
                                        "org.varlink.service.Nothing"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        ask_as(names[i], "{}", true, false);
        assert_string_equal(lab.error, "org.varlink.service.MethodNotFound");
    }
    /* Other nodes pass on methods of ours only. */
    ask_as("org.varlink.service.GetInfo", "{}", true, true);
    assert_string_equal(lab.error, "org.varlink.service.MethodNotFound");
}

static void what_is_for_administrators_is_refused_to_others(void **state _unused_)
{
    static const char *const names[] = {"Join", "Leave", "Forget"};
    char method[64];

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        snprintf(method, sizeof(method), "org.p2pnode.%s", names[i]);
        ask_as(method, "{}", false, false);
        assert_string_equal(lab.error, "org.p2pnode.NotPermitted");
        assert_non_null(strstr(lab.last, "p2pnode-admin"));
        ask_as(method, "{}", false, true);
        assert_string_equal(lab.error, "org.p2pnode.NotPermitted");
    }
}

static void a_node_that_is_no_text_is_invalid(void **state _unused_)
{
    ask_as("org.p2pnode.Status", "{\"node\":7}", false, false);
    call_lab_assert_invalid(&lab, "node");
}

/* --- Errors --- */

static void every_code_has_its_names_and_exit(void **state _unused_)
{
    for (int code = 0; code < _ERROR_CODE_MAX; code++) {
        const char *name = error_get_varlink((enum error_code)code);
        char error[64];
        assert_int_equal(error_from_varlink(name), code);
        assert_in_range(error_get_exit((enum error_code)code), 1, 124);
        assert_true(*error_get_code((enum error_code)code));
        snprintf(error, sizeof(error), "error %s", strrchr(name, '.') + 1);
        if (code != ERROR_NOT_RUNNING && code != ERROR_DEGRADED && !strstr(text, error))
            fail_msg("%s is not in " INTERFACE_FILE, name);
    }
    assert_int_equal(error_from_varlink("org.varlink.service.InvalidParameter"), ERROR_USAGE);
    assert_int_equal(error_from_varlink("org.varlink.service.MethodNotFound"), ERROR_VERSION);
    assert_int_equal(error_from_varlink("org.other.Thing"), ERROR_INTERNAL);
    assert_int_equal(error_from_varlink(""), ERROR_INTERNAL);
}

static void an_errno_becomes_the_code_that_tells_it(void **state _unused_)
{
    assert_int_equal(error_from_errno(-ENOENT), ERROR_NOT_FOUND);
    assert_int_equal(error_from_errno(-ECONNREFUSED), ERROR_UNREACHABLE);
    assert_int_equal(error_from_errno(-EHOSTUNREACH), ERROR_UNREACHABLE);
    assert_int_equal(error_from_errno(-ETIMEDOUT), ERROR_TIMEOUT);
    assert_int_equal(error_from_errno(-EDQUOT), ERROR_NO_SPACE);
    assert_int_equal(error_from_errno(-ENOBUFS), ERROR_BUSY);
    assert_int_equal(error_from_errno(-EBADMSG), ERROR_INTERNAL);
}

#define test(name) cmocka_unit_test_teardown(name, forget_answer)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(every_method_of_the_table_is_declared_and_the_other_way_round),
        test(every_declared_parameter_is_known_and_no_other),
        test(strange_parameters_are_unknown_to_every_method),
        test(the_interface_is_shown_as_it_stands_in_the_file),
        test(the_service_says_what_it_is),
        test(what_is_no_method_is_not_found),
        test(what_is_for_administrators_is_refused_to_others),
        test(a_node_that_is_no_text_is_invalid),
        test(every_code_has_its_names_and_exit),
        test(an_errno_becomes_the_code_that_tells_it),
    };
    return cmocka_run_group_tests(tests, read_interface, forget_interface);
}
