//! What can go wrong with the file, and what SQLite's results mean for a write.

use std::fmt;
use std::io::ErrorKind;

use hushwood::error::StoreReadError;
use hushwood::transition::PersistError;
use hushwood_crypto::CryptoError;
use rusqlite::{ErrorCode, ffi};

/// Why a store could not be created, opened, or given another unlock.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum OpenError {
    /// The file beside which the store is to be opened, its anchor, is gone, damaged or another store's. The store may be an
    /// old copy: see [`SqliteOptions::accept_rollback`](crate::SqliteOptions::accept_rollback).
    AnchorMissing,
    /// Another process holds the file. Try again.
    Busy,
    /// The file is a store, and damaged.
    Corrupt,
    /// There is something at this path already.
    Exists,
    /// No space is left.
    Full,
    /// The disk, the file system or SQLite answered with an error.
    Io,
    /// The passphrase is empty, or the key file shorter than 32 bytes.
    KeyTooShort,
    /// Not enough memory for turning the passphrase into a key.
    Memory,
    /// The file is something else than a store.
    NotAStore,
    /// There is no such file.
    NotFound,
    /// The source of randomness failed.
    Random,
    /// Permissions do not allow it, or the file system is read-only.
    Refused,
    /// The store is older than its anchor says: an old copy was put back. What was encrypted since would be encrypted
    /// with the same keys again: see [`SqliteOptions::accept_rollback`](crate::SqliteOptions::accept_rollback).
    RolledBack,
    /// The store was written by a later version of this software.
    Version,
    /// Another passphrase or key file opens this store.
    WrongKey,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AnchorMissing => {
                "the store's anchor is missing, damaged or another store's: bring it back, or rejoin all groups before sending"
            }
            Self::Busy => "the store is busy: try again",
            Self::Corrupt => {
                "the store is damaged: put a copy in its place and rejoin before sending, or start anew"
            }
            Self::Exists => "there is a file at this path: open it, or choose another path",
            Self::Full => "no space is left on the disk: make room and try again",
            Self::Io => "the store could not be read or written: see that its disk is at hand",
            Self::KeyTooShort => "the passphrase is empty or the key file shorter than 32 bytes",
            Self::Memory => "there is not enough memory to turn the passphrase into a key",
            Self::NotAStore => "the file is not a store",
            Self::NotFound => "there is no store at this path: create it first",
            Self::Random => "the source of randomness failed",
            Self::Refused => "the store can't be opened for writing: check its permissions",
            Self::RolledBack => {
                "the store is an old copy: bring the newest back, or rejoin all groups before sending"
            }
            Self::Version => "the store was written by a later version of this software: upgrade",
            Self::WrongKey => "the passphrase or key file does not open this store",
        })
    }
}

impl std::error::Error for OpenError {}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            _ if is_full(&error) => Self::Full,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::DatabaseCorrupt) => Self::Corrupt,
            Some(ErrorCode::NotADatabase) => Self::NotAStore,
            Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => Self::Refused,
            Some(_) => Self::Io,
            // A row or column that is not as the schema has it.
            None => Self::Corrupt,
        }
    }
}

impl From<std::io::Error> for OpenError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::AlreadyExists => Self::Exists,
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Self::Refused,
            ErrorKind::QuotaExceeded | ErrorKind::StorageFull => Self::Full,
            _ => Self::Io,
        }
    }
}

impl From<CryptoError> for OpenError {
    fn from(_: CryptoError) -> Self {
        Self::Random
    }
}

impl From<PersistError> for OpenError {
    fn from(error: PersistError) -> Self {
        match error {
            PersistError::Busy => Self::Busy,
            PersistError::Full => Self::Full,
            PersistError::Refused => Self::Refused,
            _ => Self::Io,
        }
    }
}

impl OpenError {
    /// The store could not be read.
    pub(super) fn of_read(error: StoreReadError) -> Self {
        match error {
            StoreReadError::Io => Self::Io,
            _ => Self::Corrupt,
        }
    }
}

/// Why a transaction was left before its COMMIT.
pub(super) enum Failure {
    Sql(rusqlite::Error),
    Stale,
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Failure> for PersistError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Sql(error) => not_written(&error),
            Failure::Stale => Self::Stale,
        }
    }
}

/// No space is left: for the file, or for the shared memory beside it (`-shm`), which has no code of its own
/// for that and only grows.
fn is_full(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error().map(|error| error.extended_code);
    error.sqlite_error_code() == Some(ErrorCode::DiskFull) || code == Some(ffi::SQLITE_IOERR_SHMSIZE)
}

/// An error before COMMIT, or of a read: nothing was written, since readers of the log stop at the last
/// frame that ends a transaction.
pub(super) fn not_written(error: &rusqlite::Error) -> PersistError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => PersistError::Busy,
        _ if is_full(error) => PersistError::Full,
        _ => PersistError::Refused,
    }
}

/// An error of COMMIT. A full disk cuts the last frame short, so its checksum fails and the transaction
/// does not count. After any other failure, that of `fsync` above all, the frame may count after a crash.
pub(super) fn of_commit(error: &rusqlite::Error) -> PersistError {
    match not_written(error) {
        PersistError::Refused => PersistError::Unknown,
        known => known,
    }
}

pub(super) fn of_read(error: &rusqlite::Error) -> StoreReadError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) | None => StoreReadError::Corrupt,
        Some(_) => StoreReadError::Io,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_commit_leaves_open_what_happened_and_not_when_busy_or_full() {
        let error = |code| rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        let rows = [
            (ffi::SQLITE_BUSY, PersistError::Busy, PersistError::Busy),
            (ffi::SQLITE_LOCKED, PersistError::Busy, PersistError::Busy),
            (ffi::SQLITE_FULL, PersistError::Full, PersistError::Full),
            (ffi::SQLITE_IOERR_SHMSIZE, PersistError::Full, PersistError::Full),
            (ffi::SQLITE_READONLY, PersistError::Refused, PersistError::Unknown),
            (ffi::SQLITE_CORRUPT, PersistError::Refused, PersistError::Unknown),
            (ffi::SQLITE_IOERR_WRITE, PersistError::Refused, PersistError::Unknown),
            (ffi::SQLITE_IOERR_FSYNC, PersistError::Refused, PersistError::Unknown),
        ];
        for (code, before, at_commit) in rows {
            assert_eq!(not_written(&error(code)), before);
            assert_eq!(of_commit(&error(code)), at_commit);
        }
    }

    #[test]
    fn a_disk_without_room_for_shared_memory_is_full() {
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_SHMSIZE] {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            assert_eq!(OpenError::from(error), OpenError::Full);
        }
    }
}
