//! The tables of a copy. Each has a row per record, and the columns that records are found by.

/// SQLite's application id: "kmsf".
pub const APPLICATION: i32 = 0x6b6d_7366;
/// Number of the schema below.
pub const SCHEMA: i32 = 3;
/// Schema 1.
pub const TABLES: &str = "
    CREATE TABLE meta (name TEXT PRIMARY KEY, row BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE generation (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL);
    CREATE TABLE slots (number INTEGER PRIMARY KEY, slot BLOB NOT NULL);
    CREATE TABLE keys (id TEXT PRIMARY KEY, account TEXT NOT NULL, due INTEGER,
        row BLOB NOT NULL) WITHOUT ROWID;
    CREATE INDEX keys_of_account ON keys (account, id);
    CREATE INDEX keys_due ON keys (due) WHERE due IS NOT NULL;
    CREATE TABLE versions (key TEXT, version INTEGER, row BLOB NOT NULL,
        PRIMARY KEY (key, version)) WITHOUT ROWID;
    CREATE TABLE aliases (account TEXT, name TEXT, key TEXT NOT NULL, row BLOB NOT NULL,
        PRIMARY KEY (account, name)) WITHOUT ROWID;
    CREATE INDEX aliases_of_key ON aliases (key);
    CREATE TABLE users (account TEXT, name TEXT, row BLOB NOT NULL,
        PRIMARY KEY (account, name)) WITHOUT ROWID;
    CREATE TABLE access_keys (id TEXT PRIMARY KEY, account TEXT NOT NULL, user TEXT NOT NULL,
        row BLOB NOT NULL) WITHOUT ROWID;
    CREATE INDEX access_keys_of_user ON access_keys (account, user);
    INSERT INTO generation VALUES (1, 1);
";
/// What schema 2 has more than schema 1.
pub const TABLES_2: &str = "
    CREATE TABLE grants (id TEXT PRIMARY KEY, key TEXT NOT NULL, retiring TEXT,
        row BLOB NOT NULL) WITHOUT ROWID;
    CREATE INDEX grants_of_key ON grants (key);
    CREATE INDEX grants_retired_by ON grants (retiring, id) WHERE retiring IS NOT NULL;
";

/// What schema 3 has more than schema 2.
pub const TABLES_3: &str = "
    CREATE TABLE key_stores (account TEXT, id TEXT, row BLOB NOT NULL,
        PRIMARY KEY (account, id)) WITHOUT ROWID;
";

/// Every table of rows, with the columns of its primary key.
pub const TABLE_KEYS: &[(&str, &str, Option<&str>)] = &[
    ("meta", "name", None),
    ("keys", "id", None),
    ("versions", "key", Some("version")),
    ("aliases", "account", Some("name")),
    ("grants", "id", None),
    ("users", "account", Some("name")),
    ("access_keys", "id", None),
    ("key_stores", "account", Some("id")),
];
