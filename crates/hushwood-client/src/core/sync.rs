//! When everything is read, and why it is not.

use std::time::Duration;

use crate::core::Core;
use crate::core::room::Room;
use crate::error::Error;
use crate::records::Standing;
use crate::room::RoomId;

impl Core {
    /// Asks for everything that is new: the inbox, and each room's log. Gives a number for
    /// [`is_synced`](Self::is_synced).
    pub fn want_sync(&mut self) -> u64 {
        self.account.inbox_wanted = self.next_sync();
        self.account.backoff.hurry();
        for room in self.rooms.values_mut() {
            room.read_wanted = self.syncs;
            // Somebody may have decided meanwhile.
            room.paused = None;
            room.backoff.hurry();
        }
        self.syncs
    }

    /// A number that no log and no inbox was asked for with: also where one was asked for again in between, it is read again.
    pub(super) fn next_sync(&mut self) -> u64 {
        let wanted = self.rooms.values().map(|room| room.read_wanted).max().unwrap_or(0);
        self.syncs = self.syncs.max(wanted).saturating_add(1);
        self.syncs
    }

    /// Whether all that was new has been read, of a room or of all; a room that can't be followed has nothing new.
    #[must_use]
    pub fn is_synced(&self, sync: u64, room: Option<&RoomId>) -> bool {
        self.is_read(sync, room, |_| sync)
    }

    /// Whether all has been read that is known to be new, and nothing keeps us from knowing of more.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let account = &self.account;
        let is_well = account.stopped.is_none() && account.backoff.trouble.is_none();
        is_well && self.is_read(self.account.inbox_wanted, None, |room| room.read_wanted)
    }

    fn is_read(&self, inbox: u64, room: Option<&RoomId>, wanted: impl Fn(&Room) -> u64) -> bool {
        let mut rooms = self.rooms.values().filter(|other| room.is_none_or(|room| *room == other.id));
        self.account.inbox_done >= inbox
            && self.invitation_to_look_at().is_none()
            && self.account.acknowledged.is_empty()
            && rooms.all(|room| match room.record.standing {
                // What the service refuses now is not to be waited for.
                _ if matches!(room.backoff.trouble, Some(Error::Refused(_))) => true,
                Standing::Active => {
                    room.paused.is_some()
                        || (room.read_done >= wanted(room) && room.known <= room.record.cursor)
                }
                Standing::New | Standing::Rejoining => false,
                Standing::Forked | Standing::Removed | Standing::Ended => true,
            })
    }

    /// Why nothing goes on, in a room or with the account, if something does not.
    #[must_use]
    pub fn trouble(&self, room: Option<&RoomId>) -> Option<&Error> {
        let mut rooms = self.rooms.values().filter(|other| room.is_none_or(|room| *room == other.id));
        let of_room = rooms.find_map(|room| room.paused.as_ref().or(room.backoff.trouble.as_ref()));
        self.account.stopped.as_ref().or(self.account.backoff.trouble.as_ref()).or(of_room)
    }

    /// How many answers are to come.
    #[must_use]
    pub fn asking(&self) -> usize {
        self.in_flight.len()
    }

    /// The number of the newest event that there ever was; 0 for none.
    #[must_use]
    pub fn newest_event(&self) -> u64 {
        self.next.event.saturating_sub(1)
    }

    /// How long to wait for what was asked for.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.env.settings.patience
    }

    /// From now on a call waits so long for what it asked for.
    pub fn set_patience(&mut self, patience: Duration) {
        self.env.settings.patience = patience;
    }

    /// Gives the store back, for a host that ends.
    #[must_use]
    pub fn into_store(self) -> Box<dyn crate::core::Store> {
        self.env.store
    }
}
