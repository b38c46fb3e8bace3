/* A text as it is printed into YAML: read again it is the same text. */
#include "support/replay.h"

#include <string.h>

#include "settings/document.h"
#include "settings/values.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/mem.h"
#include "util/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_PTR(document_free) struct document_node *root = NULL;
    CLEANUP(buf_done) struct buf b = { 0 };
    AUTO_FREE char *text = mem_dup(data, size);

    if (!utf8_is_valid(text, strlen(text)))
        return 0; /* no setting is anything else */
    buf_append_str(&b, "key: [");
    values_word(&b, text);
    buf_append_str(&b, "]\n");
    FUZZ_CHECK(document_parse("text", b.data, b.len, &root, NULL) == 0);
    FUZZ_CHECK(root && root->first && root->first->type == DOCUMENT_LIST);
    FUZZ_CHECK(root->first->first && !root->first->first->next);
    FUZZ_CHECK(root->first->first->type == DOCUMENT_TEXT);
    FUZZ_CHECK(strcmp(root->first->first->text, text) == 0);
    FUZZ_CHECK(!document_is_nothing(root->first->first));
    return 0;
}
