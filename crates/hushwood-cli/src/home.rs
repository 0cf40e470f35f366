//! The folder that holds the state, and the store in it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hushwood::error::{Error, StoreReadError};
use hushwood::transition::{
    Durable, InstanceId, Pending, Persist, PersistError, RecordKey, RecordKind, Records, Step, WriteSet,
};
use hushwood_crypto::{Random, Secret};
use hushwood_store::{OpenError, SqliteStore, Unlock};

use crate::advice::RESTORE_CLIENT;
use crate::args::Global;
use crate::failure::{self, Class, Failure};
use crate::files;
use crate::names::{self, Place};
use crate::output::Output;
use crate::progress::Progress;
use crate::system::{self, OsRandom};
use crate::text;
use crate::unlock;

/// An unlocked home.
pub(crate) struct Home {
    pub(crate) store: SqliteStore,
    pub(crate) path: PathBuf,
}

const STORE: &str = "hushwood.db";
/// What the name of a store begins with that is being made.
const UNFINISHED: &str = ".new-";

impl Home {
    /// Makes a home in a folder that was not there or was empty, and gives its place. It is there whole, with
    /// what `fill` writes, or not at all: whoever is interrupted starts anew.
    pub(crate) fn create(
        global: &Global,
        fill: impl FnOnce(&mut Self) -> Result<(), Failure>,
    ) -> Result<PathBuf, Failure> {
        let path = folder(global)?;
        let is_new = !is_there(&path)?;
        if is_there(&path.join(STORE))? {
            return Err(taken(&path));
        }
        if entries(&path).iter().any(|entry| !is_unfinished(entry)) {
            return Err(Failure::refused(format!("{} is not empty", path.display()))
                .advise("a home wants a folder of its own: name another with `--home DIR`"));
        }
        let unlock = unlock::fresh(global)?;
        make_folder(&path)?;
        let made = Self::create_whole(&path, &unlock, fill);
        for entry in entries(&path).iter().filter(|entry| is_unfinished(entry)) {
            // It holds nothing that anybody could use; the next attempt clears it away as well.
            let _ = std::fs::remove_file(entry);
        }
        if made.is_err() && is_new {
            let _ = std::fs::remove_dir(&path);
        }
        made.map(|()| path)
    }

    /// Makes a store beside its place, and moves it there when it is whole.
    fn create_whole(
        path: &Path,
        unlock: &Unlock,
        fill: impl FnOnce(&mut Self) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let random: &mut dyn Random = &mut OsRandom;
        let tag = random.array::<8>().map_err(Error::from)?;
        let unfinished = path.join(format!("{UNFINISHED}{}", text::hex(&tag)));
        let store = SqliteStore::create(&unfinished, unlock).map_err(|error| cannot_open(path, error))?;
        let mut home = Self { store, path: path.to_owned() };
        fill(&mut home)?;
        home.close()?;
        files::place(&unfinished, &path.join(STORE), false).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => taken(path),
            _ => Failure::path("can't make the home", path, &error),
        })?;
        files::sync_folder(&path.join(STORE));
        Ok(())
    }

    /// The folder of the home that is meant.
    pub(crate) fn folder(global: &Global) -> Result<PathBuf, Failure> {
        folder(global)
    }

    /// Whether there is a home in this folder.
    pub(crate) fn has_store(path: &Path) -> Result<bool, Failure> {
        is_there(&path.join(STORE))
    }

    /// Makes a home in this folder, to be filled.
    pub(crate) fn create_in(path: &Path, unlock: &Unlock) -> Result<Self, Failure> {
        make_folder(path)?;
        let store =
            SqliteStore::create(path.join(STORE), unlock).map_err(|error| cannot_open(path, error))?;
        Ok(Self { store, path: path.to_owned() })
    }

    /// Opens the home in this folder.
    pub(crate) fn open_in(path: &Path, unlock: &Unlock) -> Result<Self, Failure> {
        let open = || SqliteStore::open(path.join(STORE), unlock).map_err(|error| cannot_open(path, error));
        Ok(Self { store: retry(open)?, path: path.to_owned() })
    }

    /// Opens the home in this folder, or makes it where that was begun and not ended, as by a disk that was full.
    pub(crate) fn open_or_finish_in(path: &Path, unlock: &Unlock) -> Result<Self, Failure> {
        match Self::open_in(path, unlock) {
            Err(failure) if failure.advice() == Some(failure::RESTORE) => {
                // What holds anything is not made anew.
                Self::create_in(path, unlock).map_err(|made| match made.advice() {
                    Some(_) => made,
                    None => failure.advise(RESTORE_CLIENT),
                })
            }
            opened => opened,
        }
    }

    /// Lets another passphrase or key file open the home, and the old one no more.
    pub(crate) fn change_unlock(&mut self, unlock: &Unlock) -> Result<(), Failure> {
        self.store.change_unlock(unlock).map_err(|error| cannot_open(&self.path, error))
    }

    /// Closes the home: what was erased is then gone from the disk.
    pub(crate) fn close(self) -> Result<(), Failure> {
        Ok(self.store.close()?)
    }

    /// Opens the home.
    pub(crate) fn open(global: &Global, output: Output) -> Result<Self, Failure> {
        let path = folder(global)?;
        let file = path.join(STORE);
        if !is_there(&file)? {
            return Err(Failure::refused(format!("there is no home in {}", path.display()))
                .advise("make one with `hushwood identity new NAME`, or name another with `--home DIR`"));
        }
        match system::open_to_others(&path) {
            Ok(true) => {
                let fail = |error| Failure::path("can't close to others", &path, &error);
                system::close_to_others(&path).map_err(fail)?;
                output.remark(format!("{} was open to others; it is not any more", path.display()));
            }
            Ok(false) => {}
            Err(error) => return Err(Failure::path("can't look at", &path, &error)),
        }
        let unlock = unlock::existing(global)?;
        let progress = Progress::start(output, "unlocking");
        let home = Self::open_in(&path, &unlock);
        drop(progress);
        home
    }

    /// Does something that another process may be faster at: it is tried again on what is there then.
    pub(crate) fn retrying<T>(
        &mut self,
        mut attempt: impl FnMut(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        retry(|| attempt(self))
    }

    /// A row of this program's own.
    pub(crate) fn row(&self, id: &str) -> Result<Option<Secret>, StoreReadError> {
        self.store.get(&key(id))
    }

    /// All rows of this program's own whose ids begin so, without that beginning.
    pub(crate) fn rows(&self, prefix: &str) -> Result<Vec<(String, Secret)>, StoreReadError> {
        let rows = self.store.list(InstanceId::CLIENT, RecordKind::Application)?;
        let named = rows.into_iter().filter_map(|(id, value)| {
            let id = String::from_utf8(id).ok()?;
            Some((id.strip_prefix(prefix)?.to_owned(), value))
        });
        Ok(named.collect())
    }

    /// Rows to be written, if nobody else has changed any from now on.
    pub(crate) fn begin(&self) -> Result<Rows, StoreReadError> {
        Ok(Rows { version: self.store.version(InstanceId::CLIENT)?, changes: Vec::new() })
    }

    /// Writes a step, then makes its change and gives its output.
    pub(crate) fn commit<T>(&mut self, step: Step<'_, T>) -> Result<T, Failure> {
        step.commit(&mut self.store).map_err(Failure::from)
    }

    /// Writes a step that may have nothing to write.
    pub(crate) fn tidy(&mut self, step: Step<'_, ()>) -> Result<(), Failure> {
        let (writes, pending) = step.begin();
        match writes.writes().len() {
            0 => Ok(()),
            _ => self.persist(&writes, pending),
        }
    }

    /// Writes a step together with rows of this program's own.
    pub(crate) fn commit_with<T>(&mut self, step: Step<'_, T>, rows: Rows) -> Result<T, Failure> {
        let (mut writes, pending) = step.begin();
        rows.add_to(&mut writes);
        self.persist(&writes, pending)
    }

    fn persist<T>(&mut self, writes: &WriteSet, pending: Pending<'_, T>) -> Result<T, Failure> {
        match self.store.persist(writes) {
            Ok(()) => Ok(pending.confirm(Durable::assert())),
            Err(error) => {
                if error == PersistError::Unknown {
                    pending.poison();
                }
                Err(error.into())
            }
        }
    }

    /// Writes a step that brings a new group into the store, and gives it a name. What this home had of the
    /// group before is erased with it.
    pub(crate) fn commit_named<T>(
        &mut self,
        step: Step<'_, T>,
        mut rows: Rows,
        place: &Place,
    ) -> Result<T, Failure> {
        let (mut writes, pending) = step.begin();
        // The group is the one instance that does not exist yet; its local name is random.
        let new = writes.preconditions().find(|(id, at)| *id != InstanceId::CLIENT && at.expected == 0);
        let Some((instance, _)) = new else {
            return Err(Error::Bug("a step that makes a group names no new instance").into());
        };
        if let Some(old) = &place.replaced {
            old.name.iter().for_each(|name| names::erase(&mut rows, name));
            writes.require(old.instance, self.store.version(old.instance)?);
            writes.erase_instance(old.instance);
            // Nothing of it is left to be found.
            writes.erase(RecordKey::new(
                InstanceId::CLIENT,
                RecordKind::Superseded,
                *old.instance.as_bytes(),
            ));
        }
        names::put(&mut rows, &place.name, instance)?;
        rows.add_to(&mut writes);
        self.persist(&writes, pending)
    }

    /// Writes rows of this program's own.
    pub(crate) fn write(&mut self, rows: Rows) -> Result<(), Failure> {
        let mut writes = WriteSet::new();
        rows.add_to(&mut writes);
        Ok(self.store.persist(&writes)?)
    }
}

/// Changes of rows that belong to this program.
#[derive(Debug)]
#[must_use = "rows are not written until they are committed"]
pub(crate) struct Rows {
    version: u64,
    changes: Vec<(RecordKey, Option<Secret>)>,
}

impl Rows {
    pub(crate) fn put(&mut self, id: &str, value: Secret) {
        self.changes.push((key(id), Some(value)));
    }

    pub(crate) fn erase(&mut self, id: &str) {
        self.changes.push((key(id), None));
    }

    fn add_to(self, writes: &mut WriteSet) {
        if !self.changes.is_empty() {
            writes.require(InstanceId::CLIENT, self.version);
        }
        for (key, value) in self.changes {
            match value {
                Some(value) => writes.put(key, value),
                None => writes.erase(key),
            }
        }
    }
}

fn key(id: &str) -> RecordKey {
    RecordKey::new(InstanceId::CLIENT, RecordKind::Application, id)
}

fn folder(global: &Global) -> Result<PathBuf, Failure> {
    let default = || system::data_folder(|name| std::env::var_os(name)).map(|path| path.join("hushwood"));
    global.home().or_else(default).ok_or_else(|| {
        Failure::refused("it is not known where your data belongs").advise("name a folder with `--home DIR`")
    })
}

/// True if there is anything of this name. What may not be looked at is no reason to say that it is missing.
fn is_there(path: &Path) -> Result<bool, Failure> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(false)
        }
        Err(error) => Err(Failure::path("can't look at", path, &error)),
    }
}

/// What is in a folder; nothing if it is none.
fn entries(path: &Path) -> Vec<PathBuf> {
    path.read_dir().map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}

fn is_unfinished(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(UNFINISHED))
}

fn make_folder(path: &Path) -> Result<(), Failure> {
    let made = system::create_private_folder(path).and_then(|()| system::close_to_others(path));
    made.map_err(|error| Failure::path("can't make the home", path, &error))
}

fn taken(path: &Path) -> Failure {
    Failure::refused(format!("there is a home in {} already", path.display()))
        .advise("use it, or name another folder with `--home DIR`")
}

fn cannot_open(path: &Path, error: OpenError) -> Failure {
    let class = match error {
        OpenError::WrongKey | OpenError::KeyTooShort => Class::Locked,
        OpenError::Busy => Class::Busy,
        OpenError::Random => Class::Crypto,
        _ => Class::Store,
    };
    let failure = Failure::new(class, error.to_string()).about(path.display());
    match error {
        OpenError::WrongKey => {
            failure.advise("see that it is the right home, and the passphrase or key file for it")
        }
        OpenError::KeyTooShort => failure.advise("use a passphrase that is not empty, or a key file"),
        OpenError::NotAStore => failure.advise(failure::RESTORE),
        OpenError::Refused => failure.advise(
            "see that you own the folder and the files in it, that they can be written, and that the disk is not \
             read-only",
        ),
        OpenError::Full => failure.advise("make room on the disk and try again; nothing is lost"),
        _ => failure,
    }
}

const ATTEMPTS: u32 = 12;

/// Tries again while others are faster, with growing and random pauses: about ten seconds in all.
fn retry<T>(mut attempt: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
    for number in 0..ATTEMPTS {
        match attempt() {
            Err(failure) if failure.class() == Class::Busy => std::thread::sleep(pause(number)),
            outcome => return outcome,
        }
    }
    attempt().map_err(|failure| match failure.class() {
        Class::Busy => failure.advise("other processes keep this home busy: wait for them and try again"),
        _ => failure,
    })
}

/// Between 1 and 2^n times 5 ms, at most a second: two that met once do not meet again.
fn pause(number: u32) -> Duration {
    let random: &mut dyn Random = &mut OsRandom;
    let [dice] = random.array::<1>().unwrap_or_default();
    let most = 1_u64.checked_shl(number).map_or(1000, |factor| (factor * 5).min(1000));
    Duration::from_millis(1 + most * u64::from(dice) / 255)
}
