//! What the ids of the interface stand for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::client::Transaction;
use crate::failure::Failure;
use crate::member::Member;
use crate::rpc::{ExternalSigner, Successor};

/// Everything that the server keeps, by id.
///
/// All ids are drawn from one counter, because StorePSK takes either a state or a transaction in one field. The first is
/// 1: by 0 the runner says that an actor has neither.
#[derive(Default)]
pub(crate) struct Registry {
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    last: u32,
    by_id: HashMap<u32, Entry>,
}

/// What an id stands for.
#[derive(Clone)]
pub(crate) enum Entry {
    /// A member of a group.
    State(Arc<Mutex<Member>>),
    /// A KeyPackage that waits for a Welcome.
    Transaction(Arc<Transaction>),
    /// A member of a group that is over, and what it needs for the next.
    Reinit(Arc<Successor>),
    /// A sender outside of any group.
    Signer(Arc<ExternalSigner>),
}

impl Registry {
    /// Keeps something, and gives its id.
    pub(crate) fn keep(&self, entry: Entry) -> Result<u32, Failure> {
        let mut entries = self.entries();
        let id = entries.last.checked_add(1).ok_or(Failure::NotNow("no ids are left"))?;
        entries.last = id;
        entries.by_id.insert(id, entry);
        Ok(id)
    }

    /// Keeps a new member.
    pub(crate) fn keep_member(&self, member: Member) -> Result<u32, Failure> {
        self.keep(Entry::State(Arc::new(Mutex::new(member))))
    }

    /// What this id stands for, if it stands for something.
    pub(crate) fn find(&self, id: u32) -> Option<Entry> {
        self.entries().by_id.get(&id).cloned()
    }

    /// Forgets what this id stands for.
    pub(crate) fn forget(&self, id: u32) {
        let entry = self.entries().by_id.remove(&id);
        // Dropped when nobody else waits for the lock.
        drop(entry);
    }

    pub(crate) fn state(&self, id: u32) -> Result<Arc<Mutex<Member>>, Failure> {
        match self.find(id) {
            Some(Entry::State(member)) => Ok(member),
            _ => Err(Failure::NotFound("no such state")),
        }
    }

    pub(crate) fn transaction(&self, id: u32) -> Result<Arc<Transaction>, Failure> {
        match self.find(id) {
            Some(Entry::Transaction(transaction)) => Ok(transaction),
            _ => Err(Failure::NotFound("no such transaction")),
        }
    }

    pub(crate) fn reinit(&self, id: u32) -> Result<Arc<Successor>, Failure> {
        match self.find(id) {
            Some(Entry::Reinit(successor)) => Ok(successor),
            _ => Err(Failure::NotFound("no such reinitialisation")),
        }
    }

    pub(crate) fn signer(&self, id: u32) -> Result<Arc<ExternalSigner>, Failure> {
        match self.find(id) {
            Some(Entry::Signer(signer)) => Ok(signer),
            _ => Err(Failure::NotFound("no such signer")),
        }
    }

    /// Does something while nobody else gets at the ids.
    #[cfg(test)]
    pub(crate) fn locked<T>(&self, operation: impl FnOnce() -> T) -> T {
        let _entries = self.entries();
        operation()
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        lock(&self.entries)
    }
}

/// Locks, whatever became of who held the lock before: changes are made as a whole or not at all.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
