/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <string.h>
#include "store/batch.h"
#include "transfer/transfers_core.h"

/* What clients here ask for. */

/* Takes over @fd, also on failure. */
static int start(struct transfers *transfers, const struct transfer_place *place, int fd,
                 const struct upload_offer *offer, const char *name,
                 const struct transfer_handler *handler, void *data, struct transfer **ret)
{
    _cleanup_close_ int owned = fd;
    _cleanup_(file_job_freep) struct file_job *job = NULL;
    struct transfer *transfer;

    if (transfers->own_count >= transfers->config.transfers_max + TRANSFERS_WAITING_MAX)
        return -EBUSY;
    job = file_job_new(transfers->config.files, &transfers->paces, fd);
    if (!job)
        return -ENOMEM;
    TAKE_FD(owned);
    job->name = strdup(name);
    job->owner = strdup(offer && offer->owner ? offer->owner : "");
    transfer = calloc(1, sizeof(*transfer));
    if (!job->name || !job->owner || !transfer) {
        free(transfer);
        return -ENOMEM;
    }
    if (offer) {
        job->is_put = true;
        job->offer = *offer;
        job->offer.is_over = &job->is_cancelled;
        job->offer.name = job->name;
        job->offer.owner = job->owner;
        atomic_store(&job->total, offer->size);
    }
    *transfer = (struct transfer){.transfers = transfers,
                                  .job = TAKE_PTR(job),
                                  .place = *place,
                                  .handler = *handler,
                                  .data = data,
                                  .is_own = true};
    list_append(&transfers->own, &transfer->link);
    transfers->own_count++;
    transfers_wake(transfers, 0);
    *ret = transfer;
    return 0;
}

int transfers_put(struct transfers *transfers, const struct transfer_place *place, int fd,
                  const struct upload_offer *offer, const struct transfer_handler *handler,
                  void *data, struct transfer **ret)
{
    return start(transfers, place, fd, offer, offer->name, handler, data, ret);
}

int transfers_put_list(struct transfers *transfers, const struct transfer_place *place, int fd,
                       const struct upload_offer *offer, struct transfer_list list,
                       const struct transfer_handler *handler, void *data, struct transfer **ret)
{
    struct upload_offer all = *offer;
    bool is_valid = list.count > 0;
    int r;

    all.size = 0;
    for (size_t i = 0; i < list.count; i++) {
        is_valid = is_valid && strlen(list.items[i].name) <= FILES_NAME_MAX &&
                   list.items[i].size <= TRANSFERS_ITEM_MAX;
        all.size += list.items[i].size;
    }
    if (is_valid) {
        r = start(transfers, place, fd, &all, "", handler, data, ret);
    } else {
        close_fd(fd);
        r = -EINVAL;
    }
    if (r < 0) {
        transfer_list_free(list.items, list.count);
        return r;
    }
    (*ret)->job->list = list.items;
    (*ret)->job->count = list.count;
    return 0;
}

int transfers_get(struct transfers *transfers, const struct transfer_place *place, const char *name,
                  int fd, const struct transfer_handler *handler, void *data, struct transfer **ret)
{
    return start(transfers, place, fd, NULL, name, handler, data, ret);
}

int transfers_get_list(struct transfers *transfers, const struct transfer_place *place, int fd,
                       struct transfer_list list, const struct transfer_handler *handler,
                       void *data, struct transfer **ret)
{
    bool is_valid = list.count > 0 && list.count <= BATCH_FILES_MAX;
    int r = -EINVAL;

    for (size_t i = 0; i < list.count; i++)
        is_valid = is_valid && strlen(list.items[i].name) <= FILES_NAME_MAX;
    if (is_valid)
        r = start(transfers, place, fd, NULL, "", handler, data, ret);
    else
        close_fd(fd);
    if (r < 0) {
        transfer_list_free(list.items, list.count);
        return r;
    }
    (*ret)->job->list = list.items;
    (*ret)->job->count = list.count;
    return 0;
}

void transfer_set_guard(struct transfer *transfer, int guard_fd)
{
    struct file_job *job = transfer->job;

    close_fd(job->guard_fd);
    job->guard_fd = guard_fd >= 0 ? fcntl(guard_fd, F_DUPFD_CLOEXEC, 3) : -EBADF;
}

int transfer_set_user(struct transfer *transfer, const char *user)
{
    transfer->user = strdup(user);
    return transfer->user ? 0 : -ENOMEM;
}

void transfer_set_rate(struct transfer *transfer, uint64_t rate)
{
    atomic_store(&transfer->job->pace.rate, rate);
}

int transfer_set_source(struct transfer *transfer, const char *name)
{
    transfer->job->stored = strdup(name);
    return transfer->job->stored ? 0 : -ENOMEM;
}

void transfer_set_resumable(struct transfer *transfer)
{
    transfer->job->offer.is_resumable = true;
}

void transfer_cancel(struct transfer *transfer)
{
    struct transfers *transfers = transfer->transfers;

    transfer->is_cancelled = true;
    if (transfer->is_on_thread) {
        file_job_cancel(transfer->job);
        return;
    }
    transfer_free(transfer);
    transfers_wake(transfers, 0);
}
