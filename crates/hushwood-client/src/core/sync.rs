//! When everything is read, and why it is not.

use crate::core::Core;
use crate::error::Error;
use crate::records::Standing;
use crate::room::RoomId;

impl Core {
    /// Asks for everything that is new: the inbox, and each room's log. Gives a number for
    /// [`is_synced`](Self::is_synced).
    pub fn want_sync(&mut self) -> u64 {
        self.syncs = self.syncs.saturating_add(1);
        self.account.inbox_wanted = self.syncs;
        self.account.backoff.hurry();
        for room in self.rooms.values_mut() {
            room.read_wanted = self.syncs;
            // Somebody may have decided meanwhile.
            room.paused = None;
            room.backoff.hurry();
        }
        self.syncs
    }

    /// Whether all that was new has been read, of a room or of all; a room that can't be followed has nothing new.
    #[must_use]
    pub fn is_synced(&self, sync: u64, room: Option<&RoomId>) -> bool {
        let mut rooms = self.rooms.values().filter(|other| room.is_none_or(|room| *room == other.id));
        self.account.inbox_done >= sync
            && self.invitation_to_look_at().is_none()
            && self.account.acknowledged.is_empty()
            && rooms.all(|room| match room.record.standing {
                // What the service refuses now is not to be waited for.
                _ if matches!(room.backoff.trouble, Some(Error::Refused(_))) => true,
                Standing::Active => {
                    room.paused.is_some() || (room.read_done >= sync && room.known <= room.record.cursor)
                }
                Standing::New | Standing::Rejoining => false,
                Standing::Forked | Standing::Removed => true,
            })
    }

    /// Why nothing goes on, in a room or with the account, if something does not.
    #[must_use]
    pub fn trouble(&self, room: Option<&RoomId>) -> Option<&Error> {
        let mut rooms = self.rooms.values().filter(|other| room.is_none_or(|room| *room == other.id));
        let of_room = rooms.find_map(|room| room.paused.as_ref().or(room.backoff.trouble.as_ref()));
        self.account.stopped.as_ref().or(self.account.backoff.trouble.as_ref()).or(of_room)
    }

    /// Whether answers are to come.
    #[must_use]
    pub fn is_asking(&self) -> bool {
        !self.in_flight.is_empty()
    }

    /// How long to wait for what was asked for, in milliseconds.
    #[must_use]
    pub fn patience(&self) -> u64 {
        self.env.settings.patience
    }

    /// From now on a call waits so long for what it asked for, in milliseconds.
    pub fn set_patience(&mut self, milliseconds: u64) {
        self.env.settings.patience = milliseconds;
    }

    /// Gives the store back, for a host that ends.
    #[must_use]
    pub fn into_store(self) -> Box<dyn crate::core::Store> {
        self.env.store
    }
}
