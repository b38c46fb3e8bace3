/* A whole file as the hub's database: refused with a sentence, or one on which every question that
 * changes nothing, and a poll, ends with an answer in JSON or a failure of the database. */
#include "support/replay.h"

#include <fcntl.h>
#include <string.h>

#include "hub/agent.h"
#include "hub/call.h"
#include "hub/conversation.h"
#include "hub/db.h"
#include "hub/home.h"
#include "hub/inbox.h"
#include "hub/lease.h"
#include "hub/lookout.h"
#include "hub/message.h"
#include "support/tempdir.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/fd.h"
#include "util/json.h"
#include "util/log.h"
#include "util/mem.h"
#include "util/secret.h"
#include "util/utf8.h"

static char *fuzz_dir;

static void remove_dir(void)
{
    tempdir_free(fuzz_dir);
}

static char *put_file(const uint8_t *data, size_t size)
{
    static const char *const beside[] = { "-wal", "-shm", "-journal", ".lock" };
    AUTO_CLOSE int fd = -1;
    char *path;

    if (!fuzz_dir) {
        FUZZ_CHECK(secret_setup() == 0);
        fuzz_dir = tempdir_new();
        log_setup(LOG_ERROR, LOG_FORMAT_TEXT, NULL);
        (void)atexit(remove_dir);
    }
    path = mem_printf("%s/hub.db", fuzz_dir);
    for (size_t i = 0; i < ARRAY_SIZE(beside); i++) {
        AUTO_FREE char *other = mem_printf("%s%s", path, beside[i]);

        (void)unlink(other); /* of the input before */
    }
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FUZZ_CHECK(fd >= 0 && fd_write_all(fd, data, size) == 0);
    return path;
}

static void ask(int (*handler)(struct call *, struct model *), struct model *m, const char *target)
{
    CLEANUP_PTR(json_free) struct json *root = NULL;
    struct call *c = call_new();
    int r;

    c->target = mem_strdup(target);
    c->agent = (struct call_agent){ 1, mem_strdup("tester") };
    c->instance = mem_strdup("fuzzer");
    FUZZ_CHECK(db_script(m->db, "BEGIN") == 0);
    r = handler(c, m);
    (void)db_script(m->db, "ROLLBACK"); /* SQLite may have done it */
    if (r == 0 && !c->park) {
        FUZZ_CHECK(c->reply && json_parse(c->reply, strlen(c->reply), &root, NULL) == 0);
        FUZZ_CHECK(c->status >= 200 && c->status < 500);
    }
    call_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_FREE char *path = put_file(data, size);
    struct model m = { .wall_ms = INT64_C(1780000000000), .now_ms = 1000000 };
    struct err err = { 0 };
    int r = home_open(path, &m.db, &err);

    if (r < 0) {
        FUZZ_CHECK(r == err.code && err.text[0] && utf8_is_valid(err.text, strlen(err.text)));
        return 0;
    }
    m.leases = lease_table_new(m.now_ms);
    m.lookout = lookout_new();
    if (conversation_recover(m.db) == 0) {
        ask(agent_list, &m, NULL);
        ask(agent_get, &m, "tester");
        ask(message_list, &m, "job_01KYKAHWWDP3CF3XN5MX9TM2MK");
        ask(message_get, &m, "cmsg_01KYKAHWWDP3CF3XN5MX9TM2MK");
        ask(inbox_poll, &m, NULL);
    }
    db_close(m.db);
    lease_table_free(m.leases);
    lookout_free(m.lookout);
    return 0;
}
