/* What the control plane answers about a token (first byte 0), variables (1) or files (else):
 * refused with a sentence, or within the bounds, every name fit for what it is for. */
#include "support/replay.h"

#include <stdlib.h>
#include <string.h>

#include "settings/envname.h"
#include "support/input.h"
#include "upstream/provision.h"
#include "util/err.h"
#include "util/utf8.h"

static void check_pairs(const struct settings_pairs *pairs)
{
    FUZZ_CHECK(pairs->len <= PROVISION_VARIABLES_MAX);
    for (size_t i = 0; i < pairs->len; i++) {
        FUZZ_CHECK(!envname_refusal(pairs->items[i].name));
        FUZZ_CHECK(strlen(pairs->items[i].value) <= PROVISION_VALUE_MAX);
    }
}

static void check_problems(const struct strv *problems)
{
    FUZZ_CHECK(problems->len <= PROVISION_PROBLEMS_MAX + 1);
    for (size_t i = 0; i < problems->len; i++)
        FUZZ_CHECK(utf8_is_valid(problems->items[i], strlen(problems->items[i])));
}

static void try_token(const char *text, size_t len)
{
    struct provision_token t;
    struct err err = { 0 };

    if (provision_read_token(text, len, &t, &err) < 0) {
        FUZZ_CHECK(err.text[0]);
        return;
    }
    FUZZ_CHECK(t.pair.len == 1);
    check_pairs(&t.pair);
    FUZZ_CHECK((provision_refresh_in_ms(t.expires_ms, 0, 10) == 0) == (t.expires_ms == 0));
    provision_token_done(&t);
}

static void try_env(const char *text, size_t len)
{
    struct provision_env e;
    struct err err = { 0 };

    if (provision_read_env(text, len, &e, &err) < 0) {
        FUZZ_CHECK(err.text[0]);
        return;
    }
    check_pairs(&e.pairs);
    check_problems(&e.problems);
    provision_env_done(&e);
}

static void try_files(const char *text, size_t len)
{
    struct provision_files f;
    struct err err = { 0 };

    if (provision_read_files(text, len, &f, &err) < 0) {
        FUZZ_CHECK(err.text[0]);
        return;
    }
    FUZZ_CHECK(f.len <= PROVISION_FILES_MAX);
    for (size_t i = 0; i < f.len; i++) {
        const char *name = f.items[i].name;

        FUZZ_CHECK(name[0] && name[0] != '.' && strlen(name) <= PROVISION_NAME_MAX);
        FUZZ_CHECK(!strchr(name, '/') && strchr(name, '.'));
        FUZZ_CHECK(!strchr(f.items[i].attachment_id, '/'));
    }
    check_problems(&f.problems);
    provision_files_done(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = { data, size };
    uint8_t which = input_byte(&in);
    size_t len = in.left;
    char *text = input_rest(&in);

    if (which == 0)
        try_token(text, len);
    else if (which == 1)
        try_env(text, len);
    else
        try_files(text, len);
    free(text);
    return 0;
}
