/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <malloc.h>
#include <pthread.h>
#include <string.h>
#include "base/json.h"
#include "base/json_pool.h"

#define COUNT 100 /* more than malloc itself keeps at hand */

/* A sanitizer's malloc gives what was asked for, and the pool is to leave all to that. */
static bool is_pooled(void)
{
    _cleanup_free_ void *memory = malloc(1);

    return malloc_usable_size(memory) > 1;
}

static void make(cJSON *items[static COUNT])
{
    for (size_t i = 0; i < COUNT; i++) {
        items[i] = cJSON_CreateString("short");
        assert_non_null(items[i]);
        assert_string_equal(items[i]->valuestring, "short");
    }
}

static void drop(cJSON *items[static COUNT])
{
    for (size_t i = 0; i < COUNT; i++)
        cJSON_Delete(items[i]);
}

static void what_was_dropped_last_is_taken_first(void **state _unused_)
{
    cJSON *first[COUNT], *second[COUNT];

    make(first);
    drop(first);
    make(second);
    for (size_t i = 0; is_pooled() && i < COUNT; i++)
        assert_ptr_equal(second[i], first[COUNT - 1 - i]);
    drop(second);
}

static size_t used(void)
{
    return mallinfo2().uordblks;
}

static void no_more_is_kept_than_a_message_has(void **state _unused_)
{
    json_pool_rest();
    const size_t before = used();
    _cleanup_json_ cJSON *list = cJSON_CreateArray();

    for (size_t i = 0; i < 100 * COUNT; i++)
        cJSON_AddItemToArray(list, cJSON_CreateNumber(1));
    cJSON_Delete(TAKE_PTR(list));
    assert_true(used() - before <= 300 * sizeof(cJSON) * 2);
    json_pool_rest();
    assert_true(used() - before <= COUNT * sizeof(cJSON) / 2);
}

static void texts_are_for_free_to_take(void **state _unused_)
{
    _cleanup_json_ cJSON *json = NULL;
    const char *text = "{\"a\":\"b\",\"list\":[1,2.5,null]}";

    assert_int_equal(json_parse(text, strlen(text), &json), 0);
    char *again = json_format(json);
    assert_string_equal(again, text);
    free(again);
    again = cJSON_PrintUnformatted(json);
    assert_string_equal(again, text);
    free(again);
}

static void long_texts_are_written_whole(void **state _unused_)
{
    for (size_t size = 2000; size < 2100; size++) {
        _cleanup_json_ cJSON *json = cJSON_CreateObject();
        _cleanup_free_ char *value = calloc(1, size + 1), *text = NULL;
        assert_non_null(value);
        memset(value, 'x', size);
        json_add_string(json, "a", value);
        text = json_format(json);
        assert_non_null(text);
        assert_int_equal(strlen(text), size + strlen("{\"a\":\"\"}"));
        assert_memory_equal(text + strlen("{\"a\":\""), value, size);
    }
}

static void *drop_here(void *data)
{
    drop(data);
    make(data);
    return NULL;
}

static void threads_have_malloc_alone(void **state _unused_)
{
    cJSON *items[COUNT];
    pthread_t thread;

    make(items);
    assert_int_equal(pthread_create(&thread, NULL, drop_here, items), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    drop(items);
}

static int start(void **state _unused_)
{
    json_pool_start();
    return 0;
}

static int stop(void **state _unused_)
{
    json_pool_rest();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_dropped_last_is_taken_first),
        cmocka_unit_test(no_more_is_kept_than_a_message_has),
        cmocka_unit_test(texts_are_for_free_to_take),
        cmocka_unit_test(long_texts_are_written_whole),
        cmocka_unit_test(threads_have_malloc_alone),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
