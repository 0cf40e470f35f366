//! A store in one sealed SQLite file.

mod anchor;
mod error;
mod file;
mod key;
mod options;
mod reader;
mod reading;
mod rows;
mod schema;
mod seal;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hushwood::error::StoreReadError;
use hushwood::transition::{
    InstanceId, Persist, PersistError, Reader, RecordKey, RecordKind, Records, WriteSet,
};
use hushwood_crypto::{Random, Secret};
use rusqlite::Connection;

pub use error::OpenError;
pub use key::{PassphraseCost, Unlock};
pub use options::SqliteOptions;
pub use reading::Reading;

use anchor::Anchor;
use error::Failure;
use key::WrappedKey;
use reader::{SqliteReader, View};
use rows::SealedWrites;
use schema::Header;
use seal::Sealer;

/// Records in one file, each sealed under a key that a passphrase or a key file opens.
///
/// **Durable.** When a write returns, it has reached the disk (WAL, `synchronous=FULL`); it happens whole
/// or not at all, also if the process is killed in the middle.
///
/// **Several processes** may open one file. Each write checks the versions it expects under the writer's
/// lock, so the slower of two is [`PersistError::Stale`]. Reads that belong together go through
/// [`read`](Self::read).
///
/// **Sealed.** Who reads the file without the key sees how many records there are, how long each is, in
/// how many groups of one kind they stand, and how often each instance has changed: no names, no content.
/// Who writes to the file can destroy it, but neither make a record nor move one. That a record is gone, or is
/// one that stood in its place before, is not noticed here. An old copy of the whole file put in place of the new is
/// noticed where something outside of the file remembers more: an [anchor](SqliteOptions::anchor), or a number that the
/// host keeps elsewhere, to be compared with [`generation`](Self::generation). Without either it is not.
///
/// **Erased.** What is erased or replaced is overwritten in the file, and what may hold secrets was sealed
/// under a key of its own, which is overwritten too. But both stay in the log beside the file until that is
/// emptied: on [`close`](Self::close) and when dropped, on [`checkpoint`](Self::checkpoint), which the host
/// calls when it is idle, when the file is opened, and by a write that finds the last time 1,000 steps or 60
/// seconds ago. Until then who has the store key as well can read them. Blocks that the file system or the
/// disk keeps to itself are out of reach. Of the public tree (who was a member when), which has no keys of
/// its own, pieces may stay in the file until their place is used again.
pub struct SqliteStore {
    connection: Connection,
    path: PathBuf,
    id: [u8; 16],
    store_key: Secret,
    sealer: Arc<Sealer>,
    /// Reads through a connection of its own.
    reader: SqliteReader,
    options: SqliteOptions,
    anchor: Option<Anchor>,
    /// Transactions of [`Reading`]s on this connection.
    readings: Cell<usize>,
    /// Steps in the log, and when the first of them was made.
    logged: Option<(u64, Instant)>,
    /// A commit had an unknown outcome.
    poisoned: bool,
}

impl SqliteStore {
    /// Makes a new store. Its file and those beside it (`-wal`, `-shm`) are for its owner only.
    ///
    /// # Errors
    /// [`OpenError::Exists`] if there is something at the path, also a store, or at that of the anchor;
    /// [`OpenError::KeyTooShort`]; what the disk says.
    pub fn create(path: impl AsRef<Path>, unlock: &Unlock) -> Result<Self, OpenError> {
        Self::create_with(path, unlock, SqliteOptions::new())
    }

    /// [`create`](Self::create) with options.
    ///
    /// # Errors
    /// As there.
    pub fn create_with(
        path: impl AsRef<Path>,
        unlock: &Unlock,
        mut options: SqliteOptions,
    ) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let random: &mut dyn Random = &mut *options.random;
        let (id, store_key) = (random.array()?, random.secret(32)?);
        let key = WrappedKey::wrap((&id, &store_key), unlock, options.cost, random)?;
        let header = Header { id, key };
        if options.anchor.as_ref().is_some_and(|anchor| anchor.exists()) {
            return Err(OpenError::Exists);
        }
        file::create(path)?;
        let connection = schema::connect(path, options.busy_timeout)?;
        // An empty file is what a creation that was cut short leaves.
        match schema::is_empty(&connection) {
            Ok(true) => {}
            Ok(false) | Err(OpenError::NotAStore) => return Err(OpenError::Exists),
            Err(error) => return Err(error),
        }
        // Nor is it known who left it: if it is somebody else's, this fails.
        file::restrict(path)?;
        schema::configure(&connection)?;
        connection.execute_batch("BEGIN IMMEDIATE")?;
        if !schema::is_empty(&connection)? {
            return Err(OpenError::Exists);
        }
        schema::create(&connection, &header)?;
        connection.execute_batch("COMMIT")?;
        Self::new((path, connection), id, store_key, options)
    }

    /// Opens a store.
    ///
    /// # Errors
    /// [`OpenError::WrongKey`], [`OpenError::NotFound`], [`OpenError::NotAStore`],
    /// [`OpenError::Version`], [`OpenError::Corrupt`]; [`OpenError::RolledBack`] and [`OpenError::AnchorMissing`]
    /// with an [anchor](SqliteOptions::anchor); what the disk says.
    pub fn open(path: impl AsRef<Path>, unlock: &Unlock) -> Result<Self, OpenError> {
        Self::open_with(path, unlock, SqliteOptions::new())
    }

    /// [`open`](Self::open) with options.
    ///
    /// # Errors
    /// As there.
    pub fn open_with(
        path: impl AsRef<Path>,
        unlock: &Unlock,
        options: SqliteOptions,
    ) -> Result<Self, OpenError> {
        let path = path.as_ref();
        file::restrict(path)?;
        let connection = schema::connect(path, options.busy_timeout)?;
        let Header { id, key } = schema::read_header(&connection)?;
        let store_key = key.unwrap(&id, unlock)?;
        schema::configure(&connection)?;
        Self::new((path, connection), id, store_key, options)
    }

    fn new(
        (path, connection): (&Path, Connection),
        id: [u8; 16],
        store_key: Secret,
        options: SqliteOptions,
    ) -> Result<Self, OpenError> {
        let sealer = Arc::new(Sealer::new(&store_key).map_err(|_| OpenError::Io)?);
        // Whatever becomes of the current directory, it is this file.
        let path = std::path::absolute(path)?;
        let anchor = options.anchor.as_ref().map(|path| Anchor::at(path, &id, &store_key)).transpose()?;
        // SQLite makes the log beside the file, and does not look whether its name has reached the disk.
        file::sync_folder(&path)?;
        let reader = SqliteReader::new(path.clone(), options.busy_timeout, sealer.clone());
        let mut store = Self {
            connection,
            path,
            id,
            store_key,
            sealer,
            reader,
            options,
            anchor,
            readings: Cell::new(0),
            logged: None,
            poisoned: false,
        };
        store.check_anchor()?;
        // A process that was killed, or whose disk has failed, has left its log behind. What the log says counts from now on,
        // and the system may take for written what it could not write: so it goes from the log into the file, and out of
        // the log, or the store does not open. A reader in the way is one of a process for which the log counts already.
        match store.without_waiting(Self::checkpoint) {
            Ok(()) | Err(PersistError::Busy) => {}
            Err(error) => return Err(error.into()),
        }
        store.set_anchor()?;
        Ok(store)
    }

    /// An old copy of the store is older than its anchor.
    fn check_anchor(&self) -> Result<(), OpenError> {
        let Some(anchor) = &self.anchor else { return Ok(()) };
        // First the anchor: other processes move both on meanwhile, the store first.
        let known = anchor.generation()?;
        let generation = self.generation().map_err(OpenError::of_read)?;
        match known {
            _ if self.options.accept_rollback => Ok(()),
            Some(known) if known > generation => Err(OpenError::RolledBack),
            // Nothing has left a store without steps.
            None if generation > 0 => Err(OpenError::AnchorMissing),
            Some(_) | None => Ok(()),
        }
    }

    /// The last step may have been made, and its process killed before the anchor was moved. Nothing has left then.
    fn set_anchor(&self) -> Result<(), OpenError> {
        let Some(anchor) = &self.anchor else { return Ok(()) };
        let generation = self.generation().map_err(OpenError::of_read)?;
        match self.options.accept_rollback || anchor.generation()?.is_none() {
            true => anchor.reset(generation)?,
            false => anchor.advance(generation)?,
        }
        Ok(())
    }

    /// The store's random identity. A copy has the same.
    #[must_use]
    pub fn id(&self) -> [u8; 16] {
        self.id
    }

    /// How many write sets this store has taken. Kept also elsewhere (with the delivery service, in the
    /// keeper of secrets of the operating system), it shows that an old copy has been put back.
    ///
    /// # Errors
    /// [`StoreReadError::Io`], [`StoreReadError::Corrupt`].
    pub fn generation(&self) -> Result<u64, StoreReadError> {
        self.query(|connection| {
            connection.prepare_cached("SELECT steps FROM store")?.query_row([], |row| row.get(0))
        })
    }

    /// Another passphrase or key file from now on. The old one is erased from the disk when this returns.
    ///
    /// The store key stays: who has a copy of the file as it was, and the old unlock, has the key to later
    /// copies too.
    ///
    /// # Errors
    /// [`OpenError::KeyTooShort`]; what the disk says. [`OpenError::Busy`] also if the change was made but
    /// a reader keeps the old wrapping in the log: [`checkpoint`](Self::checkpoint) once more.
    pub fn change_unlock(&mut self, unlock: &Unlock) -> Result<(), OpenError> {
        let SqliteOptions { cost, random, .. } = &mut self.options;
        let key = WrappedKey::wrap((&self.id, &self.store_key), unlock, *cost, &mut **random)?;
        self.transaction(|connection| Ok(schema::update_key(connection, &key)?))?;
        Ok(self.checkpoint()?)
    }

    /// Empties the log, so that what has been erased is gone from the disk. For hosts that are idle.
    ///
    /// # Errors
    /// [`PersistError::Busy`] while another process reads or writes; [`PersistError::Refused`] if the disk
    /// fails. Nothing is lost then, and it may be tried again.
    pub fn checkpoint(&mut self) -> Result<(), PersistError> {
        self.refuse_if_poisoned()?;
        let busy: bool = self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
            .map_err(|error| error::not_written(&error))?;
        if busy {
            return Err(PersistError::Busy);
        }
        file::sync_log(&self.path).map_err(|_| PersistError::Refused)?;
        self.logged = None;
        Ok(())
    }

    /// Closes the store with an empty log. Dropping does the same and can't say that it failed.
    ///
    /// # Errors
    /// Those of [`checkpoint`](Self::checkpoint): what was written stays written, what was erased may still
    /// be in the log.
    pub fn close(mut self) -> Result<(), PersistError> {
        self.checkpoint()
    }

    /// A view of the store as it is now, whatever other processes write meanwhile. Keep it for short: the
    /// log can't be emptied before it ends.
    ///
    /// # Errors
    /// [`StoreReadError`].
    pub fn read(&self) -> Result<Reading<'_>, StoreReadError> {
        Reading::begin(self)
    }

    fn refuse_if_poisoned(&self) -> Result<(), PersistError> {
        if self.poisoned { Err(PersistError::Refused) } else { Ok(()) }
    }

    fn query<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreReadError> {
        query(self.view()?.connection).map_err(|error| error::of_read(&error))
    }

    fn view(&self) -> Result<View<'_>, StoreReadError> {
        match self.poisoned {
            true => Err(StoreReadError::Io),
            false => Ok(View { connection: &self.connection, sealer: &self.sealer }),
        }
    }

    /// One transaction that holds the writer's lock from its start.
    fn transaction<T>(
        &mut self,
        write: impl FnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T, PersistError> {
        self.refuse_if_poisoned()?;
        execute(&self.connection, "BEGIN IMMEDIATE").map_err(|error| error::not_written(&error))?;
        let written = match write(&self.connection) {
            Ok(written) => written,
            Err(failure) => {
                self.roll_back()?;
                return Err(failure.into());
            }
        };
        if let Err(error) = execute(&self.connection, "COMMIT") {
            self.poisoned = error::of_commit(&error) == PersistError::Unknown;
            self.roll_back()?;
            return Err(error::of_commit(&error));
        }
        let (steps, since) = self.logged.unwrap_or_else(|| (0, Instant::now()));
        self.logged = Some((steps.saturating_add(1), since));
        Ok(written)
    }

    /// The anchor is moved after the store and before anything is given out: so it is never ahead of the store, but by
    /// what an old copy lacks.
    fn advance_anchor(&mut self, generation: u64) -> Result<(), PersistError> {
        let Some(anchor) = &self.anchor else { return Ok(()) };
        anchor.advance(generation).map_err(|_| {
            self.poisoned = true;
            PersistError::Unknown
        })
    }

    fn roll_back(&mut self) -> Result<(), PersistError> {
        // After most errors SQLite has done so itself.
        if !self.connection.is_autocommit() && self.connection.execute_batch("ROLLBACK").is_err() {
            self.poisoned = true;
            return Err(PersistError::Unknown);
        }
        Ok(())
    }

    fn checkpoint_if_due(&mut self) {
        let due = self.logged.is_some_and(|(steps, since)| {
            steps >= self.options.checkpoint_steps || since.elapsed() >= self.options.checkpoint_interval
        });
        if due {
            self.checkpoint_without_waiting();
        }
    }

    /// A reader in the way is no reason to hold up a write that is done: the next one tries again.
    fn checkpoint_without_waiting(&mut self) {
        let _ = self.without_waiting(Self::checkpoint);
    }

    fn without_waiting<T>(&mut self, what: impl FnOnce(&mut Self) -> T) -> T {
        let _ = self.connection.busy_timeout(Duration::ZERO);
        let done = what(self);
        let _ = self.connection.busy_timeout(self.options.busy_timeout);
        done
    }
}

/// Runs a statement that is prepared once.
fn execute(connection: &Connection, statement: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(statement)?.execute([]).map(drop)
}

impl Persist for SqliteStore {
    fn persist(&mut self, writes: &WriteSet) -> Result<(), PersistError> {
        self.refuse_if_poisoned()?;
        // Before the lock is taken: others need not wait for our cryptography.
        let sealed = SealedWrites::new(writes, &self.sealer, &mut *self.options.random)?;
        let generation = self.transaction(|connection| sealed.write(connection))?;
        self.advance_anchor(generation)?;
        self.checkpoint_if_due();
        Ok(())
    }
}

impl Records for SqliteStore {
    fn version(&self, instance: InstanceId) -> Result<u64, StoreReadError> {
        self.view()?.version(instance)
    }

    fn get(&self, key: &RecordKey) -> Result<Option<Secret>, StoreReadError> {
        self.view()?.get(key)
    }

    fn list(&self, instance: InstanceId, kind: RecordKind) -> Result<Vec<(Vec<u8>, Secret)>, StoreReadError> {
        self.view()?.list(instance, kind)
    }

    fn list_all(
        &self,
        instance: InstanceId,
        kinds: &[RecordKind],
    ) -> Result<Vec<(RecordKind, Vec<u8>, Secret)>, StoreReadError> {
        self.view()?.list_all(instance, kinds)
    }

    fn reader(&self) -> Result<Reader, StoreReadError> {
        self.reader.reader()
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        if self.logged.is_some() {
            self.checkpoint_without_waiting();
        }
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("poisoned", &self.poisoned).finish_non_exhaustive()
    }
}
