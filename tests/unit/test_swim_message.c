/* SPDX-License-Identifier: MIT */
#include "swim_net.h"

#include "swim/message.h"

/* Something in every field that the type has. */
static struct message sample(enum message_type type)
{
    struct message message = {.type = type, .seq = 0x01020304};

    message.wall_usec = NET_WALL;
    message.digest = 0x1122334455667788;
    message.load = (struct swim_load){.load_permille = 900,
                                      .running = 3,
                                      .queued = 2,
                                      .slots = 4,
                                      .cpu_percent = 255,
                                      .memory_percent = 100,
                                      .draining = true};
    message.load_version = 77;
    message.id = net_id(5);
    message.incarnation = (struct swim_incarnation){NET_GENERATION, 9};
    message.number = 12;
    message.age_msec = 1500;
    message.address = net_address(6);
    (void)snprintf(message.text, sizeof(message.text), "Hello Node2! \xc3\xa4");
    message.is_broadcast = true;
    message.count = 3;
    for (size_t i = 0; i < message.count; i++)
        message.through[i] = net_id(30 + i);
    for (uint32_t i = 0; i < MESSAGE_BUCKETS; i++)
        message.buckets[i] = i * i;
    message.mask = 0xf0f0;
    message.cursor = net_id(7);
    message.marks = reader_from("mark1234", 8);
    enum swim_state state = type == MESSAGE_SUSPECT ? SWIM_SUSPECT
                            : type == MESSAGE_DEAD  ? SWIM_DEAD
                            : type == MESSAGE_LEFT  ? SWIM_LEFT
                                                    : SWIM_ALIVE;
    message.claim = net_claim(8, 4, state);
    message.claim.is_seed = true;
    message.claim.meta = (const uint8_t *)"meta";
    message.claim.meta_size = 4;
    message.claim.load = message.load;
    message.claim.load_version = 3;
    message.claim.accusers_count = state == SWIM_SUSPECT ? 3 : state == SWIM_DEAD ? 1 : 0;
    for (size_t i = 0; i < message.claim.accusers_count; i++)
        message.claim.accusers[i] = net_id(20 + i);
    return message;
}

static size_t write_sample(enum message_type type, uint8_t data[static SWIM_PACKET_MAX])
{
    struct writer writer = writer_into(data, SWIM_PACKET_MAX);
    struct message message = sample(type);

    writer_u8(&writer, MESSAGE_VERSION);
    if (type == MESSAGE_PAGE) {
        size_t start;
        struct claim dead = net_claim(9, 1, SWIM_DEAD);
        dead.accusers[0] = net_id(3);
        dead.age_sec = 60;
        assert_true(message_begin_page(&writer, 5, &start));
        assert_true(message_add_entry(&writer, &message.claim));
        assert_true(message_add_entry(&writer, &dead));
        message_end_page(&writer, start, true);
    } else
        assert_true(message_write(&writer, &message));
    return writer.position;
}

/* The figures of PROTOCOL.md, section 3. */
static void a_probe_is_as_small_as_it_is_said_to_be(void **state)
{
    uint8_t data[SWIM_PACKET_MAX];

    (void)state;
    assert_int_equal(write_sample(MESSAGE_PING, data), 16);
    assert_int_equal(write_sample(MESSAGE_ACK, data), 31);
}

static void every_type_is_read_back_as_written(void **state)
{
    (void)state;
    for (int type = MESSAGE_PING; type < _MESSAGE_TYPE_MAX; type++) {
        uint8_t data[SWIM_PACKET_MAX], again[SWIM_PACKET_MAX];
        size_t size = write_sample((enum message_type)type, data);
        struct reader reader = reader_from(data, size);
        struct writer writer = writer_into(again, sizeof(again));
        struct message message;

        assert_true(message_begin(&reader));
        assert_int_equal(message_read(&reader, &message), 1);
        assert_int_equal(message.type, type);
        assert_int_equal(reader_left(&reader), 0);
        if (type == MESSAGE_PAGE)
            continue;
        writer_u8(&writer, MESSAGE_VERSION);
        assert_true(message_write(&writer, &message));
        assert_int_equal(writer.position, size);
        assert_memory_equal(again, data, size);
        assert_int_equal(message_read(&reader, &message), 0);
    }
}

static void a_page_is_read_entry_by_entry(void **state)
{
    uint8_t data[SWIM_PACKET_MAX];
    struct reader reader = reader_from(data, write_sample(MESSAGE_PAGE, data));
    struct message message;
    struct claim claim;

    (void)state;
    assert_true(message_begin(&reader));
    assert_int_equal(message_read(&reader, &message), 1);
    assert_true(message.is_last);
    assert_int_equal(message_read_entry(&message.claims, &claim), 1);
    assert_string_equal(claim.name, "n8");
    assert_int_equal(claim.meta_size, 4);
    assert_int_equal(claim.load_version, 3);
    assert_int_equal(message_read_entry(&message.claims, &claim), 1);
    assert_int_equal(claim.state, SWIM_DEAD);
    assert_int_equal(claim.age_sec, 60);
    assert_int_equal(message_read_entry(&message.claims, &claim), 0);
}

static void a_packet_that_is_cut_short_is_refused(void **state)
{
    (void)state;
    for (int type = MESSAGE_PING; type < _MESSAGE_TYPE_MAX; type++) {
        uint8_t data[SWIM_PACKET_MAX];
        size_t size = write_sample((enum message_type)type, data);

        for (size_t cut = 2; cut < size; cut++) {
            struct reader reader = reader_from(data, cut);
            struct message message;
            assert_true(message_begin(&reader));
            assert_int_equal(message_read(&reader, &message), -EBADMSG);
        }
    }
}

static void a_body_with_bytes_left_over_is_refused(void **state)
{
    (void)state;
    for (int type = MESSAGE_PING; type < _MESSAGE_TYPE_MAX; type++) {
        uint8_t data[SWIM_PACKET_MAX + 1];
        size_t size = write_sample((enum message_type)type, data);
        size_t body = size - 1 - MESSAGE_FRAME + 1;
        struct message message;

        data[size] = 0;
        data[2] = (uint8_t)(body >> 8);
        data[3] = (uint8_t)body;
        struct reader reader = reader_from(data, size + 1);
        assert_true(message_begin(&reader));
        assert_int_equal(message_read(&reader, &message), -EBADMSG);
    }
}

static void no_damage_of_one_byte_crashes_the_reader(void **state)
{
    (void)state;
    for (int type = MESSAGE_PING; type < _MESSAGE_TYPE_MAX; type++) {
        uint8_t data[SWIM_PACKET_MAX];
        size_t size = write_sample((enum message_type)type, data);

        for (size_t i = 0; i < size; i++)
            for (unsigned bit = 0; bit < 8; bit++) {
                struct reader reader = reader_from(data, size);
                struct message message;
                struct claim claim;

                data[i] ^= (uint8_t)(1 << bit);
                if (message_begin(&reader) && message_read(&reader, &message) > 0 &&
                    message.type == MESSAGE_PAGE)
                    while (message_read_entry(&message.claims, &claim) > 0)
                        continue;
                data[i] ^= (uint8_t)(1 << bit);
            }
    }
}

static void types_of_a_later_version_are_passed_over(void **state)
{
    uint8_t data[64];
    struct writer writer = writer_into(data, sizeof(data));
    struct message message = {.type = MESSAGE_NACK};

    (void)state;
    writer_u8(&writer, MESSAGE_VERSION);
    writer_u8(&writer, _MESSAGE_TYPE_MAX + 3);
    writer_u16(&writer, 2);
    writer_u16(&writer, 0xffff);
    message.seq = 9;
    assert_true(message_write(&writer, &message));
    struct reader reader = reader_from(data, writer.position);
    assert_true(message_begin(&reader));
    assert_int_equal(message_read(&reader, &message), 1);
    assert_int_equal(message.seq, 9);
}

static void a_report_names_at_most_sixteen_helpers(void **state)
{
    uint8_t data[SWIM_PACKET_MAX];
    struct writer writer = writer_into(data, sizeof(data));
    struct message message = sample(MESSAGE_REPORT);

    (void)state;
    for (size_t i = 0; i < SWIM_HELPERS_MAX; i++)
        message.through[i] = net_id(i + 1);
    message.count = SWIM_HELPERS_MAX + 1;
    assert_false(message_write(&writer, &message));
    message.count = SWIM_HELPERS_MAX;
    writer = writer_into(data, sizeof(data));
    writer_u8(&writer, MESSAGE_VERSION);
    assert_true(message_write(&writer, &message));
    struct reader reader = reader_from(data, writer.position);
    assert_true(message_begin(&reader));
    assert_int_equal(message_read(&reader, &message), 1);
    assert_int_equal(message.count, SWIM_HELPERS_MAX);
    /* One more: the count, the size of the frame, and an id. */
    size_t ids = SWIM_HELPERS_MAX * sizeof(struct node_id), size = writer.position + 16;
    data[writer.position - ids - 1]++;
    memcpy(data + writer.position, net_id(40).bytes, 16);
    data[2] = (uint8_t)((size - 1 - MESSAGE_FRAME) >> 8);
    data[3] = (uint8_t)(size - 1 - MESSAGE_FRAME);
    reader = reader_from(data, size);
    assert_true(message_begin(&reader));
    assert_int_equal(message_read(&reader, &message), -EBADMSG);
}

static void another_version_or_type_zero_is_refused(void **state)
{
    static const uint8_t other[] = {MESSAGE_VERSION + 1}, zero[] = {MESSAGE_VERSION, 0, 0, 0};
    struct reader reader = reader_from(other, sizeof(other));
    struct message message;

    (void)state;
    assert_false(message_begin(&reader));
    reader = reader_from(zero, sizeof(zero));
    assert_true(message_begin(&reader));
    assert_int_equal(message_read(&reader, &message), -EBADMSG);
    reader = reader_from(zero, 0);
    assert_false(message_begin(&reader));
}

/* Writes a claim in full and reads it back. Return: whether it is accepted. */
static bool is_accepted(const struct claim *claim)
{
    struct message message = {.type = MESSAGE_ALIVE, .claim = *claim};
    uint8_t data[SWIM_PACKET_MAX];
    struct writer writer = writer_into(data, sizeof(data));

    writer_u8(&writer, MESSAGE_VERSION);
    assert_true(message_write(&writer, &message));
    struct reader reader = reader_from(data, writer.position);
    assert_true(message_begin(&reader));
    return message_read(&reader, &message) == 1;
}

static void every_field_of_a_claim_is_checked(void **state)
{
    struct claim good = net_claim(3, 1, SWIM_ALIVE), bad;
    static const uint8_t meta[SWIM_META_MAX + 1];

    (void)state;
    good.meta = meta;
    good.meta_size = SWIM_META_MAX;
    assert_true(is_accepted(&good));
    bad = good;
    bad.id = NODE_ID_NULL;
    assert_false(is_accepted(&bad));
    bad = good;
    bad.name[0] = '\0';
    assert_false(is_accepted(&bad));
    bad = good;
    bad.name[1] = '\n';
    assert_false(is_accepted(&bad));
    bad = good;
    bad.address = (struct address){0};
    assert_false(is_accepted(&bad));
    bad = good;
    bad.address.port = 0;
    assert_false(is_accepted(&bad));
    bad = good;
    bad.meta_size = SWIM_META_MAX + 1;
    assert_false(is_accepted(&bad));
    bad = good;
    bad.state = SWIM_LEFT; /* ALIVE frames are about the living */
    bad.meta_size = 0;
    assert_false(is_accepted(&bad));
}

static void text_has_to_be_utf8(void **state)
{
    struct message message = sample(MESSAGE_DIRECT);
    uint8_t data[SWIM_PACKET_MAX];
    struct writer writer = writer_into(data, sizeof(data));

    (void)state;
    (void)snprintf(message.text, sizeof(message.text), "\xff\xfe");
    writer_u8(&writer, MESSAGE_VERSION);
    assert_true(message_write(&writer, &message));
    struct reader reader = reader_from(data, writer.position);
    assert_true(message_begin(&reader));
    assert_int_equal(message_read(&reader, &message), -EBADMSG);
}

static void a_frame_without_room_leaves_the_packet_as_it_was(void **state)
{
    uint8_t data[SWIM_PACKET_MAX];
    struct message message = sample(MESSAGE_ALIVE);
    struct writer measure = writer_into(data, sizeof(data));

    (void)state;
    assert_true(message_write(&measure, &message));
    for (size_t size = 0; size < measure.position; size++) {
        struct writer writer = writer_into(data, size);
        assert_false(message_write(&writer, &message));
        assert_true(writer_ok(&writer));
        assert_int_equal(writer.position, 0);
    }
}

static void liveness_packets_stay_below_forty_bytes(void **state)
{
    uint8_t data[SWIM_PACKET_MAX];

    (void)state;
    assert_true(write_sample(MESSAGE_PING, data) < 40);
    assert_true(write_sample(MESSAGE_ACK, data) < 40);
}

static void incarnations_are_ordered_by_generation_then_counter(void **state)
{
    struct swim_incarnation a = {5, 9}, b = {6, 0}, c = {6, 1};

    (void)state;
    assert_true(incarnation_compare(&a, &b) < 0);
    assert_true(incarnation_compare(&c, &b) > 0);
    assert_int_equal(incarnation_compare(&b, &b), 0);
}

static void a_step_past_32_bits_is_a_jump(void **state)
{
    struct swim_incarnation from = {5, 9}, to = {5, 9 + CLAIM_JUMP_MAX};

    (void)state;
    assert_false(incarnation_is_jump(&from, &to));
    to.counter++;
    assert_true(incarnation_is_jump(&from, &to));
    to = (struct swim_incarnation){5 + CLAIM_JUMP_MAX, 0};
    assert_false(incarnation_is_jump(&from, &to));
    to.generation++;
    assert_true(incarnation_is_jump(&from, &to));
    to = (struct swim_incarnation){6, UINT64_MAX};
    assert_true(incarnation_is_jump(&from, &to));
    to = (struct swim_incarnation){4, UINT64_MAX}; /* older: merely stale */
    assert_false(incarnation_is_jump(&from, &to));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_probe_is_as_small_as_it_is_said_to_be),
        cmocka_unit_test(every_type_is_read_back_as_written),
        cmocka_unit_test(a_page_is_read_entry_by_entry),
        cmocka_unit_test(a_packet_that_is_cut_short_is_refused),
        cmocka_unit_test(a_body_with_bytes_left_over_is_refused),
        cmocka_unit_test(no_damage_of_one_byte_crashes_the_reader),
        cmocka_unit_test(types_of_a_later_version_are_passed_over),
        cmocka_unit_test(a_report_names_at_most_sixteen_helpers),
        cmocka_unit_test(another_version_or_type_zero_is_refused),
        cmocka_unit_test(every_field_of_a_claim_is_checked),
        cmocka_unit_test(text_has_to_be_utf8),
        cmocka_unit_test(a_frame_without_room_leaves_the_packet_as_it_was),
        cmocka_unit_test(liveness_packets_stay_below_forty_bytes),
        cmocka_unit_test(incarnations_are_ordered_by_generation_then_counter),
        cmocka_unit_test(a_step_past_32_bits_is_a_jump),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
