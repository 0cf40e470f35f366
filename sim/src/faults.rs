//! What goes wrong: crashes, writes, randomness, copies of a disk, a delivery service that misbehaves.

use hushwood::error::{Error, NotNow};
use hushwood::policy::{Padding, Policy};
use hushwood::transition::PersistError;
use test_support::failing_store::WriteFailure;

use crate::action::Action;
use crate::checks::Failure;
use crate::client::{Attempt, Character, Client, Core, Dice, Fault, Seat};
use crate::world::{World, pick};

impl World {
    /// The next operation of a client meets a fault.
    pub(crate) fn arm(&mut self, action: &Action) -> bool {
        let Some(client) = pick(&self.seated, action.who).copied() else { return false };
        let number = action.how >> 8 & 7;
        let failures = [PersistError::Stale, PersistError::Busy, PersistError::Full, PersistError::Refused];
        let fault = match action.how % 8 {
            0 => Fault::CrashBefore,
            1 => Fault::CrashAfter,
            2 => Fault::Write(WriteFailure::Written),
            3 => Fault::Write(WriteFailure::NotWritten(PersistError::Unknown)),
            4 | 5 => Fault::Random(number),
            6 => Fault::Read(u64::from(number)),
            _ => Fault::Write(WriteFailure::NotWritten(*pick(&failures, number).expect("there are some"))),
        };
        self.clients[client].core.fault = Some(fault);
        true
    }

    /// A client stops, and is started again.
    pub(crate) fn restart(&mut self, action: &Action) -> Result<bool, Failure> {
        let Some(client) = pick(&self.seated, action.who).copied() else { return Ok(false) };
        self.clients[client].stop();
        for seat in 0..self.clients[client].seats.len() {
            // Some stay down for a while, some are for past messages only.
            if !self.clients[client].seats[seat].over && !action.how.is_multiple_of(3) {
                self.ready(client, seat, action.number)?;
            }
        }
        Ok(true)
    }

    /// A client's disk is copied.
    pub(crate) fn snapshot(&mut self, action: &Action) -> bool {
        let Some(client) = pick(&self.seated, action.who).copied() else { return false };
        let client = &mut self.clients[client];
        let seats = client.seats.iter().filter(|seat| !seat.over && seat.unknown.is_none());
        let briefs = seats.map(Seat::brief).collect();
        client.snapshot = Some((client.core.copy(), briefs));
        true
    }

    /// The copy comes back: in place of the disk, or in somebody else's hands.
    pub(crate) fn restore(&mut self, action: &Action) -> bool {
        let copied: Vec<_> =
            (0..self.clients.len()).filter(|client| self.clients[*client].snapshot.is_some()).collect();
        let Some(number) = pick(&copied, action.who).copied() else { return false };
        let count = self.clients.len();
        let client = &mut self.clients[number];
        let Some((store, briefs)) = client.snapshot.take() else { return false };
        // From now on two go on from one state, or one goes on twice: keys are used twice, and that is nobody's fault.
        client.core.copied = true;
        let seats: Vec<_> = briefs.into_iter().map(Seat::restored).collect();
        if action.how.is_multiple_of(2) {
            client.core.insert(store);
            client.seats = seats;
            return true;
        }
        let dice = Dice::new(self.config.seed ^ 4, action.number);
        let mut core = Core::new(count, client.core.provider, client.core.same_signers(), dice);
        core.insert(store);
        core.copied = true;
        let twin_of = Some(client.twin_of.unwrap_or(number));
        let mut twin = Client::new(core, client.character);
        (twin.seats, twin.twin_of) = (seats, twin_of);
        self.clients.push(twin);
        self.seated.push(count);
        true
    }

    /// The delivery service takes two commits for one epoch, or says something again.
    pub(crate) fn misbehave(&mut self, action: &Action) -> bool {
        let place = usize::try_from(action.which).expect("a number") % self.rooms.len();
        let room = &mut self.rooms[place];
        if action.how.is_multiple_of(4) {
            room.fork = true;
            return true;
        }
        let Some(entry) = pick(&room.log, action.how >> 8) else { return false };
        let mut again = entry.clone();
        let place = room.log.iter().position(|other| std::rc::Rc::ptr_eq(&other.bytes, &entry.bytes));
        again.origin = entry.origin.or(place);
        room.log.push(again);
        true
    }

    /// A member changes its policy.
    pub(crate) fn change_policy(&mut self, action: &Action) -> Result<bool, Failure> {
        let Some((client, seat)) = self.seat(action)? else { return Ok(false) };
        let padding = [Padding::None, Padding::Block(64), Padding::Padme];
        let Client { core, seats, character, .. } = &mut self.clients[client];
        let own = &mut seats[seat];
        let Some(group) = &own.group else { return Ok(false) };
        let policy = Policy {
            padding: *pick(&padding, action.how).expect("there are some"),
            encrypt_handshakes: action.how & 16 == 0,
            ratchet_tree_extension: action.how & 32 == 0,
            check_lifetime_on_add: *character == Character::Honest,
            ..group.policy().clone()
        };
        let set = own.attempt(core, &mut self.seals, |group, _| group.set_policy(policy))?;
        match set {
            Attempt::Refused(Error::NotNow(NotNow::Reopen)) | Attempt::Done(()) => Ok(true),
            Attempt::Refused(_) | Attempt::Undone | Attempt::Down { .. } => Ok(true),
        }
    }
}
