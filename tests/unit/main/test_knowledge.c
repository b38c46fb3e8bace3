#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "loop/loop.h"
#include "main/knowledge.h"
#include "support/tempdir.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/mem.h"
#include "workspace/workspace.h"

enum { MANY = 200, BIG = 1 << 20 };

struct fixture {
    char *dir, *root;
    struct loop *loop;
    struct knowledge *knowledge;
    uint64_t wanted; /* the loop ends with this one */
    uint64_t last;   /* number of the last one read */
    int result;
    struct buf bytes;
    struct err err;
};

static void on_known(uint64_t number, int result, struct buf *bytes, const struct err *err,
                     void *ctx)
{
    struct fixture *f = ctx;

    assert_true(number == f->last + 1); /* in order */
    f->last = number;
    f->result = result;
    f->err = *err;
    buf_done(&f->bytes);
    f->bytes = *bytes;
    *bytes = (struct buf){ 0 };
    if (number == f->wanted)
        loop_stop(f->loop);
}

static void make_job(const struct fixture *f, const char *job_id)
{
    AUTO_FREE char *workspace = NULL, *home = NULL;
    uid_t uid = geteuid();

    assert_int_equal(workspace_open(f->root, job_id, NULL, &uid, &workspace, &home, NULL), 0);
}

static int set_up(void **state)
{
    struct fixture *f = mem_new(struct fixture);

    f->dir = tempdir_new();
    f->root = mem_printf("%s/jobs", f->dir);
    assert_int_equal(loop_new(&f->loop, NULL), 0);
    assert_int_equal(knowledge_new(f->loop, on_known, f, &f->knowledge, NULL), 0);
    make_job(f, "j");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    knowledge_free(f->knowledge);
    loop_free(f->loop);
    tempdir_free(f->dir);
    buf_done(&f->bytes);
    free(f->root);
    free(f);
    return 0;
}

static bool keep(struct fixture *f, const char *job_id, const char *text)
{
    struct buf bytes = { 0 };

    buf_append_str(&bytes, text);
    return knowledge_write(f->knowledge, f->root, job_id, &bytes);
}

static void wait_for(struct fixture *f, uint64_t number)
{
    f->wanted = number;
    loop_run(f->loop);
}

static void what_was_written_is_read(void **state)
{
    struct fixture *f = *state;
    char text[16];

    for (uint64_t i = 1; i <= MANY; i++) {
        (void)snprintf(text, sizeof text, "%u", (unsigned)i);
        assert_true(keep(f, "j", text));
        assert_true(knowledge_read(f->knowledge, f->root, "j", i));
    }
    assert_true(knowledge_concerns(f->knowledge, "j"));
    assert_false(knowledge_concerns(f->knowledge, "k"));
    wait_for(f, MANY);
    assert_int_equal(f->result, 0);
    assert_string_equal(buf_str(&f->bytes), text);
    assert_false(knowledge_concerns(f->knowledge, "j"));
}

static void what_is_not_known_says_so(void **state)
{
    struct fixture *f = *state;

    assert_true(knowledge_read(f->knowledge, f->root, "j", 1));
    wait_for(f, 1);
    assert_int_equal(f->result, 0);
    assert_int_equal(f->bytes.len, 0); /* it begins empty */
    assert_true(knowledge_read(f->knowledge, f->root, "k", 2));
    wait_for(f, 2);
    assert_int_equal(f->result, -ENOENT);
    assert_non_null(strstr(f->err.text, "/jobs/k'"));
}

static void no_more_waits_than_there_is_room_for(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *text = mem_alloc(BIG + 1);
    uint64_t given = 0;

    memset(text, 'x', BIG);
    text[BIG] = '\0';
    while (given < MANY && keep(f, "j", text)) /* the loop doesn't run, so none is done with */
        given++;
    assert_in_range(given, 8, 63);
    assert_true(keep(f, "j", "little"));
    assert_true(knowledge_read(f->knowledge, f->root, "j", 1));
    wait_for(f, 1);
    assert_string_equal(buf_str(&f->bytes), "little");
    assert_true(keep(f, "j", text)); /* there is room again */
}

static void what_was_given_is_kept_at_the_end(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf_done) struct buf bytes = { 0 };

    assert_true(keep(f, "j", "last words"));
    knowledge_free(TAKE_PTR(f->knowledge));
    assert_int_equal(workspace_read_known(f->root, "j", BIG, &bytes, NULL), 0);
    assert_string_equal(buf_str(&bytes), "last words");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_written_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_known_says_so, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_more_waits_than_there_is_room_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_given_is_kept_at_the_end, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
