/* SPDX-License-Identifier: MIT */
#include "varlink/varlink.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include "base/list.h"

#define CHUNK_SIZE      ((size_t)64 * 1024)
#define WAITING_FDS_MAX ((size_t)(2 * VARLINK_FDS_MAX))

/* A descriptor that came, with the place in the stream of the last byte that came with it. */
struct waiting_fd {
    int fd;
    uint64_t offset;
};

/* One message on its way out. */
struct output {
    struct list link;
    char *text; /* owned; with its NUL */
    size_t size;
    size_t sent;
    int *fds; /* owned; closed once the first byte is out; NULL for none */
    size_t fds_count;
};

struct varlink {
    int fd;
    int failed; /* the negative errno that ended the input, or 0 */
    size_t message_max;
    char *input;
    size_t input_size;
    size_t input_allocated;
    size_t parsed;         /* bytes of input given out already */
    size_t scanned;        /* bytes of input known to hold no NUL, from parsed on */
    uint64_t input_offset; /* place of input[0] in the stream */
    struct waiting_fd waiting[WAITING_FDS_MAX];
    size_t waiting_count;
    struct list outputs;
    size_t pending;
};

void varlink_message_done(struct varlink_message *message)
{
    cJSON_Delete(message->json);
    for (size_t i = 0; i < message->fds_count; i++)
        close_fd(message->fds[i]);
    free(message->fds);
    *message = VARLINK_MESSAGE_NULL;
}

int varlink_new(int fd, struct varlink **ret)
{
    struct varlink *varlink = calloc(1, sizeof(*varlink));

    if (!varlink)
        return -ENOMEM;
    varlink->fd = fd;
    varlink->message_max = JSON_SIZE_MAX;
    list_init(&varlink->outputs);
    *ret = varlink;
    return 0;
}

void varlink_set_message_max(struct varlink *varlink, size_t size_max)
{
    varlink->message_max = size_max;
}

static void output_close_fds(struct output *output)
{
    for (size_t i = 0; i < output->fds_count; i++)
        close_fd(output->fds[i]);
    output->fds_count = 0;
}

static struct output *output_free(struct output *output)
{
    output_close_fds(output);
    free(output->fds);
    free(output->text);
    free(output);
    return NULL;
}
DEFINE_CLEANUP(struct output *, output_free)

struct varlink *varlink_free(struct varlink *varlink)
{
    if (!varlink)
        return NULL;
    list_for_each_safe (link, &varlink->outputs) {
        list_remove(link);
        output_free(list_entry(link, struct output, link));
    }
    for (size_t i = 0; i < varlink->waiting_count; i++)
        close_fd(varlink->waiting[i].fd);
    free(varlink->input);
    close_fd(varlink->fd);
    free(varlink);
    return NULL;
}

int varlink_fd(const struct varlink *varlink)
{
    return varlink->fd;
}

/* Drops what was given out and makes room for another chunk. */
static int make_room(struct varlink *varlink)
{
    if (varlink->parsed > 0) {
        varlink->input_size -= varlink->parsed;
        memmove(varlink->input, varlink->input + varlink->parsed, varlink->input_size);
        varlink->input_offset += varlink->parsed;
        varlink->parsed = 0;
    }
    if (varlink->input_allocated - varlink->input_size >= CHUNK_SIZE)
        return 0;
    size_t allocated = MAX(varlink->input_allocated * 2, varlink->input_size + CHUNK_SIZE);
    char *input = realloc(varlink->input, allocated);
    if (!input)
        return -ENOMEM;
    varlink->input = input;
    varlink->input_allocated = allocated;
    return 0;
}

/* Takes over the descriptors of @header, which came with bytes up to @offset. */
static int take_fds(struct varlink *varlink, struct msghdr *header, uint64_t offset)
{
    int r = header->msg_flags & MSG_CTRUNC ? -EPROTO : 0;

    for (struct cmsghdr *control = CMSG_FIRSTHDR(header); control;
         control = CMSG_NXTHDR(header, control)) {
        if (control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (control->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(control) + i * sizeof(int), sizeof(int));
            if (varlink->waiting_count == WAITING_FDS_MAX) {
                close_fd(fd);
                r = -EPROTO;
                continue;
            }
            varlink->waiting[varlink->waiting_count++] = (struct waiting_fd){fd, offset};
        }
    }
    return r;
}

int varlink_receive(struct varlink *varlink)
{
    union {
        char bytes[CMSG_SPACE(VARLINK_FDS_MAX * sizeof(int))];
        struct cmsghdr alignment;
    } control;
    int r;

    if (varlink->failed < 0)
        return varlink->failed;
    r = make_room(varlink);
    if (r < 0)
        return r;
    struct iovec vector = {varlink->input + varlink->input_size, CHUNK_SIZE};
    struct msghdr header = {.msg_iov = &vector,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = sizeof(control.bytes)};
    ssize_t size;
    do
        size = recvmsg(varlink->fd, &header, MSG_CMSG_CLOEXEC);
    while (size < 0 && errno == EINTR);
    if (size < 0)
        return errno == EWOULDBLOCK ? -EAGAIN : -errno;
    if (size == 0)
        return varlink->input_size > 0 ? -EBADMSG : 0;
    varlink->input_size += (size_t)size;
    r = take_fds(varlink, &header, varlink->input_offset + varlink->input_size - 1);
    if (r < 0)
        return varlink->failed = r;
    return 1;
}

/* Gives @ret the descriptors that belong to the message ending at @last; older ones belong to
 * nobody. */
static int give_fds(struct varlink *varlink, uint64_t first, uint64_t last,
                    struct varlink_message *ret)
{
    size_t kept = 0;
    int r = 0;

    if (varlink->waiting_count == 0)
        return 0;
    ret->fds = calloc(VARLINK_FDS_MAX, sizeof(*ret->fds));
    if (!ret->fds)
        return -ENOMEM;
    for (size_t i = 0; i < varlink->waiting_count; i++) {
        struct waiting_fd waiting = varlink->waiting[i];
        if (waiting.offset > last) {
            varlink->waiting[kept++] = waiting;
        } else if (waiting.offset < first) {
            close_fd(waiting.fd);
        } else if (ret->fds_count == VARLINK_FDS_MAX) {
            close_fd(waiting.fd);
            r = -EBADMSG;
        } else {
            ret->fds[ret->fds_count++] = waiting.fd;
        }
    }
    varlink->waiting_count = kept;
    return r;
}

int varlink_next(struct varlink *varlink, struct varlink_message *ret)
{
    _cleanup_varlink_message_ struct varlink_message message = VARLINK_MESSAGE_NULL;
    int r;

    if (varlink->failed < 0)
        return varlink->failed;
    if (varlink->parsed == varlink->input_size)
        return 0;
    const char *start = varlink->input + varlink->parsed;
    size_t available = varlink->input_size - varlink->parsed;
    const char *end = memchr(start + varlink->scanned, '\0', available - varlink->scanned);
    if (!end) {
        varlink->scanned = available;
        if (available > varlink->message_max)
            return varlink->failed = -EMSGSIZE;
        return 0;
    }
    size_t size = (size_t)(end - start);
    uint64_t first = varlink->input_offset + varlink->parsed;
    varlink->parsed += size + 1;
    varlink->scanned = 0;
    r = give_fds(varlink, first, first + size, &message);
    if (r >= 0)
        r = json_parse_up_to(start, size, varlink->message_max, &message.json);
    if (r == -ENOMEM)
        return r;
    if (r < 0)
        return varlink->failed = r;
    *ret = message;
    message = VARLINK_MESSAGE_NULL;
    return 1;
}

int varlink_queue(struct varlink *varlink, const cJSON *json, const int *fds, size_t fds_count)
{
    _cleanup_(output_freep) struct output *output = NULL;

    if (fds_count > VARLINK_FDS_MAX)
        return -EMSGSIZE;
    output = calloc(1, sizeof(*output));
    if (!output)
        return -ENOMEM;
    output->text = json_format(json);
    if (!output->text)
        return -ENOMEM;
    output->size = strlen(output->text) + 1;
    if (varlink->pending + output->size > VARLINK_OUTPUT_MAX)
        return -ENOBUFS;
    if (fds_count > 0)
        output->fds = calloc(fds_count, sizeof(*output->fds));
    if (fds_count > 0 && !output->fds)
        return -ENOMEM;
    for (size_t i = 0; i < fds_count; i++) {
        int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
        if (fd < 0)
            return -errno;
        output->fds[output->fds_count++] = fd;
    }
    varlink->pending += output->size;
    list_append(&varlink->outputs, &output->link);
    TAKE_PTR(output);
    return 0;
}

union rights {
    char bytes[CMSG_SPACE(VARLINK_FDS_MAX * sizeof(int))];
    struct cmsghdr alignment;
};

/* The control buffer of `header` lies in `rights`, which must live as long. */
static void add_rights(struct msghdr *header, union rights *rights, const struct output *output)
{
    size_t size = output->fds_count * sizeof(int);

    *rights = (union rights){0};
    header->msg_control = rights->bytes;
    header->msg_controllen = CMSG_SPACE(size);
    rights->alignment.cmsg_level = SOL_SOCKET;
    rights->alignment.cmsg_type = SCM_RIGHTS;
    rights->alignment.cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(&rights->alignment), output->fds, size);
}

static ssize_t send_output(struct varlink *varlink, struct output *output)
{
    struct iovec vector = {output->text + output->sent, output->size - output->sent};
    struct msghdr header = {.msg_iov = &vector, .msg_iovlen = 1};
    union rights rights;

    if (output->fds_count == 0)
        return send(varlink->fd, vector.iov_base, vector.iov_len, MSG_NOSIGNAL);
    add_rights(&header, &rights, output);
    return sendmsg(varlink->fd, &header, MSG_NOSIGNAL);
}

int varlink_flush(struct varlink *varlink)
{
    while (!list_is_empty(&varlink->outputs)) {
        struct output *output = list_first(&varlink->outputs, struct output, link);
        ssize_t size = send_output(varlink, output);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            return errno == EAGAIN ? 1 : -errno;
        output_close_fds(output);
        output->sent += (size_t)size;
        varlink->pending -= (size_t)size;
        if (output->sent == output->size) {
            list_remove(&output->link);
            output_free(output);
        }
    }
    return 0;
}

size_t varlink_pending(const struct varlink *varlink)
{
    return varlink->pending;
}

int varlink_parse_call(const cJSON *json, struct varlink_call *ret)
{
    static const char *const known[] = {"method", "parameters", "more", "oneway", "upgrade", NULL};
    struct varlink_call call = {0};
    bool upgrade = false;

    if (json_get_string(json, "method", &call.method) <= 0 ||
        json_get_object(json, "parameters", &call.parameters) < 0 ||
        json_get_bool(json, "more", &call.more) < 0 ||
        json_get_bool(json, "oneway", &call.oneway) < 0 ||
        json_get_bool(json, "upgrade", &upgrade) < 0 || json_unknown_key(json, known) || upgrade ||
        (call.more && call.oneway))
        return -EBADMSG;
    *ret = call;
    return 0;
}

int varlink_parse_reply(const cJSON *json, struct varlink_reply *ret)
{
    static const cJSON nothing = {.type = cJSON_Object};
    struct varlink_reply reply = {.parameters = &nothing};

    if (json_get_string(json, "error", &reply.error) < 0 ||
        json_get_object(json, "parameters", &reply.parameters) < 0 ||
        json_get_bool(json, "continues", &reply.continues) < 0 || (reply.error && reply.continues))
        return -EBADMSG;
    *ret = reply;
    return 0;
}

/* {"@key": @name, "parameters": @parameters}; the first only where there is a name. */
static cJSON *build(const char *key, const char *name, cJSON *parameters)
{
    _cleanup_json_ cJSON *taken = parameters ? parameters : cJSON_CreateObject();
    _cleanup_json_ cJSON *json = cJSON_CreateObject();

    if (!taken || !json)
        return NULL;
    if (key && !cJSON_AddStringToObject(json, key, name))
        return NULL;
    if (!cJSON_AddItemToObjectCS(json, "parameters", taken))
        return NULL;
    TAKE_PTR(taken);
    return TAKE_PTR(json);
}

cJSON *varlink_build_call(const char *method, cJSON *parameters, bool more)
{
    cJSON *json = build("method", method, parameters);

    if (json && more)
        json_add_bool(json, "more", true);
    return json;
}

cJSON *varlink_build_reply(cJSON *parameters, bool continues)
{
    cJSON *json = build(NULL, NULL, parameters);

    if (json && continues)
        json_add_bool(json, "continues", true);
    return json;
}

cJSON *varlink_build_error(const char *error, cJSON *parameters)
{
    return build("error", error, parameters);
}
