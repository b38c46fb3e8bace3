/* clienthello.h - the name that a TLS client asks for, from its first message. Pure.
 * Sources: RFC 8446 s4.1.2 and s5.1, RFC 6066 s3. The handshake message may be spread over several
 * records. With an encrypted ClientHello the name is the outer one, which is all that can be seen
 * from here. */
#pragma once
#include "util/hostname.h"
#include <stddef.h>

enum { CLIENTHELLO_MAX = 32 * 1024 }; /* of all its records */

enum clienthello_verdict {
    CLIENTHELLO_MORE,    /* not all of it is there yet */
    CLIENTHELLO_NAME,    /* *ret_name is what it asks for, in its normal form */
    CLIENTHELLO_NO_NAME, /* a ClientHello without server_name */
    CLIENTHELLO_BAD,     /* no ClientHello, too long, or one that others may read in another way */
};

/* bytes: what the client sent so far, from the beginning. */
enum clienthello_verdict clienthello_read(const void *bytes, size_t len, struct hostname *ret_name);
