/* recording.h - notes down what parsers get while the real programs run, for seeds (fuzz/record).
 * The programs of the target "recordings" are nairid and nairi-hub with these functions around
 * theirs (ld's --wrap), or in front of libc's. What they note goes into the file "recording" beside
 * the program, which must be there and as large as it may become. It is mapped at the start, so
 * that processes of each kind can write to it, however confined they are. Without it, nothing is
 * noted. A note is a struct recording_note, its name and its bytes, padded to 8 bytes; notes begin
 * at RECORDING_BEGIN, and the first 8 bytes of the file say where the next one goes. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct buf;

enum { RECORDING_BEGIN = 16, RECORDING_NAME_MAX = 32 };

struct recording_note {
    uint32_t len; /* of the bytes */
    uint32_t pid; /* as seen in its own namespace */
    uint64_t key; /* which stream or object it belongs to, 0 for none */
    char name[RECORDING_NAME_MAX];
};

void recording_put(const char *name, uint64_t key, const void *bytes, size_t len);
void recording_text(const char *name, const char *text); /* nothing for NULL */
/* A whole file, if it can be read and isn't larger than 1 MiB. */
void recording_file(const char *name, const char *path);
/* As input_number() takes it back. */
void recording_number(struct buf *b, uint64_t n, size_t size);
/* Up to the byte that ends it in the input. */
void recording_field(struct buf *b, const char *text, char end);
