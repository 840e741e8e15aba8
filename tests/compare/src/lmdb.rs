//! LMDB: a copy-on-write B-tree in C, mapped into memory.
#![expect(unsafe_code, reason = "a file is mapped")]

use crate::{Engine, Key, Value, handed_bytes};
use heed::types::Bytes;
use heed::{Database, Env, EnvOpenOptions};
use std::path::{Path, PathBuf};

const MAP_BYTES: usize = 1 << 30;

pub(crate) struct Lmdb {
    directory: PathBuf,
    open: Option<(Env, Database<Bytes, Bytes>)>,
}

impl Lmdb {
    pub(crate) fn new(directory: &Path) -> Lmdb {
        let mut lmdb = Lmdb {
            directory: directory.to_owned(),
            open: None,
        };
        lmdb.open_again();
        lmdb
    }

    fn open(&self) -> &(Env, Database<Bytes, Bytes>) {
        self.open.as_ref().expect("it is open")
    }
}

impl Engine for Lmdb {
    fn commit(&mut self, puts: &[(Key, Value)]) {
        let (env, database) = self.open();
        let mut transaction = env.write_txn().expect("a transaction");
        for (key, value) in puts {
            database.put(&mut transaction, key, value).expect("room");
        }
        transaction.commit().expect("durable");
    }

    fn get(&mut self, key: &Key) -> Value {
        let (env, database) = self.open();
        let transaction = env.read_txn().expect("a transaction");
        let found = database.get(&transaction, key).expect("readable");
        found.expect("it is there").try_into().expect("64 bytes")
    }

    fn open_again(&mut self) {
        if let Some((env, _)) = self.open.take() {
            env.prepare_for_closing().wait();
        }
        let mut options = EnvOpenOptions::new();
        options.map_size(MAP_BYTES);
        // SAFETY: the directory is this program's alone, and nobody changes the file behind it.
        let env = unsafe { options.open(&self.directory) }.expect("an environment");
        let mut transaction = env.write_txn().expect("a transaction");
        let database = env.create_database(&mut transaction, None);
        let database = database.expect("a database");
        transaction.commit().expect("durable");
        self.open = Some((env, database));
    }

    fn written_bytes(&mut self) -> u64 {
        handed_bytes()
    }
}
