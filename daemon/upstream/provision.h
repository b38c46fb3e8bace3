/* provision.h - what the control plane provides an agent with: a model's token, variables, files.
 * Pure: the answers' text in, checked values out. One bad entry is named and left out, the rest
 * counts. Source: Nairi agents API, endpoints 1 to 3; "Provisioned artifacts" for the kinds of
 * files. Of a file's "location", which the server chooses, nothing but the base name is used. */
#pragma once
#include "settings/settings.h"
#include "util/cleanup.h"
#include "util/strv.h"
#include <stddef.h>
#include <stdint.h>

struct err;

enum {
    PROVISION_ANSWER_MAX = 4 << 20, /* of token, env and artifacts */
    PROVISION_VARIABLES_MAX = 256,
    PROVISION_VALUE_MAX = 32 * 1024,
    PROVISION_VALUES_MAX = 256 * 1024, /* of all together */
    PROVISION_FILES_MAX = 200,
    PROVISION_NAME_MAX = 128,
    PROVISION_PROBLEMS_MAX = 100, /* named; more are counted in the last one */
};

/* {"token","expires_at","env_key"} */
struct provision_token {
    struct settings_pairs pair; /* one: env_key and token */
    int64_t expires_ms;         /* wall; 0: not said */
};

/* {"env_vars":[{"key","value"}]} */
struct provision_env {
    struct settings_pairs pairs; /* of a name that comes twice the last */
    struct strv problems;        /* sentences, by name and without values */
};

enum provision_kind { PROVISION_RULE, PROVISION_MCP, PROVISION_SKILL, PROVISION_KIND_COUNT };

struct provision_file {
    enum provision_kind kind;
    char *title; /* of its artifact; one line */
    char *name;  /* the base name, plain: a component of a path, with the kind's extension */
    char *attachment_id;
};

/* [{"title","description","type","files":[{"location","attachmentId"}]}] */
struct provision_files {
    struct provision_file *items;
    size_t len;
    struct strv problems;
};

/* -EBADMSG with a sentence where it isn't what it should be at all. The results then hold nothing.
 */
int provision_read_token(const char *text, size_t len, struct provision_token *ret_token,
                         struct err *err);
int provision_read_env(const char *text, size_t len, struct provision_env *ret_env,
                       struct err *err);
int provision_read_files(const char *text, size_t len, struct provision_files *ret_files,
                         struct err *err);
const char *provision_kind_name(enum provision_kind kind);
void provision_token_done(struct provision_token *t);
void provision_env_done(struct provision_env *e);
void provision_files_done(struct provision_files *f);
/* When to ask for the token anew: some time before its end, at least min_ms from now. 0: never. */
uint64_t provision_refresh_in_ms(int64_t expires_ms, int64_t now_wall_ms, uint64_t min_ms);
