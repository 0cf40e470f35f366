//! Rooms of which nothing is kept any more.

use hushwood::group::Group;

use crate::core::Core;
use crate::core::committer::leaves;
use crate::core::work::Work;
use crate::error::Error;
use crate::records::{EVENTS, INTENTS, ROOMS, Standing, row};
use crate::room::RoomId;

impl Core {
    /// Forgets a room that we were removed from, have asked to leave, are alone in, or can't follow: its keys, what was said there, what
    /// was to be done, and events that were not acknowledged. Who is still in it is told nothing; we can be invited again.
    ///
    /// # Errors
    /// [`Error::NoRoom`]; [`Error::Void`] if others are in the room and count on us; [`Error::Protocol`]; [`Error::Store`].
    pub fn forget(&mut self, id: &RoomId) -> Result<(), Error> {
        self.refresh()?;
        let room = self.rooms.get_mut(id).ok_or(Error::NoRoom)?;
        let is_over = match room.record.standing {
            Standing::New | Standing::Forked | Standing::Removed | Standing::Ended => true,
            Standing::Active => {
                let group = room.group(&self.env)?;
                group.member_count() == 1 || leaves(group)
            }
            Standing::Rejoining => false,
        };
        if !is_over {
            return Err(Error::Void("others are in this room: leave it first"));
        }
        let mut work = Work::new();
        work.step(room.take_group(&self.env)?.forget(&*self.env.store)?);
        work.erase_all(room.rows());
        work.erase_all(room.early_rows());
        work.erase(row(ROOMS, id.0.clone()));
        for (group_id, instance) in Group::superseded(&*self.env.store)? {
            if group_id == id.0 {
                let old = Group::open(&*self.env.store, &self.env.crypto, instance)?;
                work.step(old.forget(&*self.env.store)?);
            }
        }
        for event in self.events(Some(id))? {
            work.erase(row(EVENTS, event.number.to_be_bytes()));
        }
        let wanted = self.intents.iter().filter(|(_, intent)| intent.room == *id);
        let wanted: Vec<_> = wanted.map(|(number, _)| *number).collect();
        for number in &wanted {
            work.erase(row(INTENTS, number.to_be_bytes()));
        }
        self.persist(work)?;
        self.rooms.remove(id);
        for number in wanted {
            self.intents.remove(&number);
            self.tell(number, Err(Error::Void("the room was forgotten")));
        }
        Ok(())
    }
}
