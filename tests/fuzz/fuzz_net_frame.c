/* SPDX-License-Identifier: MIT */

/*
 * Bytes of a connection into the parser of frames, in pieces whose sizes the first byte chooses.
 * What comes out must be the same as from one piece, and what was taken must be a frame again when
 * it is formatted.
 */

#include <assert.h>
#include <string.h>
#include "net/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    size_t headers, body_size, lasts;
    int result; /* of the last call */
};

/* Reads @data in steps of @step bytes. */
static struct outcome parse(const uint8_t *data, size_t size, size_t step)
{
    struct frame_parser parser = FRAME_PARSER_NULL;
    struct outcome outcome = {0};
    size_t start = 0;

    for (size_t end = MIN(step, size);; end = MIN(end + step, size)) {
        struct frame_piece piece;
        while ((outcome.result = frame_parser_next(&parser, data + start, end - start, &piece)) ==
               1) {
            assert(piece.used > 0 && piece.used <= end - start);
            assert(!piece.header || piece.is_last == (piece.body_size == 0));
            assert(piece.header || (piece.data == data + start && piece.size == piece.used));
            start += piece.used;
            outcome.headers += piece.header != NULL;
            outcome.body_size += piece.size;
            outcome.lasts += piece.is_last;
            if (piece.header) {
                uint8_t *again = NULL;
                size_t again_size;
                int r = frame_format(piece.header, piece.body_size, &again, &again_size);
                assert(r == 0 || r == -EMSGSIZE);
                free(again);
            }
            cJSON_Delete(piece.header);
        }
        if (outcome.result < 0 || end == size)
            return outcome;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outcome whole, pieces;

    if (size < 1)
        return 0;
    whole = parse(data + 1, size - 1, size);
    pieces = parse(data + 1, size - 1, (size_t)data[0] + 1);
    assert(whole.result == pieces.result && whole.headers == pieces.headers);
    assert(whole.body_size == pieces.body_size && whole.lasts == pieces.lasts);
    return 0;
}
