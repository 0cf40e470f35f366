//! Who is who, and who has not been heard for long.

use hushwood::credential::Claim;

use crate::core::Core;
use crate::core::intent::Action;
use crate::core::work::Work;
use crate::error::Error;
use crate::identity::{DeviceId, Member, is_same_person, member};
use crate::records::Standing;
use crate::room::RoomId;
use crate::safety_number::{SafetyNumber, sha512};
use crate::trust::Decision;

/// Somebody in a room, and how well their key is known.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Contact {
    /// Who.
    pub member: Member,
    /// The key that they show, with their credential.
    pub claim: Claim,
    /// How well it is known.
    pub trust: Known,
    /// When they were heard last in this room, in seconds; never, if it is not known.
    pub heard_at: Option<u64>,
}

/// How well a key is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Known {
    /// It is our own.
    Own,
    /// Somebody has compared numbers and said that it is right.
    Verified,
    /// It is the one that was seen first.
    Seen,
    /// It was not seen before, or is judged otherwise.
    Unknown,
    /// Somebody has said that it is not theirs.
    Doubted,
}

impl Core {
    /// Who is in a room, how well their keys are known, and when they were heard.
    ///
    /// # Errors
    /// [`Error::NoRoom`]; [`Error::Protocol`] if the store can't be read.
    pub fn contacts(&mut self, room: &RoomId) -> Result<Vec<Contact>, Error> {
        let own = self.env.claim();
        let group = self.group(room)?;
        let mut views = Vec::new();
        for view in group.members() {
            let view = view?;
            let who = member(&view.leaf.credential, group.suite());
            let signature_key = view.leaf.signature_key;
            let claim = Claim { credential: view.leaf.credential, signature_key };
            views.push((view.index.number(), who, claim));
        }
        let room = self.rooms.get(room).ok_or(Error::NoRoom)?;
        let mut contacts = Vec::new();
        for (leaf, member, claim) in views {
            let trust = self.env.judge.known(&claim, &own);
            let heard_at = room.heard_at(&self.env, leaf)?;
            contacts.push(Contact { member, claim, trust, heard_at });
        }
        Ok(contacts)
    }

    /// Whether somebody of this name is in a room, as far as it was read, with this device if one is named, or is about to be invited.
    /// Where nothing is read any more nobody knows.
    ///
    /// # Errors
    /// [`Error::NotThere`] if nobody is; [`Error::NoRoom`].
    pub(super) fn check_there(
        &mut self,
        room: &RoomId,
        person: &str,
        device: Option<DeviceId>,
    ) -> Result<(), Error> {
        self.refresh()?;
        let there = self.rooms.get(room).ok_or(Error::NoRoom)?;
        let is_coming = |number: &u64| {
            let action = self.intents.get(number).map(|intent| &intent.action);
            matches!(action, Some(Action::Add { person: other, .. })
                if is_same_person(&String::from_utf8_lossy(other), person))
        };
        if matches!(there.record.standing, Standing::Forked | Standing::Removed)
            || there.queue.iter().any(is_coming)
        {
            return Ok(());
        }
        let members = self.members(room)?;
        let is_it = |member: &Member| {
            is_same_person(&member.person, person) && device.is_none_or(|device| device == member.device)
        };
        if members.iter().any(is_it) {
            return Ok(());
        }
        let of_person = |member: &&Member| device.is_some() && is_same_person(&member.person, person);
        let mut there: Vec<_> = members.iter().filter(of_person).map(Member::to_string).collect();
        if there.is_empty() {
            there = members.into_iter().map(|member| member.person).collect();
        }
        there.sort();
        there.dedup();
        Err(Error::NotThere { person: person.to_owned(), device, there })
    }

    /// What people compare over another channel: of a key that somebody shows, or of our own [`claim`](Self::claim).
    ///
    /// # Errors
    /// [`Error::NoSuite`] if no suite of the provider has SHA-512; [`Error::Protocol`].
    pub fn safety_number(&self, claim: &Claim) -> Result<SafetyNumber, Error> {
        SafetyNumber::of_claim(&self.env.crypto, claim)
    }

    /// What all members of a room compare: of its epoch (RFC 9420 §8.7). It is the same for all who share one state, and another
    /// in the next epoch.
    ///
    /// # Errors
    /// [`Error::NoRoom`]; [`Error::NoSuite`]; [`Error::Protocol`] if we are no member, or the store can't be read.
    pub fn epoch_number(&mut self, room: &RoomId) -> Result<SafetyNumber, Error> {
        let suite = sha512(&self.env.crypto)?;
        SafetyNumber::of_epoch(suite, self.group(room)?.epoch_authenticator()?)
    }

    /// What we show of ourselves in groups.
    #[must_use]
    pub fn claim(&self) -> Claim {
        self.env.claim()
    }

    /// How well a key is known.
    #[must_use]
    pub fn known(&self, claim: &Claim) -> Known {
        self.env.judge.known(claim, &self.env.claim())
    }

    /// A key that was not believed, for [`trust`](Self::trust), by whose it is said to be.
    #[must_use]
    pub fn doubted(&self, member: &Member) -> Option<&Claim> {
        self.env.refused.get(member)
    }

    /// All keys that were not believed, with whose they are said to be.
    pub fn all_doubted(&self) -> impl Iterator<Item = (&Member, &Claim)> {
        self.env.refused.iter()
    }

    /// The user says that this key is whose it says it is: they have compared numbers. What waited for it goes on with the
    /// next [`want_sync`](Self::want_sync).
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn trust(&mut self, claim: &Claim) -> Result<(), Error> {
        self.decide(claim, Decision::Verified)
    }

    /// The user takes this key for whose it says it is, and has compared nothing: it is [`Known::Seen`]. What waited for it goes
    /// on as with [`trust`](Self::trust).
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn accept_key(&mut self, claim: &Claim) -> Result<(), Error> {
        self.decide(claim, Decision::Accepted)
    }

    /// The user says that this key is not whose it says it is. Rooms that waited for the answer are read on: whoever has the key is
    /// [`Known::Doubted`] there, what they say comes as [`EventKind::Doubted`](crate::EventKind::Doubted), and they can be taken out by
    /// [`remove_key`](Self::remove_key). They read what is said there until then.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn distrust(&mut self, claim: &Claim) -> Result<(), Error> {
        self.decide(claim, Decision::Doubted)
    }

    /// The user says what a key of a person is, before it was seen: what the application shows of keys, such as a number
    /// ([`Trust::recognising`](crate::Trust::recognising)). When it is shown it is [`Known::Verified`]. With nothing, whichever key is the
    /// first that this person shows is taken for theirs, and is [`Known::Seen`]. Spellings of a name are one name.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn expect_key(&mut self, person: &str, said: &str) -> Result<(), Error> {
        self.refresh()?;
        let mut work = Work::new();
        self.env.judge.expect(person, said, &mut work)?;
        self.persist(work)?;
        self.ask_again();
        Ok(())
    }

    fn decide(&mut self, claim: &Claim, decision: Decision) -> Result<(), Error> {
        self.refresh()?;
        let mut work = Work::new();
        self.env.judge.decide(claim, decision, &mut work)?;
        self.persist(work)?;
        self.env.refused.retain(|_, refused| refused != claim);
        self.ask_again();
        Ok(())
    }

    /// What waited for somebody to say whose a key is goes on.
    fn ask_again(&mut self) {
        self.look_again();
        for room in self.rooms.values_mut() {
            if room.paused.take().is_some() {
                // There is more than was read.
                room.read_wanted = room.read_wanted.max(room.read_done.saturating_add(1));
            }
            room.asked = None;
        }
    }
}
