/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/macro.h"
#include "base/rest.h"

#define PAGES 4

static size_t page;

static uint8_t *map_pages(void)
{
    uint8_t *pages =
        mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(pages, MAP_FAILED);
    memset(pages, 'x', PAGES * page);
    return pages;
}

static size_t count_resident(uint8_t *pages)
{
    unsigned char states[PAGES];
    size_t count = 0;

    assert_int_equal(mincore(pages, PAGES * page, states), 0);
    for (size_t i = 0; i < PAGES; i++)
        count += states[i] & 1;
    return count;
}

static void test_only_whole_pages_are_given_back(void **state _unused_)
{
    uint8_t *pages = map_pages();

    rest_forget(pages + 1, 3 * page);
    assert_int_equal(count_resident(pages), 2);
    for (size_t i = 0; i < PAGES * page; i++)
        assert_int_equal(pages[i], i >= page && i < 3 * page ? 0 : 'x');
    assert_int_equal(munmap(pages, PAGES * page), 0);
}

static void test_less_than_a_page_stays(void **state _unused_)
{
    uint8_t *pages = map_pages();

    rest_forget(pages + 1, 2 * page - 2);
    rest_forget(pages, page - 1);
    rest_forget(pages + 3 * page - 1, 0);
    assert_int_equal(count_resident(pages), PAGES);
    for (size_t i = 0; i < PAGES * page; i++)
        assert_int_equal(pages[i], 'x');
    rest_forget(pages, page);
    assert_int_equal(count_resident(pages), PAGES - 1);
    assert_int_equal(munmap(pages, PAGES * page), 0);
}

/* What is in use keeps its contents, and what is free can be had again. */
static void test_a_heap_at_rest_can_be_used(void **state _unused_)
{
    char *kept[256];

    for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
        kept[i] = malloc(4 * i + 1);
        assert_non_null(kept[i]);
        memset(kept[i], (int)i, 4 * i + 1);
    }
    for (size_t i = 0; i < ARRAY_SIZE(kept); i += 2) {
        free(kept[i]);
        kept[i] = NULL;
    }
    rest_heap();
    rest_heap();
    for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
        for (size_t j = 0; kept[i] && j < 4 * i + 1; j++)
            assert_int_equal((unsigned char)kept[i][j], i);
        free(kept[i]);
        kept[i] = malloc(4 * i + 1);
        assert_non_null(kept[i]);
        free(kept[i]);
    }
}

/* malloc counts what a thread has at hand as used. */
static void test_what_the_thread_has_at_hand_is_given_back(void **state _unused_)
{
    void *chunks[7];

    for (size_t i = 0; i < ARRAY_SIZE(chunks); i++)
        assert_non_null(chunks[i] = malloc(1000));
    for (size_t i = 0; i < ARRAY_SIZE(chunks); i++)
        free(chunks[i]);
    size_t used = mallinfo2().uordblks;
    rest_heap();
    /* A sanitizer has a heap of its own, and counts nothing. */
    if (used > 0)
        assert_true(used - mallinfo2().uordblks >= 7 * 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_whole_pages_are_given_back),
        cmocka_unit_test(test_less_than_a_page_stays),
        cmocka_unit_test(test_a_heap_at_rest_can_be_used),
        cmocka_unit_test(test_what_the_thread_has_at_hand_is_given_back),
    };

    page = (size_t)sysconf(_SC_PAGESIZE);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
