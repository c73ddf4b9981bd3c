/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The codec: one packet is a version byte and frames, each {u8 type, u16 size, body}. Layouts are
 * in daemon/PROTOCOL.md, section 3, and here; nothing else in this folder knows an offset. Reading
 * is strict: a body is read to its last byte, every field is in its range, or the frame is refused.
 * Types from a later version are passed over.
 *
 * One flat struct stands for every type: which fields count is said beside them.
 */

#include "base/bytes.h"
#include "swim/claim.h"

#define MESSAGE_VERSION   1
#define MESSAGE_BUCKETS   64 /* of the member table, see sync.h */
#define MESSAGE_FRAME     3  /* bytes before a body */
#define MESSAGE_PAGE_SIZE 7  /* bytes of a PAGE body before its claims */

enum message_type {
    MESSAGE_PING = 1,
    MESSAGE_ACK,
    MESSAGE_ASK,     /* probe somebody for me: the papers' ping-req */
    MESSAGE_NACK,    /* got no answer (Lifeguard) */
    MESSAGE_RELAYED, /* got one */
    MESSAGE_ALIVE,
    MESSAGE_SUSPECT,
    MESSAGE_DEAD,
    MESSAGE_LEFT,
    MESSAGE_LOAD,
    MESSAGE_HEARTBEAT,
    MESSAGE_TEXT,    /* to all, passed on */
    MESSAGE_DIRECT,  /* to the receiver, or to all and sent again by its author: not passed on */
    MESSAGE_RECEIPT, /* of a text */
    MESSAGE_JOIN,
    MESSAGE_WELCOME,
    MESSAGE_ADDRESS, /* this is where I see you */
    MESSAGE_COMPARE,
    MESSAGE_VECTOR,
    MESSAGE_PULL,
    MESSAGE_PAGE,
    MESSAGE_REPORT,
    MESSAGE_REPORT_ACK,
    MESSAGE_LEAVE,
    MESSAGE_LEAVE_ACK,
    MESSAGE_HAVE, /* a digest of the texts kept */
    MESSAGE_WANT, /* the others of them */
    MESSAGE_KEPT, /* one of them, by whoever kept it */
    _MESSAGE_TYPE_MAX,
};

struct message {
    enum message_type type;
    uint32_t seq;          /* PING..RELAYED, JOIN, WELCOME, COMPARE..LEAVE_ACK */
    uint64_t wall_usec;    /* PING, HEARTBEAT, TEXT, DIRECT, KEPT, REPORT */
    uint64_t digest;       /* ACK, WELCOME, COMPARE, HAVE */
    struct swim_load load; /* ACK, LOAD */
    uint32_t load_version; /* ACK, LOAD */
    struct node_id id;     /* ASK, LOAD, HEARTBEAT, TEXT, DIRECT, KEPT, REPORT */
    /* LOAD..RECEIPT, KEPT: the generation only; REPORT, LEAVE */
    struct swim_incarnation incarnation;
    uint64_t number;                 /* HEARTBEAT, TEXT, DIRECT, RECEIPT, KEPT */
    struct address address;          /* HEARTBEAT, ADDRESS; REPORT: of the dead */
    char text[SWIM_MESSAGE_MAX + 1]; /* TEXT, DIRECT, KEPT */
    uint32_t age_msec;               /* KEPT, DIRECT to all */
    bool is_broadcast;               /* DIRECT, RECEIPT */
    uint32_t count; /* WELCOME, VECTOR: members; REPORT: of through; WANT: of buckets */
    struct node_id through[SWIM_HELPERS_MAX]; /* REPORT: who were asked to probe, too */
    uint32_t buckets[MESSAGE_BUCKETS];        /* VECTOR; WANT: hashes of the texts one has */
    uint64_t mask;                            /* PULL: wanted buckets */
    struct node_id cursor;                    /* PULL: after this member */
    bool is_last;                             /* PAGE */
    struct reader marks;                      /* PULL: u32 each, of the members one has */
    struct reader claims; /* PAGE, read side: message_read_claim until the end */
    struct claim claim;   /* ALIVE, SUSPECT, DEAD, LEFT; KEPT: the author's name */
};

/*
 * Appends one frame. What does not fit or is out of range makes the writer fail, with its position
 * where it was. Not for PAGE. Return: whether it was written.
 */
bool message_write(struct writer *writer, const struct message *message);

/* Appends the frame of a claim: ALIVE in full, the other states short. */
bool message_write_claim(struct writer *writer, const struct claim *claim);

/* The same in pieces for a page: begin, entries (in full, whatever their state) and end. */
bool message_begin_page(struct writer *writer, uint32_t seq, size_t *ret_start);
bool message_add_entry(struct writer *writer, const struct claim *claim);
void message_end_page(struct writer *writer, size_t start, bool is_last);

/* Reads and checks the version byte. */
bool message_begin(struct reader *reader);

/*
 * Reads the next frame of a known type. Return: 1; 0 at the end; -EBADMSG. @ret borrows from the
 * packet.
 */
int message_read(struct reader *reader, struct message *ret);

/* The next entry of a page. Return: 1; 0 at the end; -EBADMSG. */
int message_read_entry(struct reader *claims, struct claim *ret);
