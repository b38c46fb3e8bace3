/* The file client.env: refused with a sentence, or values of one line each that are the same when
 * they are written down and read again. */
#include "support/replay.h"

#include <errno.h>
#include <string.h>

#include "main/clientenv.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/str.h"

static bool is_line(const char *s)
{
    return !s || (s[0] && !strpbrk(s, "\r\n"));
}

static void add(struct buf *b, const char *name, const char *value)
{
    if (value)
        buf_printf(b, "export %s='%s'\n", name, value);
}

static void check_again(const struct clientenv *c)
{
    CLEANUP(buf_done) struct buf b = { 0 };
    struct clientenv again = { 0 };

    add(&b, "NAIRI_API_URL", c->url);
    add(&b, "NAIRI_PUBLIC_API_KEY", c->key ? secret_text(c->key) : NULL);
    add(&b, "NAIRI_AGENT_ID", c->agent_id);
    FUZZ_CHECK(clientenv_parse(buf_str(&b), b.len, &again, NULL) == 0);
    FUZZ_CHECK(str_eq(again.url, c->url) && str_eq(again.agent_id, c->agent_id));
    FUZZ_CHECK((again.key != NULL) == (c->key != NULL));
    if (c->key)
        FUZZ_CHECK(secret_equals(again.key, secret_text(c->key), secret_len(c->key)));
    clientenv_done(&again);
}

static void check_key(const struct secret *key)
{
    struct err err = { 0 };

    if (clientenv_check_key(key, &err) < 0)
        FUZZ_CHECK(err.code == -EINVAL && err.text[0]);
    else
        for (const char *c = secret_text(key); *c; c++)
            FUZZ_CHECK(*c > ' ' && *c <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct clientenv c = { 0 };
    struct err err = { 0 };
    int r;

    FUZZ_CHECK(secret_setup() == 0);
    r = clientenv_parse((const char *)data, size, &c, &err);
    if (r < 0) {
        FUZZ_CHECK(r == -EINVAL && err.text[0] && !c.url && !c.key && !c.agent_id);
        return 0;
    }
    FUZZ_CHECK(is_line(c.url) && is_line(c.agent_id) && is_line(c.key ? secret_text(c.key) : NULL));
    if (c.key)
        check_key(c.key);
    check_again(&c);
    clientenv_done(&c);
    return 0;
}
