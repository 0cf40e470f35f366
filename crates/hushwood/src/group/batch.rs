//! Many operations on a group, one write: catching up costs one sync of the disk, not a thousand.

use std::fmt;

use crate::group::Group;
use crate::transition::{CommitError, Durable, Persist, PersistError, Step, WriteSet};

/// Operations on one group that become real together.
///
/// Each operation sees the state that the ones before it have led to. Their outputs stay sealed until
/// [`commit`](Self::commit). A batch that is dropped leaves the group ahead of its store: it then
/// refuses further use, and is to be opened again.
pub struct Batch<'g, T> {
    group: &'g mut Group,
    writes: WriteSet,
    outputs: Vec<T>,
    open: bool,
}

impl<'g, T> Batch<'g, T> {
    /// A batch without operations.
    pub fn new(group: &'g mut Group) -> Self {
        Self { group, writes: WriteSet::new(), outputs: Vec::new(), open: false }
    }

    /// Runs an operation and adds its step to the batch.
    ///
    /// # Errors
    /// That of the operation; the batch is as before.
    pub fn run<E>(&mut self, operation: impl FnOnce(&mut Group) -> Result<Step<'_, T>, E>) -> Result<(), E> {
        let (writes, pending) = operation(self.group)?.begin();
        // Memory runs ahead of the store until the batch is committed.
        self.outputs.push(pending.confirm(Durable::assert()));
        self.writes.append(writes);
        self.open = true;
        Ok(())
    }

    /// The group as the operations so far have left it, to look at.
    #[must_use]
    pub fn group(&self) -> &Group {
        self.group
    }

    /// Number of operations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.outputs.len()
    }

    /// True without operations.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.outputs.is_empty()
    }

    /// Writes everything in one transaction and gives the outputs, in order.
    ///
    /// # Errors
    /// [`CommitError`]: nothing was written, or nobody knows; the group is to be opened again.
    pub fn commit(mut self, store: &mut (impl Persist + ?Sized)) -> Result<Vec<T>, CommitError> {
        if self.open {
            let writes = std::mem::take(&mut self.writes);
            store.persist(&writes).map_err(|error: PersistError| CommitError(error))?;
            self.open = false;
        }
        Ok(std::mem::take(&mut self.outputs))
    }
}

impl<T> Drop for Batch<'_, T> {
    fn drop(&mut self) {
        // Memory is ahead of the store.
        self.group.poisoned |= self.open;
    }
}

impl<T> fmt::Debug for Batch<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("operations", &self.outputs.len()).finish_non_exhaustive()
    }
}
