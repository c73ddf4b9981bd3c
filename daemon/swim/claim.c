/* SPDX-License-Identifier: MIT */
#include "swim/claim.h"

#include "swim/wire.h"

#define FLAG_SEED 1

int incarnation_compare(const struct swim_incarnation *a, const struct swim_incarnation *b)
{
    if (a->generation != b->generation)
        return a->generation < b->generation ? -1 : 1;
    return a->counter == b->counter ? 0 : a->counter < b->counter ? -1 : 1;
}

bool incarnation_is_jump(const struct swim_incarnation *from, const struct swim_incarnation *to)
{
    if (to->generation > from->generation)
        return to->generation - from->generation > CLAIM_JUMP_MAX || to->counter > CLAIM_JUMP_MAX;
    return to->generation == from->generation && to->counter > from->counter &&
           to->counter - from->counter > CLAIM_JUMP_MAX;
}

void claim_write(struct writer *writer, const struct claim *claim)
{
    wire_write_id(writer, &claim->id);
    wire_write_incarnation(writer, &claim->incarnation);
    writer_u8(writer, (uint8_t)claim->state);
    writer_u8(writer, claim->is_seed ? FLAG_SEED : 0);
    address_write(&claim->address, writer);
    writer_string8(writer, claim->name);
    if (state_is_live(claim->state)) {
        wire_write_load(writer, claim->load_version, &claim->load);
        writer_u16(writer, (uint16_t)claim->meta_size);
        writer_bytes(writer, claim->meta, claim->meta_size);
    } else
        writer_u32(writer, claim->age_sec);
    if (claim->state == SWIM_SUSPECT || claim->state == SWIM_DEAD)
        wire_write_id(writer, &claim->accusers[0]);
}

void claim_read(struct reader *reader, struct claim *ret)
{
    *ret = (struct claim){.id = wire_read_member_id(reader)};
    ret->incarnation = wire_read_incarnation(reader);
    uint8_t state = reader_u8(reader);
    if (state >= _SWIM_STATE_MAX) {
        reader->failed = true;
        return;
    }
    ret->state = (enum swim_state)state;
    ret->is_seed = wire_read_flags(reader, FLAG_SEED) != 0;
    ret->address = address_read(reader);
    reader_string8(reader, ret->name, sizeof(ret->name));
    if (state_is_live(ret->state)) {
        wire_read_load(reader, &ret->load_version, &ret->load);
        ret->meta_size = reader_u16(reader);
        ret->meta = reader_bytes(reader, ret->meta_size);
    } else
        ret->age_sec = reader_u32(reader);
    if (ret->state == SWIM_SUSPECT || ret->state == SWIM_DEAD) {
        ret->accusers[0] = wire_read_member_id(reader);
        ret->accusers_count = 1;
    }
    if (ret->address.family == 0 || ret->address.port == 0 || ret->meta_size > SWIM_META_MAX ||
        !text_is_node_name(ret->name))
        reader->failed = true;
}

void claim_write_short(struct writer *writer, const struct claim *claim)
{
    wire_write_id(writer, &claim->id);
    wire_write_incarnation(writer, &claim->incarnation);
    if (claim->state == SWIM_SUSPECT)
        writer_u8(writer, (uint8_t)claim->accusers_count);
    for (size_t i = 0; i < claim->accusers_count && claim->state != SWIM_LEFT; i++)
        wire_write_id(writer, &claim->accusers[i]);
}

void claim_read_short(struct reader *reader, enum swim_state state, struct claim *ret)
{
    *ret = (struct claim){.id = wire_read_member_id(reader), .state = state};
    ret->incarnation = wire_read_incarnation(reader);
    size_t count = state == SWIM_SUSPECT ? reader_u8(reader) : state == SWIM_DEAD ? 1 : 0;
    if (count > CLAIM_ACCUSERS || (count == 0 && state == SWIM_SUSPECT)) {
        reader->failed = true;
        return;
    }
    for (; ret->accusers_count < count; ret->accusers_count++)
        ret->accusers[ret->accusers_count] = wire_read_member_id(reader);
}
