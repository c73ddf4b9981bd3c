/* SPDX-License-Identifier: MIT */

/* Control calls between nodes: answers, streams, ends of either side and of the way between. */

#include "peers_lab.h"
#include "call_lab.h"
#include "control/remote.h"

#define HELD_MAX (REMOTE_CALLS_MAX + 8)

/* What one node has for calls. */
struct office {
    struct remote *remote;
    struct lab_node *node;
    struct call *held[HELD_MAX]; /* calls of others that wait; NULL once gone */
    size_t held_count, gone_count;
    char user[CALLER_MAX]; /* of the last call */
    bool is_admin;
    char passed[32]; /* the last method that was passed on, and answered */
};

/* One call of ours and its answers. */
struct asked {
    struct remote_call *call; /* NULL after the last answer */
    unsigned answers;
    bool is_over;
    int r;
    char error[64];
    char *text; /* owned: the last parameters */
    size_t body_size;
    uint8_t first;        /* byte of the body */
    struct office *again; /* ask there once more when it fails */
};

static struct office offices[LAB_NODES];
static struct office *const one = &offices[0], *const two = &offices[1];

static void on_gone(struct call *call, void *data)
{
    struct office *office = data;

    for (size_t i = 0; i < office->held_count; i++)
        if (office->held[i] == call)
            office->held[i] = NULL;
    office->gone_count++;
}

static cJSON *new_block(size_t size)
{
    _cleanup_free_ char *text = malloc(size + 1);
    cJSON *json = cJSON_CreateObject();

    memset(text, 'x', size);
    text[size] = '\0';
    json_add_string(json, "text", text);
    return json;
}

static void dispatch(struct call *call, void *data)
{
    struct office *office = data;
    const char *name = call->method;

    assert_true(call->caller.is_remote);
    snprintf(office->user, sizeof(office->user), "%s", call->caller.user);
    office->is_admin = call->caller.is_admin;
    if (strcmp(name, "Echo") == 0) {
        cJSON *reply = cJSON_Duplicate(call->parameters, true);
        json_add_u64(reply, "size", call->body_size);
        call_reply(call, reply);
    } else if (strcmp(name, "Value") == 0) {
        call_reply_bytes(call, call_new_reply("test"), "value", "value", 5);
    } else if (strcmp(name, "Large") == 0) {
        call_reply(call, new_block(2 * JSON_SIZE_MAX));
    } else if (strcmp(name, "LargeStream") == 0) {
        call_notify(call, new_block(10));
        call_notify(call, new_block(2 * JSON_SIZE_MAX));
        call_notify(call, new_block(10));
        call_reply(call, new_block(10));
    } else if (strcmp(name, "Hold") == 0) {
        assert_true(office->held_count < HELD_MAX);
        office->held[office->held_count++] = call;
        call_on_gone(call, on_gone, office);
    } else {
        call_fail(call, ERROR_NOT_FOUND, NULL, "no \"%s\"", name);
    }
}

static void on_frame(struct lab_node *node, const struct node_id *from, cJSON *header,
                     const void *body, size_t body_size)
{
    const struct office *office = node->data;

    (void)remote_on_frame(office->remote, from, header, body, body_size);
}

static void on_lost(struct lab_node *node, const struct node_id *id, int r)
{
    const struct office *office = node->data;

    remote_on_lost(office->remote, id, r);
}

static void on_passed(const struct node_id *to, const char *method, void *data)
{
    struct office *office = data;

    assert_true(node_id_is_equal(to, &two->node->id));
    snprintf(office->passed, sizeof(office->passed), "%s", method);
}

static int start(void **state)
{
    static const char *const names[LAB_NODES] = {"lab-01", "lab-02", "lab-03"};

    (void)lab_start(state);
    for (size_t i = 0; i < LAB_NODES; i++) {
        struct office *office = &offices[i];
        *office = (struct office){.node = &nodes[i]};
        assert_int_equal(remote_new(event, nodes[i].peers, names[i], dispatch, on_passed, office,
                                    &office->remote),
                         0);
        nodes[i].data = office;
        nodes[i].on_frame = on_frame;
        nodes[i].on_lost = on_lost;
    }
    return 0;
}

static void close_office(struct office *office)
{
    office->remote = remote_free(office->remote);
    office->node->on_frame = NULL;
    office->node->on_lost = NULL;
}

static int stop(void **state)
{
    for (size_t i = 0; i < LAB_NODES; i++)
        close_office(&offices[i]);
    return lab_stop(state);
}

static void ask(struct office *from, struct office *to, const char *method, const char *parameters,
                usec_t timeout_usec, struct asked *asked);

static void on_answer(const struct remote_reply *reply, void *data)
{
    struct asked *asked = data;

    assert_false(asked->is_over);
    asked->answers++;
    asked->r = reply->r;
    if (reply->r >= 0) {
        assert_non_null(reply->parameters);
        free(asked->text);
        asked->text = json_format(reply->parameters);
        asked->body_size = reply->body_size;
        asked->first = reply->body_size > 0 ? *(const uint8_t *)reply->body : 0;
    }
    snprintf(asked->error, sizeof(asked->error), "%s", reply->error ? reply->error : "");
    if (reply->r < 0 || !reply->continues) {
        asked->is_over = true;
        asked->call = NULL;
    }
    if (reply->r < 0 && asked->again) {
        struct office *to = asked->again;
        asked->again = NULL;
        asked->is_over = false;
        ask(one, to, "Hold", "{}", USEC_INFINITY, asked);
    }
}

static int try_with(struct office *from, struct office *to, const char *method,
                    const char *parameters, const void *body, size_t body_size, usec_t timeout_usec,
                    struct asked *asked)
{
    const struct swim_member member = {.id = to->node->id, .address = to->node->address};
    const struct caller caller = {.user = "user1", .is_admin = true};
    _cleanup_json_ cJSON *json = cJSON_Parse(parameters);

    return remote_call(from->remote,
                       &(struct remote_request){.member = &member,
                                                .method = method,
                                                .parameters = json,
                                                .body = body,
                                                .body_size = body_size,
                                                .caller = &caller,
                                                .wants_more = true,
                                                .timeout_usec = timeout_usec},
                       on_answer, asked, &asked->call);
}

static void ask(struct office *from, struct office *to, const char *method, const char *parameters,
                usec_t timeout_usec, struct asked *asked)
{
    assert_int_equal(try_with(from, to, method, parameters, NULL, 0, timeout_usec, asked), 0);
}

static void cancel(struct asked *asked)
{
    if (asked->call)
        remote_cancel(asked->call);
    asked->call = NULL;
}

static void done(struct asked *asked)
{
    cancel(asked);
    free(asked->text);
    *asked = (struct asked){0};
}

/* --- Tests --- */

static void a_call_is_answered_by_the_other_node(void **state _unused_)
{
    struct asked asked = {0};

    ask(one, two, "Echo", "{\"a\":1}", USEC_INFINITY, &asked);
    assert_int_equal(asked.answers, 0);
    lab_run_until(event, asked.is_over);
    assert_int_equal(asked.r, 0);
    assert_string_equal(asked.error, "");
    assert_string_equal(asked.text, "{\"a\":1,\"size\":0}");
    assert_string_equal(two->user, "user1@lab-01");
    assert_true(two->is_admin);
    done(&asked);
    ask(one, two, "Nothing", "{}", USEC_INFINITY, &asked);
    lab_run_until(event, asked.is_over);
    assert_string_equal(asked.error, "org.p2pnode.NotFound");
    assert_non_null(strstr(asked.text, "no \\\"Nothing\\\""));
    done(&asked);
}

static void values_travel_beside_the_parameters(void **state _unused_)
{
    static uint8_t value[PEERS_BODY_MAX];
    struct asked asked = {0};

    assert_int_equal(try_with(one, two, "Echo", "{}", value, sizeof(value), USEC_INFINITY, &asked),
                     0);
    lab_run_until(event, asked.is_over);
    assert_string_equal(asked.text, "{\"size\":2097152}");
    done(&asked);
    ask(one, two, "Value", "{}", USEC_INFINITY, &asked);
    lab_run_until(event, asked.is_over);
    assert_int_equal(asked.body_size, 5);
    assert_int_equal(asked.first, 'v');
    done(&asked);
}

static void a_stream_has_many_answers_and_an_end(void **state _unused_)
{
    struct asked asked = {0};

    ask(one, two, "Hold", "{}", USEC_INFINITY, &asked);
    lab_run_until(event, two->held_count == 1);
    assert_true(two->held[0]->wants_more);
    for (unsigned i = 0; i < 100; i++)
        call_notify(two->held[0], new_block(10));
    lab_run_until(event, asked.answers == 100);
    assert_false(asked.is_over);
    call_on_gone(two->held[0], NULL, NULL);
    call_reply(two->held[0], cJSON_CreateObject());
    lab_run_until(event, asked.is_over);
    assert_int_equal(asked.answers, 101);
    assert_int_equal(two->gone_count, 0);
    done(&asked);
}

static void a_stream_to_a_node_that_is_behind_is_congested(void **state _unused_)
{
    struct asked asked = {0};

    ask(one, two, "Hold", "{}", USEC_INFINITY, &asked);
    lab_run_until(event, two->held_count == 1);
    assert_false(call_is_congested(two->held[0]));
    for (unsigned i = 0; i < 3; i++)
        call_notify(two->held[0], new_block(100000));
    assert_true(call_is_congested(two->held[0]));
    lab_run_until(event, asked.answers == 3);
    assert_false(call_is_congested(two->held[0]));
    done(&asked);
}

static void calls_both_ways_share_the_connection(void **state _unused_)
{
    struct asked there = {0}, back = {0};

    ask(one, two, "Hold", "{}", USEC_INFINITY, &there);
    lab_run_until(event, two->held_count == 1);
    ask(two, one, "Echo", "{}", USEC_INFINITY, &back);
    lab_run_until(event, back.is_over);
    assert_int_equal(peers_connections(one->node->peers), 1);
    assert_false(there.is_over);
    done(&there);
    done(&back);
}

static void an_answer_that_is_too_large_is_told(void **state _unused_)
{
    struct asked asked = {0};

    ask(one, two, "Large", "{}", USEC_INFINITY, &asked);
    lab_run_until(event, asked.is_over);
    assert_string_equal(asked.error, "org.p2pnode.TooLarge");
    done(&asked);
    ask(one, two, "LargeStream", "{}", USEC_INFINITY, &asked);
    lab_run_until(event, asked.is_over);
    assert_string_equal(asked.error, "org.p2pnode.TooLarge");
    assert_int_equal(asked.answers, 2);
    done(&asked);
    ask(one, two, "Echo", "{}", USEC_INFINITY, &asked);
    lab_run_until(event, asked.is_over);
    assert_string_equal(asked.error, "");
    done(&asked);
}

static void an_answer_that_finds_no_room_is_told(void **state _unused_)
{
    struct asked first = {0}, second = {0};

    ask(one, two, "Hold", "{}", USEC_INFINITY, &first);
    ask(one, two, "Hold", "{}", USEC_INFINITY, &second);
    lab_run_until(event, two->held_count == 2);
    for (size_t size = 0; size < PEERS_QUEUE_MAX + STREAM_WRITE_MAX; size += 1000000)
        call_notify(two->held[0], new_block(1000000));
    call_on_gone(two->held[1], NULL, NULL);
    call_reply(two->held[1], new_block(1000000));
    lab_run_until(event, first.is_over && second.is_over);
    assert_string_equal(first.error, "org.p2pnode.Busy");
    assert_string_equal(second.error, "org.p2pnode.Busy");
    done(&first);
    done(&second);
}

static void who_gives_up_is_told_to_the_method(void **state _unused_)
{
    struct asked asked = {0};

    ask(one, two, "Hold", "{}", USEC_INFINITY, &asked);
    lab_run_until(event, two->held_count == 1);
    cancel(&asked);
    lab_run_until(event, two->gone_count == 1);
    assert_int_equal(asked.answers, 0);
    done(&asked);
}

static void a_call_without_an_answer_in_time_fails_and_is_given_up(void **state _unused_)
{
    struct asked asked = {0};

    ask(one, two, "Hold", "{}", 50 * USEC_PER_MSEC, &asked);
    lab_run_until(event, asked.is_over);
    assert_int_equal(asked.r, -ETIMEDOUT);
    lab_run_until(event, two->gone_count == 1);
    done(&asked);
}

static void a_stream_that_began_in_time_may_last(void **state _unused_)
{
    struct asked asked = {0};

    ask(one, two, "Hold", "{}", 2 * USEC_PER_SEC, &asked);
    lab_run_until(event, two->held_count == 1);
    call_notify(two->held[0], new_block(10));
    lab_run_until(event, asked.answers == 1);
    lab_run_for(2100 * USEC_PER_MSEC);
    assert_false(asked.is_over);
    done(&asked);
}

static void a_node_that_cannot_be_reached_fails_its_calls(void **state _unused_)
{
    struct asked asked[3] = {0};

    lab_stop_listening(two->node);
    for (size_t i = 0; i < ARRAY_SIZE(asked); i++)
        ask(one, two, "Echo", "{}", USEC_INFINITY, &asked[i]);
    lab_run_until(event, asked[0].is_over && asked[1].is_over && asked[2].is_over);
    for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
        assert_int_equal(asked[i].r, -ECONNREFUSED);
        done(&asked[i]);
    }
}

static void a_node_that_goes_fails_calls_both_ways(void **state _unused_)
{
    struct asked there = {0}, back = {0};

    ask(one, two, "Hold", "{}", USEC_INFINITY, &there);
    ask(two, one, "Hold", "{}", USEC_INFINITY, &back);
    lab_run_until(event, two->held_count == 1 && one->held_count == 1);
    close_office(two);
    assert_int_equal(back.r, -ECANCELED);
    assert_int_equal(two->gone_count, 1);
    two->node->peers = peers_free(two->node->peers);
    lab_stop_listening(two->node);
    lab_run_until(event, there.is_over && one->gone_count == 1);
    assert_int_equal(there.r, -ECONNRESET);
    done(&there);
    done(&back);
}

static void a_call_that_is_made_when_another_fails_lives_on(void **state _unused_)
{
    struct asked asked[2] = {{.again = two}, {0}};

    ask(one, two, "Hold", "{}", USEC_INFINITY, &asked[0]);
    ask(one, two, "Hold", "{}", USEC_INFINITY, &asked[1]);
    lab_run_until(event, two->held_count == 2);
    remote_on_lost(one->remote, &two->node->id, -ENOTCONN);
    assert_int_equal(asked[0].r, -ECONNRESET);
    assert_false(asked[0].is_over);
    assert_true(asked[1].is_over);
    lab_run_until(event, two->held_count == 3);
    done(&asked[0]);
    done(&asked[1]);
}

static void calls_have_a_bound_on_both_sides(void **state _unused_)
{
    static struct asked asked[REMOTE_CALLS_MAX + 1], last;
    struct asked other = {0};

    for (size_t i = 0; i < REMOTE_CALLS_MAX; i++)
        ask(one, two, "Hold", "{}", USEC_INFINITY, &asked[i]);
    assert_int_equal(try_with(one, two, "Hold", "{}", NULL, 0, USEC_INFINITY, &last), -ENOBUFS);
    lab_run_until(event, two->held_count == REMOTE_CALLS_MAX);
    ask(&offices[2], two, "Echo", "{}", USEC_INFINITY, &other);
    lab_run_until(event, other.is_over);
    assert_string_equal(other.error, "org.p2pnode.Busy");
    done(&other);
    cancel(&asked[7]);
    lab_run_until(event, two->gone_count == 1);
    ask(&offices[2], two, "Echo", "{}", USEC_INFINITY, &other);
    lab_run_until(event, other.is_over);
    assert_string_equal(other.error, "");
    done(&other);
}

/* Frames that a node must not send. */
#define CALL(fields) "{\"op\":\"call\"," fields "}"
#define HOLD(id)     "\"id\":" id ",\"method\":\"Hold\""
#define USER(admin)  ",\"user\":\"u\",\"admin\":" admin

static void frames_that_are_none_are_answered_or_ignored(void **state _unused_)
{
    static const char *const frames[] = {
        CALL("\"id\":1"),
        CALL("\"id\":2,\"method\":7,\"parameters\":{}" USER("true")),
        CALL(HOLD("3") ",\"parameters\":[]" USER("true")),
        CALL(HOLD("4") ",\"parameters\":{},\"user\":\"a\\u0007\",\"admin\":true"),
        CALL(HOLD("5") ",\"parameters\":{}" USER("\"yes\"")),
    };
    static const char *const ignored[] = {
        "{\"op\":\"call\"}",
        CALL(HOLD("-1") ",\"parameters\":{}" USER("true")),
        "{\"op\":\"reply\",\"id\":99,\"parameters\":{}}",
        "{\"op\":\"gone\",\"id\":99}",
        "{\"op\":\"gone\"}",
    };

    for (size_t i = 0; i < ARRAY_SIZE(frames) + ARRAY_SIZE(ignored); i++) {
        _cleanup_json_ cJSON *frame =
            cJSON_Parse(i < ARRAY_SIZE(frames) ? frames[i] : ignored[i - ARRAY_SIZE(frames)]);
        assert_non_null(frame);
        assert_int_equal(
            peers_send(offices[2].node->peers, &one->node->id, &one->node->address, frame, NULL, 0),
            0);
    }
    lab_run_until(event, offices[2].node->frames == ARRAY_SIZE(frames));
    assert_int_equal(one->held_count, 0);
    assert_int_equal(one->node->losts, 0);
}

static void an_answer_of_another_node_or_a_broken_one_is_no_answer(void **state _unused_)
{
    struct asked asked = {0};
    _cleanup_json_ cJSON *frame = cJSON_Parse("{\"op\":\"reply\",\"id\":1,\"parameters\":{}}");
    _cleanup_json_ cJSON *broken = cJSON_Parse("{\"op\":\"reply\",\"id\":1,\"parameters\":7}");

    ask(one, two, "Hold", "{}", USEC_INFINITY, &asked);
    lab_run_until(event, two->held_count == 1);
    assert_true(remote_on_frame(one->remote, &nodes[2].id, frame, NULL, 0));
    assert_false(asked.is_over);
    assert_true(remote_on_frame(one->remote, &two->node->id, broken, NULL, 0));
    assert_true(asked.is_over);
    assert_int_equal(asked.r, -EBADMSG);
    assert_true(remote_on_frame(one->remote, &two->node->id, frame, NULL, 0));
    assert_false(remote_on_frame(one->remote, &two->node->id, NULL, NULL, 0));
    done(&asked);
}

/* --- What a client asks with -N --- */

static void forward(struct call_lab *lab, const char *method, const char *parameters)
{
    struct swim_member member = {
        .id = two->node->id, .name = "lab-02", .address = two->node->address};

    remote_forward(one->remote, &member, call_lab_new(lab, method, parameters, true));
}

static void a_clients_call_is_passed_on_without_its_node(void **state _unused_)
{
    struct call_lab lab;

    forward(&lab, "Echo", "{\"node\":\"lab-02\",\"a\":1}");
    assert_false(lab.is_answered);
    lab_run_until(event, lab.is_answered);
    assert_string_equal(lab.error, "");
    assert_string_equal(lab.last, "{\"a\":1,\"size\":0}");
    assert_string_equal(one->passed, "Echo");
    call_lab_done(&lab);
    forward(&lab, "Nothing", "{}");
    lab_run_until(event, lab.is_answered);
    assert_string_equal(lab.error, "org.p2pnode.NotFound");
    assert_string_equal(one->passed, "Echo");
    call_lab_done(&lab);
    forward(&lab, "Value", "{}");
    lab_run_until(event, lab.is_answered);
    assert_string_equal(lab.last, "{\"schema\":\"test\",\"value\":\"value\"}");
    call_lab_done(&lab);
}

static void a_client_that_goes_ends_the_call_there(void **state _unused_)
{
    struct call_lab lab;

    forward(&lab, "Hold", "{}");
    lab_run_until(event, two->held_count == 1);
    call_notify(two->held[0], new_block(3));
    lab_run_until(event, lab.notified == 1);
    assert_string_equal(lab.last, "{\"text\":\"xxx\"}");
    call_lab_done(&lab);
    lab_run_until(event, two->gone_count == 1);
}

static void a_client_hears_that_the_node_went(void **state _unused_)
{
    struct call_lab lab;

    forward(&lab, "Hold", "{}");
    lab_run_until(event, two->held_count == 1);
    two->node->peers = (close_office(two), peers_free(two->node->peers));
    lab_run_until(event, lab.is_answered);
    assert_string_equal(lab.error, "org.p2pnode.Unreachable");
    assert_non_null(strstr(lab.last, "cannot reach lab-02"));
    call_lab_done(&lab);
}

#define test(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(a_call_is_answered_by_the_other_node),
        test(values_travel_beside_the_parameters),
        test(a_stream_has_many_answers_and_an_end),
        test(a_stream_to_a_node_that_is_behind_is_congested),
        test(calls_both_ways_share_the_connection),
        test(an_answer_that_is_too_large_is_told),
        test(an_answer_that_finds_no_room_is_told),
        test(who_gives_up_is_told_to_the_method),
        test(a_call_without_an_answer_in_time_fails_and_is_given_up),
        test(a_stream_that_began_in_time_may_last),
        test(a_node_that_cannot_be_reached_fails_its_calls),
        test(a_node_that_goes_fails_calls_both_ways),
        test(a_call_that_is_made_when_another_fails_lives_on),
        test(calls_have_a_bound_on_both_sides),
        test(frames_that_are_none_are_answered_or_ignored),
        test(an_answer_of_another_node_or_a_broken_one_is_no_answer),
        test(a_clients_call_is_passed_on_without_its_node),
        test(a_client_that_goes_ends_the_call_there),
        test(a_client_hears_that_the_node_went),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
