/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/text.h"
#include "store/batch.h"
#include "transfer/file_wire.h"
#include "transfer/refusal.h"

/* Over the wire and back. */
static cJSON *travel(cJSON *frame)
{
    _cleanup_free_ char *text = json_format(frame);
    cJSON *parsed = NULL;

    assert_non_null(text);
    cJSON_Delete(frame);
    assert_int_equal(json_parse(text, strlen(text), &parsed), 0);
    return parsed;
}

static void an_offer_reads_back_as_it_was(void **state _unused_)
{
    static const enum upload_overwrite overwrites[] = {UPLOAD_NEVER, UPLOAD_NEWER, UPLOAD_ALWAYS};
    static const uint64_t sizes[] = {0, 1, (uint64_t)1 << 53, FILES_SIZE_UNKNOWN};

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct upload_offer offer = {.name = "r\xc3\xa9sum\xc3\xa9 \"1\".pdf",
                                     .owner = "user1@lab-01",
                                     .size = sizes[i],
                                     .modified_wall_usec = (uint64_t)1 << (53 + i % 2),
                                     .is_executable = i % 2,
                                     .mode = i % 3 ? FILES_MODE_KNOWN | 0640 : 0,
                                     .is_hashed_later = i % 2,
                                     .overwrite = overwrites[i % 3]},
                            back;
        _cleanup_json_ cJSON *frame = travel(file_wire_put(&offer));
        assert_true(file_wire_is(frame, "put"));
        assert_int_equal(file_wire_read_put(frame, &back), 0);
        assert_string_equal(back.name, offer.name);
        assert_string_equal(back.owner, offer.owner);
        assert_int_equal(back.size, offer.size);
        assert_int_equal(back.modified_wall_usec, (uint64_t)1 << 53);
        assert_int_equal(back.is_executable, offer.is_executable);
        assert_int_equal(back.mode, offer.mode);
        assert_int_equal(back.is_hashed_later, offer.is_hashed_later);
        assert_int_equal(back.overwrite, offer.overwrite);
    }
}

static void a_file_reads_back_as_it_was(void **state _unused_)
{
    for (int has_sha256 = 0; has_sha256 < 2; has_sha256++) {
        struct files_info info = {.size = 12345, .modified_wall_usec = 67890}, back;

        memset(info.name, 'n', FILES_NAME_MAX);
        memset(info.owner, 'o', FILES_OWNER_MAX);
        info.has_sha256 = has_sha256;
        info.is_executable = !has_sha256;
        for (size_t i = 0; i < FILES_HASH_SIZE; i++)
            info.sha256[i] = has_sha256 ? (uint8_t)(i * 37) : 0;
        _cleanup_json_ cJSON *frame = travel(file_wire_info("stored", &info));
        assert_true(file_wire_is(frame, "stored"));
        assert_int_equal(file_wire_read_info(frame, &back), 0);
        assert_memory_equal(&back, &info, sizeof(info));
    }
}

static void a_hash_reads_back_as_it_was(void **state _unused_)
{
    uint8_t hash[FILES_HASH_SIZE], back[FILES_HASH_SIZE];

    for (size_t i = 0; i < sizeof(hash); i++)
        hash[i] = (uint8_t)(255 - i * 9);
    _cleanup_json_ cJSON *frame = travel(file_wire_done(hash));
    assert_int_equal(file_wire_read_done(frame, back), 1);
    assert_memory_equal(back, hash, sizeof(hash));
}

static void modes_of_many_come_along_or_are_not_known(void **state _unused_)
{
    static const char *const bad[] = {"{\"modes\":\"64475\"}", "{\"modes\":\"6447558\"}",
                                      "{\"modes\":\"644758\"}", "{\"modes\":\"644--5\"}",
                                      "{\"modes\":3}"};
    char text[2 * FILE_WIRE_MODE_SIZE + 1];
    const char *modes;

    file_wire_write_mode(text, FILES_MODE_KNOWN | 0604);
    file_wire_write_mode(text + FILE_WIRE_MODE_SIZE, 0);
    assert_string_equal(text, "604---");
    _cleanup_json_ cJSON *frame = file_wire_new("pack"), *older = file_wire_new("pack");
    json_add_string(frame, "modes", text);
    assert_int_equal(file_wire_read_modes(frame, 2, &modes), 0);
    assert_int_equal(file_wire_get_mode(modes, 0), FILES_MODE_KNOWN | 0604);
    assert_int_equal(file_wire_get_mode(modes, 1), 0);
    assert_int_equal(file_wire_read_modes(frame, 1, &modes), -EBADMSG);
    assert_int_equal(file_wire_read_modes(older, 2, &modes), 0);
    assert_int_equal(file_wire_get_mode(modes, 1), 0);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        _cleanup_json_ cJSON *json = cJSON_Parse(bad[i]);
        assert_int_equal(file_wire_read_modes(json, 2, &modes), -EBADMSG);
    }
}

static void every_refusal_keeps_its_errno_and_its_reason(void **state _unused_)
{
    static const int errors[] = {-EINVAL, -ENOENT,   -EEXIST,    -EFBIG, -EDQUOT, -ENOSPC, -EBADMSG,
                                 -ELOOP,  -EMSGSIZE, -ECANCELED, -EBUSY, -EIO,    -ESTALE};
    char reason[FILE_WIRE_REASON_MAX];

    for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
        _cleanup_json_ cJSON *frame = travel(file_wire_error(errors[i], "why"));
        assert_true(file_wire_is(frame, "error"));
        assert_int_equal(file_wire_read_error(frame, reason), errors[i]);
        assert_string_equal(reason, "why");
        assert_int_equal(file_wire_says_damaged(frame), errors[i] == -EBADMSG);
    }
    _cleanup_json_ cJSON *other = travel(file_wire_error(-EXDEV, "why"));
    assert_int_equal(file_wire_read_error(other, reason), -EIO);
}

static void only_a_refusal_that_says_so_is_of_damage(void **state _unused_)
{
    static const char *const others[] = {
        "{}",
        "{\"op\":\"error\"}",
        "{\"op\":\"error\",\"error\":\"tired\"}",
        "{\"op\":\"error\",\"error\":[\"damaged\"]}",
        "{\"op\":\"go\",\"error\":\"damaged\"}",
    };

    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        _cleanup_json_ cJSON *frame = cJSON_Parse(others[i]);
        assert_non_null(frame);
        assert_false(file_wire_says_damaged(frame));
    }
}

static void a_reason_is_cut_between_characters(void **state _unused_)
{
    char text[400] = "", reason[FILE_WIRE_REASON_MAX];

    for (size_t i = 0; i < 100; i++)
        strcat(text, "\xe2\x82\xac");
    for (size_t shift = 0; shift < 3; shift++) {
        _cleanup_json_ cJSON *frame = travel(file_wire_error(-EIO, text));
        assert_int_equal(file_wire_read_error(frame, reason), -EIO);
        assert_true(text_is_printable(reason));
        assert_true(strlen(reason) >= FILE_WIRE_REASON_MAX - 4);
        memmove(text + 1, text, strlen(text) + 1);
        text[0] = 'x';
    }
}

static int read_put(const char *text)
{
    _cleanup_json_ cJSON *frame = cJSON_Parse(text);
    struct upload_offer offer = {.size = 77};

    assert_non_null(frame);
    int r = file_wire_read_put(frame, &offer);
    assert_int_equal(r < 0, offer.size == 77);
    return r;
}

static int read_info(const char *text)
{
    _cleanup_json_ cJSON *frame = cJSON_Parse(text);
    struct files_info info = {.size = 77};

    assert_non_null(frame);
    int r = file_wire_read_info(frame, &info);
    assert_int_equal(r < 0, info.size == 77);
    return r;
}

#define PUT_REST  "\"modified_usec\":1,\"executable\":false,\"overwrite\":\"always\"}"
#define INFO_REST "\"modified_usec\":1,\"executable\":false}"

static void malformed_frames_are_refused(void **state _unused_)
{
    static const char *const puts[] = {
        "{}",
        "{\"owner\":\"o\",\"size\":1," PUT_REST,
        "{\"name\":\"n\",\"size\":1," PUT_REST,
        "{\"name\":1,\"owner\":\"o\",\"size\":1," PUT_REST,
        "{\"name\":\"n\",\"owner\":\"o\",\"size\":-1," PUT_REST,
        "{\"name\":\"n\",\"owner\":\"o\",\"size\":1.5," PUT_REST,
        "{\"name\":\"n\",\"owner\":\"o\",\"size\":9007199254740994," PUT_REST,
        "{\"name\":\"n\",\"owner\":\"o\",\"size\":\"1\"," PUT_REST,
        "{\"name\":\"n\",\"owner\":\"o\",\"size\":1,\"modified_usec\":null,\"executable\":false,"
        "\"overwrite\":\"always\"}",
        "{\"name\":\"n\",\"owner\":\"o\",\"size\":1,\"modified_usec\":1,\"executable\":0,"
        "\"overwrite\":\"always\"}",
        "{\"name\":\"n\",\"owner\":\"o\",\"size\":1,\"modified_usec\":1,\"executable\":false,"
        "\"overwrite\":\"\"}",
    };
    static const char *const infos[] = {
        "{}",
        "{\"name\":\"a/b\",\"owner\":\"o\",\"size\":1," INFO_REST,
        "{\"name\":\"..\",\"owner\":\"o\",\"size\":1," INFO_REST,
        "{\"name\":\"n\",\"size\":1," INFO_REST,
        "{\"name\":\"n\",\"owner\":\"o\"," INFO_REST,
        "{\"name\":\"n\",\"owner\":\"o\",\"size\":1,\"sha256\":\"00\"," INFO_REST,
        "{\"name\":\"n\",\"owner\":\"o\",\"size\":1,\"sha256\":7," INFO_REST,
    };
    char text[1024];

    for (size_t i = 0; i < ARRAY_SIZE(puts); i++)
        if (read_put(puts[i]) != -EBADMSG)
            fail_msg("%s was taken", puts[i]);
    for (size_t i = 0; i < ARRAY_SIZE(infos); i++)
        if (read_info(infos[i]) != -EBADMSG)
            fail_msg("%s was taken", infos[i]);
    assert_int_equal(read_put("{\"name\":\"n\",\"owner\":\"o\"," PUT_REST), 0);
    assert_int_equal(read_info("{\"name\":\"n\",\"owner\":\"\",\"size\":1," INFO_REST), 0);
    assert_int_equal(read_info("{\"name\":\"n\",\"owner\":\"\\n\",\"size\":1," INFO_REST),
                     -EBADMSG);
    snprintf(text, sizeof(text), "{\"name\":\"n\",\"owner\":\"%0128d\",\"size\":1," INFO_REST, 0);
    assert_int_equal(read_info(text), -EBADMSG);
    snprintf(text, sizeof(text), "{\"name\":\"%0256d\",\"owner\":\"o\",\"size\":1," INFO_REST, 0);
    assert_int_equal(read_info(text), -EBADMSG);
}

static void a_frame_is_what_its_op_says(void **state _unused_)
{
    _cleanup_json_ cJSON *frame = file_wire_new("go");
    _cleanup_json_ cJSON *odd = cJSON_Parse("{\"op\":7}");

    assert_true(file_wire_is(frame, "go"));
    assert_false(file_wire_is(frame, "g"));
    assert_false(file_wire_is(odd, "go"));
    assert_false(file_wire_is(NULL, "go"));
}

static void an_explanation_has_the_sizes(void **state _unused_)
{
    const struct upload_refusal refusal = {.size = 3 << 20, .limit = 2 << 20, .available = 1 << 20};
    char text[FILE_WIRE_REASON_MAX];

    assert_string_equal(refusal_explain(-EFBIG, "data.h5", &refusal, text),
                        "\"data.h5\" has 3.0 MiB, and files.file_max is 2.0 MiB");
    assert_string_equal(refusal_explain(-EDQUOT, "data.h5", &refusal, text),
                        "\"data.h5\" has 3.0 MiB, and of files.quota (2.0 MiB) 1.0 MiB are left");
    assert_string_equal(
        refusal_explain(-ENOSPC, "data.h5", &refusal, text),
        "\"data.h5\" has 3.0 MiB, and the disk has room for 1.0 MiB (files.reserve is 2.0 MiB)");
    const struct upload_refusal stream = {.size = 3 << 20, .limit = 2 << 20, .is_least = true};
    assert_string_equal(refusal_explain(-EFBIG, "data.h5", &stream, text),
                        "\"data.h5\" has at least 3.0 MiB, and files.file_max is 2.0 MiB");
    const struct upload_refusal odd = {.size = 3 << 20};
    assert_string_equal(
        refusal_explain(-EFBIG, "data.h5", &odd, text),
        "\"data.h5\" has 3.0 MiB, more than a file may have there by a limit of the process or the "
        "file system");
    assert_string_equal(refusal_explain(-ENOENT, "data.h5", &refusal, text),
                        "\"data.h5\": No such file or directory");

    /* A long name is cut, the sentence is not. */
    static const int errors[] = {-EFBIG,    -EDQUOT, -ENOSPC, -EBADMSG,
                                 -EMSGSIZE, -ESTALE, -ELOOP,  -EIO};
    char name[FILES_NAME_MAX + 1] = "";
    while (strlen(name) + 3 <= FILES_NAME_MAX)
        strcat(name, "\xe2\x82\xac");
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
        assert_true(text_is_printable(refusal_explain(errors[i], name, &refusal, text)));
        assert_true(strlen(text) < 200);
    }
}

struct taken {
    size_t count, reasons;
    uint64_t limit, available;
};

static int take(size_t i, int r, const char *reason, const struct upload_refusal *refusal,
                void *data)
{
    struct taken *taken = data;

    assert_int_equal(i, taken->count++);
    assert_int_equal(r, -ENOSPC);
    if (reason) {
        taken->reasons++;
        return 0;
    }
    assert_int_equal(refusal->limit, taken->limit);
    assert_int_equal(refusal->available, taken->available);
    return 0;
}

static void of_very_many_refusals_the_numbers_fit_into_one_answer(void **state _unused_)
{
    static const struct upload_refusal refusal = {.limit = UINT64_MAX, .available = UINT64_MAX};
    struct taken taken = {.limit = UINT64_C(1) << 53, .available = UINT64_C(1) << 53};
    char reason[FILE_WIRE_REASON_MAX];
    cJSON *frame = file_wire_packed(BATCH_FILES_MAX);

    memset(reason, '"', sizeof(reason) - 1);
    reason[sizeof(reason) - 1] = '\0';
    for (size_t i = 0; i < BATCH_FILES_MAX; i++)
        file_wire_add_result(frame, i, -ENOSPC, reason, &refusal);
    frame = travel(frame); /* json_parse() has the limit of a header */
    assert_int_equal(file_wire_read_packed(frame, BATCH_FILES_MAX, take, &taken), 0);
    assert_int_equal(taken.count, BATCH_FILES_MAX);
    assert_int_equal(taken.reasons, 512);
    cJSON_Delete(frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_offer_reads_back_as_it_was),
        cmocka_unit_test(a_file_reads_back_as_it_was),
        cmocka_unit_test(a_hash_reads_back_as_it_was),
        cmocka_unit_test(modes_of_many_come_along_or_are_not_known),
        cmocka_unit_test(every_refusal_keeps_its_errno_and_its_reason),
        cmocka_unit_test(only_a_refusal_that_says_so_is_of_damage),
        cmocka_unit_test(a_reason_is_cut_between_characters),
        cmocka_unit_test(malformed_frames_are_refused),
        cmocka_unit_test(a_frame_is_what_its_op_says),
        cmocka_unit_test(an_explanation_has_the_sizes),
        cmocka_unit_test(of_very_many_refusals_the_numbers_fit_into_one_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
