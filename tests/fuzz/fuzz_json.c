/* Any bytes as JSON: refused with a sentence, or a tree that can be walked, and that printed and
 * parsed again is the same. */
#include "support/replay.h"

#include <errno.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/err.h"
#include "util/json.h"
#include "util/utf8.h"

static void walk(const struct json *node, int depth)
{
    const char *text = json_str(node), *key = json_key(node);
    size_t count = 0;

    FUZZ_CHECK(depth <= JSON_DEPTH_MAX);
    FUZZ_CHECK((text != NULL) == json_is_string(node));
    FUZZ_CHECK(text == NULL || utf8_is_valid(text, strlen(text)));
    FUZZ_CHECK(key == NULL || utf8_is_valid(key, strlen(key)));
    for (const struct json *c = json_first(node); c != NULL; c = json_next(c), count++) {
        int64_t n = 0;
        uint64_t u = 0;
        bool b = false;

        if (json_is_object(node)) {
            FUZZ_CHECK(json_get(node, json_key(c)) != NULL);
            if (json_get_i64(node, json_key(c), &n) == 0)
                FUZZ_CHECK((json_get_u64(node, json_key(c), &u) == 0) == (n >= 0));
            (void)json_get_bool(node, json_key(c), &b);
            (void)json_get_str(node, json_key(c));
        }
        walk(c, depth + 1);
    }
    FUZZ_CHECK(json_len(node) == count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_PTR(json_free) struct json *root = NULL, *again = NULL, *copy = NULL;
    AUTO_FREE char *once = NULL, *twice = NULL, *copied = NULL, *pretty = NULL;
    struct err err = { 0 };
    int r = json_parse((const char *)data, size, &root, &err);

    if (r < 0) {
        FUZZ_CHECK(r == -EBADMSG && root == NULL && err.text[0] != '\0');
        return 0;
    }
    walk(root, 0);
    once = json_print(root);
    FUZZ_CHECK(json_parse(once, strlen(once), &again, NULL) == 0);
    twice = json_print(again);
    FUZZ_CHECK(strcmp(once, twice) == 0);
    copy = json_copy(root);
    copied = json_print(copy);
    FUZZ_CHECK(strcmp(once, copied) == 0);
    json_free(TAKE_PTR(again));
    pretty = json_print_pretty(root);
    FUZZ_CHECK(json_parse(pretty, strlen(pretty), &again, NULL) == 0);
    return 0;
}
