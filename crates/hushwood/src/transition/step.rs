//! The only two doors through which a change becomes real.

use std::fmt;

use hushwood_crypto::Secret;

use crate::transition::{Persist, PersistError, RecordKey, WriteSet};

/// A change that has been computed and not yet made.
///
/// Commit it, or drop it: dropping is the rollback.
#[must_use = "a step does nothing until it is committed"]
pub struct Step<'g, T> {
    writes: WriteSet,
    effect: Option<Box<dyn Effect + 'g>>,
    output: T,
}

/// What a step does to the state in memory.
pub(crate) trait Effect {
    /// The writes are durable: make memory equal to them.
    fn apply(self: Box<Self>);
    /// The outcome of the writes is unknown: refuse further use until the state is read again.
    fn poison(self: Box<Self>);
}

impl<'g, T> Step<'g, T> {
    pub(crate) fn new(writes: WriteSet, effect: Option<Box<dyn Effect + 'g>>, output: T) -> Self {
        Self { writes, effect, output }
    }

    /// Adds a record of the application to what is written with the change, such as a cursor or an
    /// intent. Use [`RecordKind::Application`](crate::transition::RecordKind::Application).
    pub fn put(&mut self, key: RecordKey, value: Secret) {
        self.writes.put(key, value);
    }

    /// Erases a record of the application with the change.
    pub fn erase(&mut self, key: RecordKey) {
        self.writes.erase(key);
    }

    /// Writes, then changes the state in memory, then gives the output.
    ///
    /// # Errors
    /// [`CommitError`]: the output is lost, and memory still equals the store. After
    /// [`PersistError::Unknown`] the group refuses further use until it is opened again.
    pub fn commit(self, store: &mut (impl Persist + ?Sized)) -> Result<T, CommitError> {
        let (writes, pending) = self.begin();
        match store.persist(&writes) {
            Ok(()) => Ok(pending.confirm(Durable(()))),
            Err(error) => {
                if error == PersistError::Unknown {
                    pending.poison();
                }
                Err(CommitError(error))
            }
        }
    }

    /// For hosts that write by themselves, asynchronously perhaps: the writes, and what follows them.
    pub fn begin(self) -> (WriteSet, Pending<'g, T>) {
        (self.writes, Pending { effect: self.effect, output: self.output })
    }
}

impl<T> fmt::Debug for Step<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step").field("writes", &self.writes.writes().len()).finish_non_exhaustive()
    }
}

/// A change whose writes are under way.
#[must_use = "the change is not made, and its output not given, until it is confirmed"]
pub struct Pending<'g, T> {
    effect: Option<Box<dyn Effect + 'g>>,
    output: T,
}

impl<T> Pending<'_, T> {
    /// The writes are durable: changes the state in memory and gives the output.
    pub fn confirm(self, _: Durable) -> T {
        if let Some(effect) = self.effect {
            effect.apply();
        }
        self.output
    }

    /// The outcome of the writes is unknown: the group must be opened again.
    pub fn poison(self) {
        if let Some(effect) = self.effect {
            effect.poison();
        }
    }
}

impl<T> fmt::Debug for Pending<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pending(..)")
    }
}

/// Proof that a write set has reached the disk. Only a store's writer has reason to make one.
#[derive(Debug)]
pub struct Durable(());

impl Durable {
    /// Asserts that the write set that came with a [`Pending`] is durable. Saying so when it is not
    /// gives up what this module is for.
    #[must_use]
    pub fn assert() -> Self {
        Self(())
    }
}

/// A step that could not be committed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CommitError(pub PersistError);

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the change was not made: {}", self.0)
    }
}

impl std::error::Error for CommitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}
