/* SPDX-License-Identifier: MIT */
#include "cluster/key.h"

#include <string.h>
#include "base/macro.h"

#define BACKSPACE     '\b'
#define DELETE        0x7f
#define SEQUENCE_SIZE 3 /* of most that are not known: ESC [ letter */

static const struct {
    const char *sequence;
    char key;
} sequences[] = {
    {"\033[A", 'k'}, {"\033[B", 'j'},   {"\033OA", 'k'},  {"\033OB", 'j'},
    {"\033OQ", 'F'}, {"\033[12~", 'F'}, {"\033[[B", 'F'},
};

char key_next(const char **pressed, size_t *size, bool *ret_is_sequence)
{
    const char *at = *pressed;
    bool is_sequence = *at == KEY_ESCAPE && *size > 1;
    size_t length = is_sequence ? MIN(*size, (size_t)SEQUENCE_SIZE) : 1;
    char key = is_sequence ? '\0' : *at;

    for (size_t i = 0; is_sequence && i < ARRAY_SIZE(sequences); i++) {
        size_t whole = strlen(sequences[i].sequence);
        if (whole <= *size && memcmp(at, sequences[i].sequence, whole) == 0) {
            key = sequences[i].key;
            length = whole;
        }
    }
    *pressed += length;
    *size -= length;
    *ret_is_sequence = is_sequence;
    return key;
}

void key_edit(char *text, size_t size, char key)
{
    size_t used = strlen(text);

    if (key == BACKSPACE || key == DELETE) {
        /* All bytes of a character. */
        while (used > 0 && ((unsigned char)text[used - 1] & 0xc0) == 0x80)
            used--;
        text[used > 0 ? used - 1 : 0] = '\0';
    } else if (key == KEY_CONTROL('U')) {
        text[0] = '\0';
    } else if ((unsigned char)key >= ' ' && used + 1 < size) {
        text[used] = key;
        text[used + 1] = '\0';
    }
}
