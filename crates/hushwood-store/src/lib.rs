//! Where groups live between two runs of a program: implementations of [`Persist`] and [`Records`].
//!
//! [`MemoryStore`] forgets everything at the end of the process; it is for tests, and for clients that
//! are meant to forget.
//!
//! ```
//! use hushwood::transition::{InstanceId, Persist, RecordKey, RecordKind, Records, WriteSet};
//! use hushwood_crypto::Secret;
//! use hushwood_store::MemoryStore;
//!
//! let mut store = MemoryStore::new();
//! let cursor = RecordKey::new(InstanceId::CLIENT, RecordKind::Application, "cursor");
//!
//! let mut writes = WriteSet::new();
//! writes.require(InstanceId::CLIENT, 0);
//! writes.put(cursor.clone(), Secret::new(b"42".to_vec()));
//! store.persist(&writes)?;
//!
//! assert_eq!(store.version(InstanceId::CLIENT)?, 1);
//! assert_eq!(store.get(&cursor)?.map(|value| value.expose().to_vec()), Some(b"42".to_vec()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `SqliteStore` (feature `sqlite`, on by default) keeps everything in one file, sealed under a passphrase
//! or a key file, and survives whatever happens to the process:
//!
#![cfg_attr(feature = "sqlite", doc = "```")]
#![cfg_attr(not(feature = "sqlite"), doc = "```ignore")]
//! use hushwood::transition::{InstanceId, Persist, RecordKey, RecordKind, Records, WriteSet};
//! use hushwood_crypto::Secret;
//! use hushwood_store::{SqliteStore, Unlock};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("alice.hushwood");
//! let unlock = Unlock::Passphrase(Secret::new(b"correct horse battery staple".to_vec()));
//!
//! let mut store = SqliteStore::create(&path, &unlock)?;
//! let cursor = RecordKey::new(InstanceId::CLIENT, RecordKind::Application, "cursor");
//! let mut writes = WriteSet::new();
//! writes.require(InstanceId::CLIENT, store.version(InstanceId::CLIENT)?);
//! writes.put(cursor.clone(), Secret::new(b"42".to_vec()));
//! store.persist(&writes)?;
//! store.close()?;
//!
//! let store = SqliteStore::open(&path, &unlock)?;
//! assert_eq!(store.get(&cursor)?.map(|value| value.expose().to_vec()), Some(b"42".to_vec()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Steps of a group are committed to a store by `step.commit(&mut store)`; nobody but tests makes write
//! sets by hand, as these examples do.
//!
//! [`Persist`]: hushwood::transition::Persist
//! [`Records`]: hushwood::transition::Records

mod memory;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use memory::MemoryStore;
#[cfg(feature = "sqlite")]
pub use sqlite::{OpenError, PassphraseCost, Reading, SqliteOptions, SqliteStore, Unlock};
