//! Reading records: on the store's own connection, and on another for those who read on by themselves.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hushwood::error::StoreReadError;
use hushwood::transition::{InstanceId, Reader, RecordKey, RecordKind, Records};
use hushwood_crypto::Secret;
use rusqlite::Connection;

use crate::sqlite::seal::{Name, Sealed, Sealer};
use crate::sqlite::{error, rows, schema};

/// A connection and the keys to what it reads.
pub(super) struct View<'s> {
    pub(super) connection: &'s Connection,
    pub(super) sealer: &'s Sealer,
}

impl View<'_> {
    pub(super) fn version(&self, instance: InstanceId) -> Result<u64, StoreReadError> {
        rows::version(self.connection, &self.sealer.head(instance)).map_err(|error| error::of_read(&error))
    }

    pub(super) fn get(&self, key: &RecordKey) -> Result<Option<Secret>, StoreReadError> {
        let (bucket, name) = (self.sealer.bucket(key.instance, key.kind), self.sealer.name(key));
        let row = rows::get(self.connection, (&bucket, &name)).map_err(|error| error::of_read(&error))?;
        row.map(|row| Ok(self.sealer.open((&bucket, &name), &row)?.1)).transpose()
    }

    pub(super) fn list(
        &self,
        instance: InstanceId,
        kind: RecordKind,
    ) -> Result<Vec<(Vec<u8>, Secret)>, StoreReadError> {
        let records = self.list_all(instance, &[kind])?;
        Ok(records.into_iter().map(|(_, id, content)| (id, content)).collect())
    }

    /// In one statement, which sees one state of the store.
    pub(super) fn list_all(
        &self,
        instance: InstanceId,
        kinds: &[RecordKind],
    ) -> Result<Vec<(RecordKind, Vec<u8>, Secret)>, StoreReadError> {
        let buckets: BTreeMap<Name, RecordKind> =
            kinds.iter().map(|kind| (self.sealer.bucket(instance, *kind), *kind)).collect();
        let rows = rows::list(self.connection, buckets.keys()).map_err(|error| error::of_read(&error))?;
        let open = |(bucket, name, row): (Name, Name, Sealed)| {
            let (id, content) = self.sealer.open((&bucket, &name), &row)?;
            let kind = buckets.get(&bucket).ok_or(StoreReadError::Corrupt)?;
            Ok((*kind, id, content))
        };
        let mut records = rows.into_iter().map(open).collect::<Result<Vec<_>, _>>()?;
        records.sort_unstable_by(|(kind, id, _), (other_kind, other_id, _)| {
            (kind, id).cmp(&(other_kind, other_id))
        });
        Ok(records)
    }
}

/// Reads through a connection of its own, which is made when it is first needed and shared by all copies of
/// the handle. No transaction is open between two reads, so that the log can be emptied.
#[derive(Clone)]
pub(super) struct SqliteReader(Arc<Shared>);

struct Shared {
    path: PathBuf,
    busy_timeout: Duration,
    sealer: Arc<Sealer>,
    connection: Mutex<Option<Connection>>,
}

impl SqliteReader {
    pub(super) fn new(path: PathBuf, busy_timeout: Duration, sealer: Arc<Sealer>) -> Self {
        Self(Arc::new(Shared { path, busy_timeout, sealer, connection: Mutex::new(None) }))
    }

    fn read<T>(&self, read: impl FnOnce(View<'_>) -> Result<T, StoreReadError>) -> Result<T, StoreReadError> {
        let Shared { path, busy_timeout, sealer, connection } = &*self.0;
        // A connection is whole whatever its last user came to.
        let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = match &mut *connection {
            Some(connection) => connection,
            none => none.insert(schema::connect(path, *busy_timeout).map_err(|_| StoreReadError::Io)?),
        };
        read(View { connection, sealer })
    }
}

impl Records for SqliteReader {
    fn version(&self, instance: InstanceId) -> Result<u64, StoreReadError> {
        self.read(|view| view.version(instance))
    }

    fn get(&self, key: &RecordKey) -> Result<Option<Secret>, StoreReadError> {
        self.read(|view| view.get(key))
    }

    fn list(&self, instance: InstanceId, kind: RecordKind) -> Result<Vec<(Vec<u8>, Secret)>, StoreReadError> {
        self.read(|view| view.list(instance, kind))
    }

    fn list_all(
        &self,
        instance: InstanceId,
        kinds: &[RecordKind],
    ) -> Result<Vec<(RecordKind, Vec<u8>, Secret)>, StoreReadError> {
        self.read(|view| view.list_all(instance, kinds))
    }

    fn reader(&self) -> Result<Reader, StoreReadError> {
        Ok(Arc::new(self.clone()))
    }
}

impl fmt::Debug for SqliteReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SqliteReader(..)")
    }
}
