/* SPDX-License-Identifier: MIT */

/*
 * What files could cost at best on this machine: a process that reads and seals, one that opens,
 * hashes and writes, and TCP on the loopback between them; nothing is negotiated, synced or kept in
 * an index.
 *
 *   limit one SOURCE TARGET         one file in records of 64 KiB, AES-256-GCM, SHA-256 on arrival
 *   limit many DIRECTORY TARGET     every file of a directory, each a record; no hash
 *
 * Prints the seconds from the first byte read to the last one written.
 */

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include "base/macro.h"

#define RECORD_MAX ((size_t)64 * 1024)
#define TAG_SIZE   16
#define NAME_SIZE  256

struct record {
    uint32_t size;
    char name[NAME_SIZE]; /* "" = the file before goes on */
};

static const uint8_t key[32] = "a key for the bench, no secret.";

static void check(bool good, const char *what)
{
    if (good)
        return;
    perror(what);
    exit(1);
}

static void send_all(int fd, const void *data, size_t size)
{
    for (const uint8_t *at = data; size > 0;) {
        ssize_t n = send(fd, at, size, 0);
        check(n > 0, "send");
        at += n;
        size -= (size_t)n;
    }
}

static bool receive_all(int fd, void *data, size_t size)
{
    for (uint8_t *at = data; size > 0;) {
        ssize_t n = recv(fd, at, size, 0);
        if (n <= 0)
            return false;
        at += n;
        size -= (size_t)n;
    }
    return true;
}

/* One record: sealed in place, sent with its head and tag. */
static void send_record(int fd, EVP_CIPHER_CTX *cipher, const char *name, const uint8_t *data,
                        size_t size)
{
    static uint8_t out[sizeof(struct record) + RECORD_MAX + TAG_SIZE];
    struct record *head = (struct record *)out;
    uint8_t nonce[12] = {0};
    static uint64_t number;
    int n = 0;

    head->size = (uint32_t)size;
    snprintf(head->name, sizeof(head->name), "%s", name);
    memcpy(nonce, &number, sizeof(number));
    number++;
    check(EVP_EncryptInit_ex(cipher, NULL, NULL, NULL, nonce) == 1 &&
              EVP_EncryptUpdate(cipher, out + sizeof(*head), &n, data, (int)size) == 1 &&
              EVP_EncryptFinal_ex(cipher, out + sizeof(*head) + n, &n) == 1 &&
              EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, TAG_SIZE,
                                  out + sizeof(*head) + size) == 1,
          "seal");
    send_all(fd, out, sizeof(*head) + size + TAG_SIZE);
}

static EVP_CIPHER_CTX *new_cipher(bool seals)
{
    EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();

    check(cipher && (seals ? EVP_EncryptInit_ex : EVP_DecryptInit_ex)(cipher, EVP_aes_256_gcm(),
                                                                      NULL, key, NULL) == 1,
          "cipher");
    return cipher;
}

static void send_file(int fd, EVP_CIPHER_CTX *cipher, const char *path, const char *name)
{
    static uint8_t data[RECORD_MAX];
    int source = open(path, O_RDONLY);
    ssize_t n;

    check(source >= 0, path);
    while ((n = read(source, data, sizeof(data))) > 0) {
        send_record(fd, cipher, name, data, (size_t)n);
        name = "";
    }
    close(source);
}

static void send_directory(int fd, EVP_CIPHER_CTX *cipher, const char *path)
{
    DIR *stream = opendir(path);
    const struct dirent *entry;
    char file[4096];

    check(stream != NULL, path);
    while ((entry = readdir(stream))) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
        send_file(fd, cipher, file, entry->d_name);
    }
    closedir(stream);
}

static void open_record(EVP_CIPHER_CTX *cipher, uint8_t *data, size_t size)
{
    static uint64_t number;
    uint8_t nonce[12] = {0};
    int n = 0;

    memcpy(nonce, &number, sizeof(number));
    number++;
    check(EVP_DecryptInit_ex(cipher, NULL, NULL, NULL, nonce) == 1 &&
              EVP_DecryptUpdate(cipher, data, &n, data, (int)size) == 1 &&
              EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_SET_TAG, TAG_SIZE, data + size) == 1 &&
              EVP_DecryptFinal_ex(cipher, data + n, &n) == 1,
          "open");
}

/* @directory NULL: one file, @path, which is hashed. */
static void receive(int fd, const char *path, const char *directory)
{
    static uint8_t data[RECORD_MAX + TAG_SIZE];
    EVP_CIPHER_CTX *cipher = new_cipher(false);
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    uint8_t sum[EVP_MAX_MD_SIZE];
    struct record head;
    char file[4096];
    int target = -1;

    check(hash && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1, "hash");
    while (receive_all(fd, &head, sizeof(head))) {
        check(head.size <= RECORD_MAX && receive_all(fd, data, head.size + TAG_SIZE), "receive");
        open_record(cipher, data, head.size);
        if (*head.name) {
            close(target);
            snprintf(file, sizeof(file), "%s/%s", directory, head.name);
            target = open(directory ? file : path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        }
        check(directory || EVP_DigestUpdate(hash, data, head.size) == 1, "hash");
        check(write(target, data, head.size) == (ssize_t)head.size, "write");
    }
    check(EVP_DigestFinal_ex(hash, sum, NULL) == 1, "hash");
    close(target);
}

static int connect_pair(int fds[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) < 0 ||
        listen(listener, 1) < 0 || getsockname(listener, (struct sockaddr *)&address, &size) < 0)
        return -1;
    fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    if (fds[0] < 0 || connect(fds[0], (struct sockaddr *)&address, size) < 0)
        return -1;
    fds[1] = accept(listener, NULL, NULL);
    close(listener);
    return fds[1] < 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
    bool many = argc == 4 && strcmp(argv[1], "many") == 0;
    struct timespec start, end;
    int fds[2], status = 1;

    if (argc != 4 || (!many && strcmp(argv[1], "one") != 0)) {
        fprintf(stderr, "limit one|many SOURCE TARGET\n");
        return 2;
    }
    check(connect_pair(fds) == 0, "connect");
    clock_gettime(CLOCK_MONOTONIC, &start);
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        receive(fds[1], argv[3], many ? argv[3] : NULL);
        return 0;
    }
    close(fds[1]);
    EVP_CIPHER_CTX *cipher = new_cipher(true);
    if (many)
        send_directory(fds[0], cipher, argv[2]);
    else
        send_file(fds[0], cipher, argv[2], "file");
    close(fds[0]);
    check(waitpid(pid, &status, 0) == pid && status == 0, "receiver");
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%.6f\n",
           (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9);
    return 0;
}
