//! Changes that become real together.

use hushwood::transition::{Durable, InstanceId, RecordKey, Step, WriteSet};
use hushwood_crypto::Secret;

use crate::event::EventKind;
use crate::room::RoomId;

/// Steps of groups, rows and events, to be written in one transaction.
///
/// What a step gives is used here before it is durable: the text of a message goes into the event that tells of it.
/// Nothing of it leaves the core before [`Core::persist`](crate::core::Core) has written it all, and if that fails the
/// core forgets what it has in memory and reads it again.
#[derive(Default)]
pub(crate) struct Work {
    pub(super) writes: WriteSet,
    pub(super) events: Vec<(RoomId, EventKind)>,
}

impl Work {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Takes a step in.
    pub(crate) fn step<T>(&mut self, step: Step<'_, T>) -> T {
        let (writes, pending) = step.begin();
        self.writes.append(writes);
        pending.confirm(Durable::assert())
    }

    pub(crate) fn put(&mut self, key: RecordKey, value: Secret) {
        self.writes.put(key, value);
    }

    pub(crate) fn erase(&mut self, key: RecordKey) {
        self.writes.erase(key);
    }

    /// Erases all rows of an instance.
    pub(crate) fn erase_all(&mut self, instance: InstanceId) {
        self.writes.erase_instance(instance);
    }

    pub(crate) fn event(&mut self, room: &RoomId, kind: EventKind) {
        self.events.push((room.clone(), kind));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
            && self.writes.writes().len() == 0
            && self.writes.erased_instances().next().is_none()
    }
}
