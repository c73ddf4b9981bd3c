/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * cJSON with the care it lacks for text from outside: size and depth limits, UTF-8 checked, nothing
 * after the value, typed getters that tell "absent" from "wrong type". Objects are cJSON's own;
 * whoever holds one frees it with cJSON_Delete (or _cleanup_json_).
 */

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/macro.h"

#define JSON_SIZE_MAX        ((size_t)1024 * 1024)
#define JSON_DEPTH_MAX       32
#define JSON_VALUE_DEPTH_MAX 512 /* Python reads nearly 1,000 */

static inline void json_freep(cJSON **json)
{
    cJSON_Delete(*json);
}
#define _cleanup_json_ _cleanup_(json_freep)

/* All that @object has as an object of its own; @object is left empty. NULL without memory. */
cJSON *json_take(cJSON *object);

/* Overwrites all texts of @json, NULL or not, and frees it. */
void json_forget(cJSON *json);

static inline void json_forgetp(cJSON **json)
{
    json_forget(*json);
}
#define _cleanup_secret_json_ _cleanup_(json_forgetp)

#define json_for_each(item, array)                                                                 \
    for (cJSON *item = (array) ? (array)->child : NULL; item; item = item->next)

/**
 * json_parse() - one JSON object from hostile bytes
 *
 * Return: 0; -EMSGSIZE above JSON_SIZE_MAX; -ELOOP deeper than JSON_DEPTH_MAX; -EBADMSG for
 * anything that is not exactly one JSON object in UTF-8 without NUL characters; -ENOMEM.
 */
int json_parse(const char *text, size_t size, cJSON **ret);

/* The same with another limit than JSON_SIZE_MAX, and -EILSEQ where an escaped NUL is in it. */
int json_parse_up_to(const char *text, size_t size, size_t size_max, cJSON **ret);

/* Whether @text is exactly one JSON value of any type, as RFC 8259 has it, at most
 * JSON_VALUE_DEPTH_MAX deep: for text that is handed on as it is. json_value.c */
bool json_is_value(const char *text);

/* Compact text, to be freed by the caller; NULL without memory. */
char *json_format(const cJSON *json);

/*
 * Getters of a member of @object. Absent or null: 0, and *@ret untouched. There and fitting: 1.
 * Wrong type, or out of [min, max]: -EINVAL. Strings are borrowed from @object.
 */
int json_get_string(const cJSON *object, const char *key, const char **ret);
int json_get_bool(const cJSON *object, const char *key, bool *ret);
int json_get_u64(const cJSON *object, const char *key, uint64_t max, uint64_t *ret);
int json_get_i64(const cJSON *object, const char *key, int64_t min, int64_t max, int64_t *ret);
int json_get_array(const cJSON *object, const char *key, const cJSON **ret);
int json_get_object(const cJSON *object, const char *key, const cJSON **ret);

/* Adders; @key is kept, not copied, so it has to be a constant; @text is copied, and NULL adds
 * null. Whole numbers print exactly. Without memory they add nothing. */
void json_add_string(cJSON *object, const char *key, const char *text);
void json_add_u64(cJSON *object, const char *key, uint64_t value);
void json_add_i64(cJSON *object, const char *key, int64_t value);
void json_add_bool(cJSON *object, const char *key, bool value);
void json_add_null(cJSON *object, const char *key);

/* @value rounded to three decimals; NAN adds null. */
void json_add_double(cJSON *object, const char *key, double value);

/* A wall-clock time as RFC 3339 UTC with milliseconds; 0, and what is past the year
 * 9999, adds null. */
void json_add_time(cJSON *object, const char *key, uint64_t wall_usec);

/* Reads what json_add_time writes; fractions are optional. The first instant of 1970 is 1, as 0 is
 * no time. Return: 0, -EINVAL. */
int json_parse_time(const char *text, uint64_t *ret_wall_usec);

/* A getter as above: such a time, or a duration back from @wall_usec ("2h"). */
int json_get_since(const cJSON *object, const char *key, uint64_t wall_usec,
                   uint64_t *ret_wall_usec);

/* @size bytes as text where they are UTF-8 without NUL, else as "KEY_b64". */
void json_add_text_or_base64(cJSON *object, const char *key, const void *data, size_t size);

/*
 * The bytes of "KEY" or "KEY_b64". Return: 1 with *@ret (owned by the caller, NUL-terminated beyond
 * @ret_size), 0 where neither is there, -EINVAL, -ENOMEM.
 */
int json_get_bytes(const cJSON *object, const char *key, uint8_t **ret, size_t *ret_size);

/* Whether every member of @object is named in @known (NULL-terminated); else the first that is not.
 */
const char *json_unknown_key(const cJSON *object, const char *const *known);
