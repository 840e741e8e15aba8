//! redb: a copy-on-write B-tree in Rust.

use crate::{Engine, Key, Value, handed_bytes};
use redb::{Database, ReadableDatabase, TableDefinition};
use std::path::{Path, PathBuf};

const TABLE: TableDefinition<'_, Key, Value> = TableDefinition::new("b");

pub(crate) struct Redb {
    path: PathBuf,
    database: Option<Database>,
}

impl Redb {
    pub(crate) fn new(directory: &Path) -> Redb {
        let mut redb = Redb {
            path: directory.join("redb"),
            database: None,
        };
        redb.open_again();
        redb
    }

    fn database(&self) -> &Database {
        self.database.as_ref().expect("it is open")
    }
}

impl Engine for Redb {
    fn commit(&mut self, puts: &[(Key, Value)]) {
        let transaction = self.database().begin_write().expect("a transaction");
        {
            let mut table = transaction.open_table(TABLE).expect("a table");
            for (key, value) in puts {
                table.insert(key, value).expect("room");
            }
        }
        transaction.commit().expect("durable");
    }

    fn get(&mut self, key: &Key) -> Value {
        let transaction = self.database().begin_read().expect("a transaction");
        let table = transaction.open_table(TABLE).expect("a table");
        let found = table.get(key).expect("readable").expect("it is there");
        found.value()
    }

    fn open_again(&mut self) {
        self.database = None;
        self.database = Some(Database::create(&self.path).expect("a database"));
    }

    fn written_bytes(&mut self) -> u64 {
        handed_bytes()
    }
}
