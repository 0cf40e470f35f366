//! What comes of requests.

use hushwood_delivery::wire::{Answer, CommitAnswer, ReadAnswer, RefusalCode, SendAnswer};

use crate::core::Core;
use crate::core::rooms::NEW;
use crate::core::work::Work;
use crate::error::Error;
use crate::invitation::InvitationId;
use crate::records::{Standing, row};
use crate::room::RoomId;
use crate::settings::{Millis, millis};
use crate::transport::TransportError;

/// What a request was for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Purpose {
    Challenge,
    Register,
    Login,
    Stock,
    Publish(usize),
    Claim {
        number: u64,
    },
    Inbox {
        wanted: u64,
    },
    /// The tree for an invitation.
    Invitation {
        id: InvitationId,
    },
    Acknowledge {
        ids: Vec<[u8; 32]>,
    },
    Devices,
    Revoke {
        device: [u8; 16],
    },
    Create {
        room: RoomId,
    },
    Read {
        room: RoomId,
        wanted: u64,
        after: u64,
        /// How far the log was known to go.
        known: u64,
    },
    Intent {
        room: RoomId,
        number: u64,
    },
    /// GroupInfo and tree, to come back.
    Info {
        room: RoomId,
        number: u64,
    },
}

impl Purpose {
    /// The room whose lane it is in; none for the account's.
    pub(super) fn room(&self) -> Option<&RoomId> {
        match self {
            Self::Create { room }
            | Self::Read { room, .. }
            | Self::Intent { room, .. }
            | Self::Info { room, .. } => Some(room),
            Self::Challenge
            | Self::Register
            | Self::Login
            | Self::Stock
            | Self::Publish(_)
            | Self::Claim { .. }
            | Self::Inbox { .. }
            | Self::Invitation { .. }
            | Self::Acknowledge { .. }
            | Self::Devices
            | Self::Revoke { .. } => None,
        }
    }
}

impl Core {
    pub(super) fn take_answer(
        &mut self,
        purpose: Purpose,
        answer: Result<Answer, TransportError>,
        now: Millis,
    ) -> Result<(), Error> {
        let Some(id) = purpose.room().cloned() else {
            self.account.in_flight = false;
            return self.take_account_answer(purpose, answer, now);
        };
        let Some(room) = self.rooms.get_mut(&id) else { return Ok(()) };
        room.in_flight = false;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return self.room_failed(&id, &purpose, error, now),
        };
        room.backoff.succeed();
        let taken = match (purpose, answer) {
            (Purpose::Create { .. }, Answer::CreateGroup(_)) => self.created(&id),
            (Purpose::Read { wanted, after, known, .. }, Answer::Read(ReadAnswer::Page(page))) => {
                self.read(&id, (wanted, after, known), &page, now)
            }
            // What comes next is forgotten.
            (Purpose::Read { .. }, Answer::Read(ReadAnswer::Trimmed { first, .. })) => self.fork(&id, first),
            (Purpose::Intent { number, .. }, Answer::Commit(CommitAnswer::Accepted(sequence)))
            | (Purpose::Intent { number, .. }, Answer::Send(SendAnswer::Accepted(sequence))) => {
                self.accepted(number, sequence, now)
            }
            (Purpose::Intent { number, .. }, Answer::Commit(CommitAnswer::Stale { epoch, winner })) => {
                self.lost(number, (epoch, winner), now)
            }
            (Purpose::Intent { number, .. }, Answer::Send(SendAnswer::Stale { epoch })) => {
                self.lost(number, (epoch, 0), now)
            }
            (Purpose::Info { number, .. }, Answer::GroupInfo(group)) => {
                self.come_back(&id, number, &group, now)
            }
            _ => Err(Error::BadAnswer("an answer to another question")),
        };
        match taken {
            Err(error @ Error::BadAnswer(_)) => {
                self.wait_in(&id, error, 0, now);
                Ok(())
            }
            taken => taken,
        }
    }

    /// A room's request was not answered, or refused.
    fn room_failed(
        &mut self,
        id: &RoomId,
        purpose: &Purpose,
        error: TransportError,
        now: Millis,
    ) -> Result<(), Error> {
        let TransportError::Refused(refused) = error else {
            self.wait_in(id, error.into(), 0, now);
            return Ok(());
        };
        if refused.is_temporary() || refused.code == RefusalCode::FAILED {
            let at_least = refused.retry_after.map_or(0, millis);
            self.wait_in(id, refused.into(), at_least, now);
            return Ok(());
        }
        match (refused.code, purpose) {
            // Of a room alone that is not there yet: what is there is read as before.
            (RefusalCode::REVOKED, Purpose::Create { .. }) => {
                self.account.stopped = Some(Error::Revoked);
                self.wait_in(id, Error::Revoked, 0, now);
                Ok(())
            }
            // Our clock is wrong, or somebody else's is: ask for the time, and try again with it.
            (RefusalCode::UNAUTHORIZED, _) => {
                if matches!(purpose, Purpose::Create { .. }) {
                    self.account.drop_token();
                }
                self.account.want_time();
                self.wait_in(id, refused.into(), 0, now);
                Ok(())
            }
            // Perhaps we were removed, and have not read it yet: that is then what to say.
            (RefusalCode::FORBIDDEN, Purpose::Intent { number, .. })
                if self.intent(*number)?.attempts == 0 =>
            {
                self.intent_mut(*number)?.attempts = 1;
                let room = self.room(id)?;
                room.read_wanted = room.read_wanted.max(room.read_done.saturating_add(1));
                self.wait_in(id, refused.into(), 0, now);
                Ok(())
            }
            (_, Purpose::Intent { number, .. }) => self.refused(*number, refused, now),
            // We can't read: removed for so long that nobody knows us, or the log is gone.
            (_, Purpose::Read { wanted, .. }) => {
                let room = self.room(id)?;
                room.read_done = room.read_done.max(*wanted);
                room.known = room.record.cursor;
                room.backoff.trouble = Some(refused.into());
                Ok(())
            }
            (_, Purpose::Info { number, .. }) => self.give_up(*number, refused.into()),
            (_, _) => {
                self.wait_in(id, refused.into(), 0, now);
                Ok(())
            }
        }
    }

    /// A lane waits before it tries again.
    pub(super) fn wait_in(&mut self, id: &RoomId, trouble: Error, at_least: u64, now: Millis) {
        let retry = self.env.settings.retry;
        if let Some(room) = self.rooms.get_mut(id) {
            room.backoff.fail(trouble, (now, at_least), retry, &mut *self.env.random);
        }
    }

    fn created(&mut self, id: &RoomId) -> Result<(), Error> {
        let room = self.room(id)?;
        let mut work = Work::new();
        if room.record.standing == Standing::New {
            room.record.standing = Standing::Active;
        }
        work.erase(row(room.rows(), NEW));
        room.put(&mut work)?;
        self.persist(work)
    }
}
