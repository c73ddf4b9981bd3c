/* SPDX-License-Identifier: MIT */

/*
 * What a process costs that is linked to the libraries of the daemon, seals one packet as their
 * manual says, and then does nothing until its standard input ends: the measure of
 * test_footprint.py.
 */

#include <openssl/evp.h>
#include <stdio.h>
#include <unistd.h>

static int seal_one(void)
{
    unsigned char key[32] = {1}, nonce[12] = {0}, packet[64] = {0}, sealed[64], tag[16];
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int size;

    return cipher && context && EVP_EncryptInit_ex2(context, cipher, key, nonce, NULL) > 0 &&
           EVP_EncryptUpdate(context, sealed, &size, packet, sizeof(packet)) > 0 &&
           EVP_EncryptFinal_ex(context, sealed + size, &size) > 0 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, sizeof(tag), tag) > 0;
}

int main(void)
{
    char byte;

    if (!seal_one())
        return 1;
    puts("ready");
    (void)fflush(stdout);
    return read(STDIN_FILENO, &byte, 1) == 0 ? 0 : 1;
}
