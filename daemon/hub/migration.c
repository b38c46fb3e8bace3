#include "hub/migration.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>

#include "hub/db.h"
#include "util/cleanup.h"
#include "util/err.h"
#include "util/mem.h"

/* "nhub": tells our files from other programs' SQLite files. */
#define APPLICATION_ID "1852339554"

/* Rows refer to each other by seq; id is what the API shows. seq of messages is never reused, it
 * orders them. messages.type is set for role user: which envelope a daemon gets. given_to is the
 * instance that has been told of an unacked message; job.holder is the instance that last took
 * the job, which leases it as long as that instance calls. Replies are born acked. size is the
 * length of the content, here so that it can be summed from an index. */
static const char *const steps[MIGRATION_VERSION] = {
    "CREATE TABLE agents ("
    "  seq INTEGER PRIMARY KEY,"
    "  id TEXT NOT NULL UNIQUE,"
    "  slug TEXT NOT NULL UNIQUE,"
    "  name TEXT,"
    "  description TEXT,"
    "  system_prompt TEXT,"
    "  instances_count INTEGER NOT NULL,"
    "  created_ms INTEGER NOT NULL,"
    "  updated_ms INTEGER NOT NULL"
    ") STRICT;"
    "CREATE TABLE keys ("
    "  seq INTEGER PRIMARY KEY,"
    "  id TEXT NOT NULL UNIQUE,"
    "  kind TEXT NOT NULL,"
    "  name TEXT NOT NULL,"
    "  agent INTEGER REFERENCES agents (seq),"
    "  lookup INTEGER NOT NULL,"
    "  hash BLOB NOT NULL,"
    "  created_ms INTEGER NOT NULL,"
    "  revoked_ms INTEGER"
    ") STRICT;"
    "CREATE INDEX keys_lookup ON keys (lookup);"
    "CREATE TABLE jobs ("
    "  seq INTEGER PRIMARY KEY,"
    "  id TEXT NOT NULL UNIQUE,"
    "  agent INTEGER NOT NULL REFERENCES agents (seq),"
    "  status TEXT NOT NULL,"
    "  mode TEXT NOT NULL,"
    "  system_prompt TEXT,"
    "  holder TEXT,"
    "  fence INTEGER NOT NULL DEFAULT 0,"
    "  cancel_seq INTEGER NOT NULL DEFAULT 0,"
    "  cancel_told INTEGER NOT NULL DEFAULT 0,"
    "  created_ms INTEGER NOT NULL,"
    "  updated_ms INTEGER NOT NULL"
    ") STRICT;"
    "CREATE INDEX jobs_cancel ON jobs (agent) WHERE cancel_seq > 0;"
    "CREATE TABLE messages ("
    "  seq INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  id TEXT NOT NULL UNIQUE,"
    "  job INTEGER NOT NULL REFERENCES jobs (seq),"
    "  agent INTEGER NOT NULL,"
    "  role TEXT NOT NULL,"
    "  status TEXT NOT NULL,"
    "  type TEXT,"
    "  content TEXT NOT NULL,"
    "  size INTEGER NOT NULL,"
    "  reply_to INTEGER,"
    "  envelope TEXT,"
    "  extra TEXT,"
    "  given_to TEXT,"
    "  acked INTEGER NOT NULL,"
    "  created_ms INTEGER NOT NULL,"
    "  updated_ms INTEGER NOT NULL"
    ") STRICT;"
    "CREATE INDEX messages_job ON messages (job, seq);"
    "CREATE INDEX messages_waiting ON messages (agent, seq)"
    "  WHERE acked = 0 AND given_to IS NULL;"
    "CREATE INDEX messages_given ON messages (agent, given_to, seq, size, acked)"
    "  WHERE acked = 0 AND given_to IS NOT NULL;"
    "CREATE INDEX messages_open ON messages (job, seq) WHERE status IN ('queued', 'pending');"
    "CREATE UNIQUE INDEX messages_envelope ON messages (agent, envelope)"
    "  WHERE envelope IS NOT NULL;"
    "CREATE INDEX messages_progress ON messages (reply_to, seq) WHERE role = 'progress';",
    /* What files came and went with which message; keys that end; progress rows that are updated in
     * place (subject: what of the turn the row is about); the orders of lists; what waits. agent of
     * attachments is who uploaded it, NULL for the organisation. */
    "CREATE TABLE attachments ("
    "  seq INTEGER PRIMARY KEY,"
    "  id TEXT NOT NULL UNIQUE,"
    "  agent INTEGER REFERENCES agents (seq),"
    "  filename TEXT NOT NULL,"
    "  size INTEGER NOT NULL,"
    "  created_ms INTEGER NOT NULL"
    ") STRICT;"
    "CREATE INDEX attachments_age ON attachments (created_ms);"
    "CREATE TABLE message_attachments ("
    "  message INTEGER NOT NULL REFERENCES messages (seq),"
    "  place INTEGER NOT NULL,"
    "  attachment INTEGER NOT NULL REFERENCES attachments (seq),"
    "  PRIMARY KEY (message, place)"
    ") STRICT, WITHOUT ROWID;"
    "CREATE INDEX message_attachments_of ON message_attachments (attachment);"
    "ALTER TABLE keys ADD COLUMN expires_ms INTEGER;"
    "ALTER TABLE messages ADD COLUMN subject TEXT;"
    "CREATE UNIQUE INDEX messages_subject ON messages (reply_to, subject)"
    "  WHERE subject IS NOT NULL;"
    "CREATE INDEX messages_queued ON messages (updated_ms) WHERE status = 'queued';"
    "CREATE INDEX jobs_created ON jobs (created_ms, seq);"
    "CREATE INDEX jobs_updated ON jobs (updated_ms, seq);"
    "CREATE INDEX jobs_agent_created ON jobs (agent, created_ms, seq);"
    "CREATE INDEX jobs_agent_updated ON jobs (agent, updated_ms, seq);",
    /* What agents are configured with. Sealed columns: cipher.h, labelled by the row's id. An
     * artifact's content is sealed where it may hold keys; attachment is the id under which daemons
     * download its file, another one after each change; for skills that file is an attachment. A
     * resource assigns an artifact or a vault to an agent. */
    "ALTER TABLE agents ADD COLUMN deleted_ms INTEGER;"
    "ALTER TABLE agents ADD COLUMN deploy_wanted INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE secrets_key (print BLOB NOT NULL) STRICT;"
    "CREATE TABLE env_vars ("
    "  seq INTEGER PRIMARY KEY,"
    "  id TEXT NOT NULL UNIQUE,"
    "  agent INTEGER NOT NULL REFERENCES agents (seq),"
    "  key TEXT NOT NULL,"
    "  sealed BLOB NOT NULL,"
    "  created_ms INTEGER NOT NULL,"
    "  updated_ms INTEGER NOT NULL,"
    "  UNIQUE (agent, key)"
    ") STRICT;"
    "CREATE TABLE artifacts ("
    "  seq INTEGER PRIMARY KEY,"
    "  id TEXT NOT NULL UNIQUE,"
    "  kind TEXT NOT NULL,"
    "  title TEXT NOT NULL,"
    "  description TEXT NOT NULL,"
    "  content TEXT,"
    "  sealed BLOB,"
    "  size INTEGER NOT NULL,"
    "  is_sensitive INTEGER NOT NULL DEFAULT 0,"
    "  attachment TEXT NOT NULL UNIQUE,"
    "  created_ms INTEGER NOT NULL,"
    "  updated_ms INTEGER NOT NULL"
    ") STRICT;"
    "CREATE INDEX artifacts_kind ON artifacts (kind, seq, size);"
    "CREATE UNIQUE INDEX artifacts_skill ON artifacts (title) WHERE kind = 'skill';"
    "CREATE TABLE vaults ("
    "  seq INTEGER PRIMARY KEY,"
    "  id TEXT NOT NULL UNIQUE,"
    "  name TEXT NOT NULL,"
    "  description TEXT,"
    "  created_ms INTEGER NOT NULL,"
    "  updated_ms INTEGER NOT NULL"
    ") STRICT;"
    "CREATE TABLE vault_secrets ("
    "  seq INTEGER PRIMARY KEY,"
    "  id TEXT NOT NULL UNIQUE,"
    "  vault INTEGER NOT NULL REFERENCES vaults (seq),"
    "  env_key TEXT NOT NULL,"
    "  sealed BLOB NOT NULL,"
    "  allowed_domains TEXT NOT NULL,"
    "  created_ms INTEGER NOT NULL,"
    "  updated_ms INTEGER NOT NULL,"
    "  UNIQUE (vault, env_key)"
    ") STRICT;"
    "CREATE TABLE resources ("
    "  seq INTEGER PRIMARY KEY,"
    "  id TEXT NOT NULL UNIQUE,"
    "  agent INTEGER NOT NULL REFERENCES agents (seq),"
    "  entity_type TEXT NOT NULL,"
    "  entity_id TEXT NOT NULL,"
    "  created_ms INTEGER NOT NULL,"
    "  UNIQUE (agent, entity_type, entity_id)"
    ") STRICT;"
    "CREATE INDEX resources_entity ON resources (entity_id);",
    /* What an agent's uploads take; how many system messages of it a conversation has. */
    ("CREATE INDEX attachments_agent ON attachments (agent, size);"
     "ALTER TABLE jobs ADD COLUMN notes INTEGER NOT NULL DEFAULT 0;"),
};

static int read_version(struct db *db, int64_t *ret_version, int64_t *ret_tables)
{
    int rc = db_get(db, ret_version, "PRAGMA user_version", "");

    if (rc <= 0)
        return rc < 0 ? rc : -EBADMSG;
    rc = db_get(db, ret_tables, "SELECT count(*) FROM sqlite_schema WHERE type = 'table'", "");
    return rc < 0 ? rc : 0;
}

static int mark(struct db *db)
{
    AUTO_FREE char *sql = mem_printf(
        "PRAGMA user_version = %d; PRAGMA application_id = " APPLICATION_ID ";", MIGRATION_VERSION);

    return db_script(db, sql);
}

static int migrate(struct db *db, const char *path, struct err *err)
{
    int64_t version = 0, tables = 0;
    int rc = read_version(db, &version, &tables);

    if (rc < 0)
        return err_set(err, rc, "read the database '%s': %s", path, db_error(db));
    if (version > MIGRATION_VERSION)
        return err_set(err, -ENOTSUP,
                       "the database '%s' has schema version %" PRId64 ", and this nairi-hub "
                       "knows versions up to %d: use the newer nairi-hub that wrote it",
                       path, version, MIGRATION_VERSION);
    if (version < 0 || (version == 0 && tables > 0))
        return err_set(err, -EBADMSG,
                       "'%s' is a database of another program: name a file of nairi-hub with --db",
                       path);
    for (int64_t v = version; v < MIGRATION_VERSION && rc >= 0; v++)
        rc = db_script(db, steps[v]);
    if (rc >= 0 && version < MIGRATION_VERSION)
        rc = mark(db);
    if (rc < 0)
        return err_set(err, rc, "prepare the database '%s': %s", path, db_error(db));
    return 0;
}

int migration_run(struct db *db, const char *path, struct err *err)
{
    int rc = db_script(db, "BEGIN IMMEDIATE");

    if (rc < 0)
        return err_set(err, rc, "lock the database '%s': %s", path, db_error(db));
    rc = migrate(db, path, err);
    if (rc < 0) {
        (void)db_script(db, "ROLLBACK"); /* SQLite may have done so already */
        return rc;
    }
    rc = db_script(db, "COMMIT");
    if (rc < 0)
        return err_set(err, rc, "write the database '%s': %s", path, db_error(db));
    return 0;
}
