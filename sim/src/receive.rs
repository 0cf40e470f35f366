//! What arrives: delivered, opened, accepted or refused; and what must have come of it.

use std::rc::Rc;

use hushwood::commit::Answers;
use hushwood::credential::judge;
use hushwood::error::{Error, NotNow};
use hushwood::group::{
    ApplicationMessage, Batch, EpochChange, MessageId, Received, ReceivedCommit, ReceivedMessage,
};
use hushwood::schedule::Psk;
use hushwood_crypto::HashReference;
use test_support::recording;

use crate::action::Action;
use crate::checks::{Check, Failure, Lineage};
use crate::client::{Attempt, Client, Core, Handed};
use crate::delivery::{OUTSIDE, What};
use crate::world::{Judge, PSKS, World, keep_psk, named, pick, psk_id};

/// What is delivered.
struct Delivery {
    bytes: Rc<[u8]>,
    /// Changed on the way.
    altered: bool,
}

/// A past epoch is kept for as long; before the end of it nobody may have forgotten.
const LATE: u64 = 7 * 24 * 60 * 60;
/// Past epochs that are kept.
const KEPT: u64 = 5;

impl World {
    /// Delivers something to somebody.
    pub(crate) fn deliver(&mut self, action: &Action) -> Result<bool, Failure> {
        let Some((client, seat)) = self.seat(action)? else { return Ok(false) };
        let Some((place, altered)) = self.choose(client, seat, action) else { return Ok(false) };
        let mut delivery = Delivery { bytes: self.log(client, seat)[place].bytes.clone(), altered };
        if altered {
            let mut bytes = delivery.bytes.to_vec();
            let bit = usize::try_from(action.how >> 8).expect("a number") % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            delivery.bytes = bytes.into();
        }
        self.receive(client, seat, place, &delivery)?;
        Ok(true)
    }

    fn log(&self, client: usize, seat: usize) -> &[crate::delivery::Entry] {
        &self.rooms[self.clients[client].seats[seat].room].log
    }

    /// The next message for a seat, by one of several ways to lose order.
    fn choose(&mut self, client: usize, seat: usize, action: &Action) -> Option<(usize, bool)> {
        let seat = &mut self.clients[client].seats[seat];
        let room = &self.rooms[seat.room];
        let end = room.log.len();
        // Commits of other histories are not for this member.
        while seat.cursor < end {
            let entry = &room.log[seat.cursor];
            if !matches!(entry.what, What::Commit(_)) || entry.branch == seat.branch {
                break;
            }
            seat.cursor += 1;
        }
        let commit = room.next_commit(seat.branch, seat.lineage);
        match action.how % 100 {
            64..72 if seat.cursor + 1 < end => {
                seat.aside.push(seat.cursor);
                seat.cursor += 2;
                Some((seat.cursor - 1, false))
            }
            72..84 if !seat.aside.is_empty() => {
                let place = usize::try_from(action.how >> 8).expect("a number") % seat.aside.len();
                Some((seat.aside.swap_remove(place), false))
            }
            84..88 if seat.cursor > 0 => {
                Some((usize::try_from(action.how >> 8).expect("a number") % seat.cursor, false))
            }
            88..92 if seat.cursor < end => Some((seat.cursor, true)),
            92..96 if seat.cursor < end => {
                seat.cursor += 1;
                None
            }
            96..100 if commit.is_some() => commit.map(|place| (place, false)),
            _ if seat.cursor < end => {
                seat.cursor += 1;
                Some((seat.cursor - 1, false))
            }
            _ => match seat.aside.pop() {
                Some(place) => Some((place, false)),
                None => commit.map(|place| (place, false)),
            },
        }
    }

    /// A seat gets an entry of the log as it is.
    pub(crate) fn receive_entry(&mut self, client: usize, seat: usize, place: usize) -> Result<(), Failure> {
        let bytes = self.log(client, seat)[place].bytes.clone();
        self.receive(client, seat, place, &Delivery { bytes, altered: false })
    }

    fn receive(
        &mut self,
        client: usize,
        seat: usize,
        place: usize,
        delivery: &Delivery,
    ) -> Result<(), Failure> {
        let now = self.now;
        let Some(group) = &self.clients[client].seats[seat].group else { return Ok(()) };
        let received = group.receive(&delivery.bytes, now);
        if delivery.altered {
            return match received {
                Err(error) => self.refused(client, seat, place, &error, true),
                Ok(Received::Commit(commit)) => {
                    // An external commit has no tag before its confirmation tag, which is checked at the end.
                    let Client { core, seats, .. } = &mut self.clients[client];
                    let answers = Answers::from_store(core.disk.inner(), commit.psks());
                    let answers = answers.map_err(|error| Failure::new(Check::Bug, format!("{error:?}")))?;
                    let Some(group) = &seats[seat].group else { return Ok(()) };
                    match group.stage_commit(&commit, &answers, now, &mut core.dice) {
                        Err(error) => self.refused(client, seat, place, &error, true),
                        // RFC 9420 §12.4.2: whom it removes can't check the tag.
                        Ok(staged) if staged.removes_us() => Ok(()),
                        Ok(staged) => {
                            Err(Failure::new(Check::Forgery, format!("was changed on the way: {staged:?}")))
                        }
                    }
                }
                Ok(other) => Err(Failure::new(Check::Forgery, format!("was changed on the way: {other:?}"))),
            };
        }
        match received {
            Err(error) => self.refused(client, seat, place, &error, false),
            Ok(Received::Message(message)) => self.open(client, seat, place, message),
            Ok(Received::Proposal(proposal)) => {
                self.check_origin(client, seat, place, "a proposal")?;
                let verdicts = judge(proposal.checks(), &Judge);
                let Client { core, seats, .. } = &mut self.clients[client];
                let accepted = seats[seat]
                    .attempt(core, &mut self.seals, |group, _| group.accept_proposal(proposal, &verdicts))?;
                match accepted {
                    Attempt::Refused(error) => self.refused(client, seat, place, &error, false),
                    Attempt::Done(_) | Attempt::Undone | Attempt::Down { .. } => Ok(()),
                }
            }
            Ok(Received::Commit(commit)) => {
                self.check_origin(client, seat, place, "a commit")?;
                self.follow(client, seat, place, commit, false)
            }
            Ok(Received::OwnCommit(id)) => {
                let on_its_way = self.clients[client].seats[seat].lineage;
                let taken = self.rooms[self.clients[client].seats[seat].room]
                    .next_commit(self.clients[client].seats[seat].branch, on_its_way);
                if taken == Some(self.origin(client, seat, place)) {
                    let own = &mut self.clients[client].seats[seat];
                    own.commits.values_mut().for_each(|other| *other = Handed::Refused);
                    own.commits.insert(id, Handed::Taken);
                    self.apply(client, seat, id)?;
                }
                Ok(())
            }
            Ok(Received::OwnProposal(_)) => Ok(()),
        }
    }

    /// Where an entry stood first.
    fn origin(&self, client: usize, seat: usize, place: usize) -> usize {
        self.log(client, seat)[place].origin.unwrap_or(place)
    }

    /// What is accepted as of an epoch was made in it.
    fn check_origin(&self, client: usize, seat: usize, place: usize, what: &str) -> Result<(), Failure> {
        let entry = &self.log(client, seat)[place];
        let own = &self.clients[client].seats[seat];
        // RFC 9420 §6.1: what comes from outside is signed for a number of an epoch, which histories share.
        let outside = matches!(entry.what, What::Proposal | What::Harm)
            && own.group.as_ref().is_some_and(|group| group.epoch() == entry.epoch)
            && (entry.from == OUTSIDE || entry.what == What::Harm);
        // Of a copy nobody may know in which epoch it is.
        let known =
            self.clients[client].is_trusted() && self.clients.get(entry.from).is_none_or(Client::is_trusted);
        match entry.lineage == own.lineage || outside || !known {
            true => Ok(()),
            false => Err(Failure::new(Check::Forgery, format!("{what} of another epoch: {:?}", entry.what))),
        }
    }

    /// Takes an application message, and acknowledges it perhaps.
    fn open(
        &mut self,
        client: usize,
        seat: usize,
        place: usize,
        message: ReceivedMessage,
    ) -> Result<(), Failure> {
        let What::Said(number) = self.log(client, seat)[place].what else {
            return Err(Failure::new(Check::Forgery, "an application message that nobody said"));
        };
        let Client { core, seats, .. } = &mut self.clients[client];
        let opened = seats[seat].attempt(core, &mut self.seals, |group, _| group.accept_message(message))?;
        let message = match opened {
            Attempt::Done(message) => message,
            Attempt::Refused(error) => return self.refused(client, seat, place, &error, false),
            Attempt::Down { written: true } => return self.opened(client, seat, number),
            Attempt::Undone | Attempt::Down { .. } => return Ok(()),
        };
        let id = *message.id.as_bytes();
        seats[seat].known.inbox.insert(id);
        self.read(client, seat, number, &message)?;
        if number % 8 == 0 {
            // The application stops before it has dealt with it.
            return Ok(());
        }
        self.acknowledge(client, seat, message.id)
    }

    /// What was opened is what was said, by whom it was said.
    fn read(
        &mut self,
        client: usize,
        seat: usize,
        number: u64,
        message: &ApplicationMessage,
    ) -> Result<(), Failure> {
        let place = usize::try_from(number).expect("a number");
        let said = self.said[place];
        let text = message.plaintext.expose().get(..8).map(|text| text.to_vec());
        let epochs = &self.clients[client].seats[seat].epochs;
        // Who came here by a Welcome that nobody can tell the place of has a history of which nobody knows.
        let is_known = self.clients[said.client].is_trusted()
            && epochs.values().all(|lineage| *lineage != Lineage::UNKNOWN);
        let right = text == Some(number.to_be_bytes().to_vec())
            && message.sender.number() == said.leaf
            && named(&message.credential) == Some(self.clients[said.client].twin_of.unwrap_or(said.client))
            && message.epoch == said.epoch
            && (!is_known || epochs.get(&said.epoch).is_none_or(|own| *own == said.lineage));
        if !right {
            return Err(Failure::new(
                Check::Attribution,
                format!("message {number}: {message:?}, not {said:?}"),
            ));
        }
        self.opened(client, seat, number)
    }

    /// A message is opened once.
    fn opened(&mut self, client: usize, seat: usize, number: u64) -> Result<(), Failure> {
        self.totals.opened += 1;
        let reader = &mut self.clients[client];
        let before = reader.seats.iter().any(|seat| seat.opened.contains(&number));
        reader.seats[seat].opened.insert(number);
        match before && reader.is_trusted() {
            true => Err(Failure::new(Check::Twice, format!("message {number} by client {client}"))),
            false => Ok(()),
        }
    }

    /// Stages a commit, looks at it, and accepts it.
    fn follow(
        &mut self,
        client: usize,
        seat: usize,
        place: usize,
        commit: ReceivedCommit,
        again: bool,
    ) -> Result<(), Failure> {
        let now = self.now;
        let Client { core, seats, .. } = &mut self.clients[client];
        let answers = Answers::from_store(core.disk.inner(), commit.psks());
        let answers = answers.map_err(|error| Failure::new(Check::Bug, format!("{error:?}")))?;
        let own = &mut seats[seat];
        let next = own.lineage.child(&self.rooms[own.room].log[place].bytes);
        own.underway = Some(next);
        let accepted = own.attempt(core, &mut self.seals, |group, core| {
            let staged = group.stage_commit(&commit, &answers, now, &mut core.dice)?;
            let verdicts = judge(staged.checks(), &Judge);
            group.accept_commit(staged, &verdicts, now)
        })?;
        match accepted {
            Attempt::Done(change) => {
                own.underway = None;
                self.follows(client, seat, place, &change, next)
            }
            Attempt::Down { .. } => Ok(()),
            Attempt::Undone => {
                own.underway = None;
                Ok(())
            }
            Attempt::Refused(error) => {
                own.underway = None;
                match error {
                    Error::NotNow(NotNow::PskMissing) if again => {
                        // The key of an epoch that it was not in.
                        own.stuck = true;
                        Ok(())
                    }
                    Error::NotNow(NotNow::PskMissing) => {
                        self.fetch_psks(client, commit.psks())?;
                        self.follow(client, seat, place, commit, true)
                    }
                    Error::NotNow(NotNow::ProposalMissing) => {
                        self.fetch_proposals(client, seat, place, &commit)
                    }
                    error => self.refused(client, seat, place, &error, false),
                }
            }
        }
    }

    /// A member has followed a commit.
    fn follows(
        &mut self,
        client: usize,
        seat: usize,
        place: usize,
        change: &EpochChange,
        next: Lineage,
    ) -> Result<(), Failure> {
        self.clients[client].seats[seat].enter(change.epoch, next, self.now.0);
        self.noticed(client, seat);
        let origin = self.origin(client, seat, place);
        let trusted = self.clients[client].is_trusted();
        let room = &mut self.rooms[self.clients[client].seats[seat].room];
        let entry = &mut room.log[origin];
        if trusted {
            if entry.judged == Some(false) {
                return Err(Failure::new(
                    Check::Validity,
                    format!("client {client} accepts what others refuse"),
                ));
            }
            entry.judged = Some(true);
        }
        Ok(())
    }

    /// Gets pre-shared keys that a commit asks for.
    pub(crate) fn fetch_psks(&mut self, client: usize, psks: &[Psk]) -> Result<(), Failure> {
        for psk in psks {
            let Psk::External { psk_id: asked } = psk else { continue };
            if let Some(psk) = (0..PSKS).find(|psk| psk_id(*psk) == *asked) {
                keep_psk(&mut self.clients[client].core, &mut self.seals, psk)?;
            }
        }
        Ok(())
    }

    /// Gets proposals that a commit refers to, and then it once more.
    fn fetch_proposals(
        &mut self,
        client: usize,
        seat: usize,
        place: usize,
        commit: &ReceivedCommit,
    ) -> Result<(), Failure> {
        let own = &self.clients[client].seats[seat];
        let (lineage, room) = (own.lineage, &self.rooms[own.room]);
        let epoch = own.group.as_ref().map_or(0, hushwood::group::Group::epoch);
        let proposals = (0..room.log.len()).filter(|place| {
            let entry = &room.log[*place];
            // What comes from outside is for all histories that have an epoch of this number.
            let outside = entry.from == OUTSIDE || entry.what == What::Harm;
            matches!(entry.what, What::Proposal | What::Harm)
                && (entry.lineage == lineage || outside && entry.epoch == epoch)
                && entry.from != client
        });
        for proposal in proposals.collect::<Vec<_>>() {
            self.receive_entry(client, seat, proposal)?;
        }
        let own = &self.clients[client].seats[seat];
        let Some(group) = own.group.as_ref().filter(|_| own.lineage == lineage) else { return Ok(()) };
        let missing: Vec<HashReference> = group.missing_proposals(commit);
        if !missing.is_empty() {
            let room = &self.rooms[own.room];
            let copied = |client: usize| self.clients.get(client).is_some_and(|client| !client.is_trusted());
            if room.log.iter().any(|entry| entry.lineage == lineage && copied(entry.from)) {
                // Of two proposals under one key this member has taken the other one.
                self.clients[client].seats[seat].stuck = true;
                return Ok(());
            }
            // A write may have failed; otherwise nobody has them any more.
            return self.refused(client, seat, place, &NotNow::ProposalMissing.into(), false);
        }
        self.receive_entry(client, seat, place)
    }

    /// Something was refused: was that right?
    fn refused(
        &mut self,
        client: usize,
        seat: usize,
        place: usize,
        error: &Error,
        altered: bool,
    ) -> Result<(), Failure> {
        self.totals.refused += 1;
        let entry = &self.log(client, seat)[place];
        self.last_refusal = format!("client {client}, {:?} by {}: {error:?}", entry.what, entry.sender());
        let origin = self.origin(client, seat, place);
        let reader = &self.clients[client];
        let own = &reader.seats[seat];
        let room = &self.rooms[own.room];
        let entry = &room.log[origin];
        if let Error::Bug(_) = error {
            return Err(Failure::new(Check::Bug, format!("client {client}: {error:?}")));
        }
        if altered || is_passing(error) {
            return Ok(());
        }
        if *error == NotNow::EpochFuture.into() {
            // Kept until its epoch comes.
            let aside = &mut self.clients[client].seats[seat].aside;
            if !aside.contains(&place) && aside.len() < 64 {
                aside.push(place);
            }
            return Ok(());
        }
        let trusted = entry.trusted && self.clients.get(entry.from).is_none_or(Client::is_trusted);
        let fair = trusted && reader.is_trusted() && !own.over;
        let unfair = |what: &str| {
            let what = format!("client {client} refuses {what} by client {}: {error:?}", entry.sender());
            Err(Failure::new(Check::Liveness, what))
        };
        match entry.what {
            What::Harm => Ok(()),
            What::Said(number) => {
                let current = own.group.as_ref().map_or(0, hushwood::group::Group::epoch);
                let readable = own.epochs.get(&entry.epoch) == Some(&entry.lineage)
                    && entry.epoch + KEPT > current
                    && (entry.epoch == current
                        || own.since.get(&(entry.epoch + 1)).is_some_and(|left| self.now.0 < left + LATE));
                let before = reader.seats.iter().any(|seat| seat.opened.contains(&number));
                match fair && readable && !before && entry.from != client {
                    true => unfair(&format!("message {number}")),
                    false => Ok(()),
                }
            }
            What::Proposal => {
                match fair && entry.lineage == own.lineage && *error != NotNow::KeyUsed.into() {
                    true if entry.from != client => unfair("a proposal"),
                    _ => Ok(()),
                }
            }
            What::Commit(_) => {
                if entry.lineage != own.lineage || entry.branch != own.branch {
                    return Ok(());
                }
                self.refused_commit(client, seat, origin, error)
            }
        }
    }

    /// A commit of a member's own epoch was refused.
    fn refused_commit(
        &mut self,
        client: usize,
        seat: usize,
        place: usize,
        error: &Error,
    ) -> Result<(), Failure> {
        let from = self.rooms[self.clients[client].seats[seat].room].log[place].from;
        let fair = self.clients.get(from).is_none_or(Client::is_trusted);
        let reader = &mut self.clients[client];
        let trusted = reader.is_trusted();
        let own = &mut reader.seats[seat];
        let room = &mut self.rooms[own.room];
        let entry = &mut room.log[place];
        if matches!(error, Error::NotNow(NotNow::OwnCommitDiscarded | NotNow::OwnUpdateLost)) {
            own.stuck = true;
            return Ok(());
        }
        // Whoever uses a key twice may be followed by some and not by others.
        let fair = fair && entry.trusted;
        let odd = !fair && matches!(error, Error::NotNow(_));
        if entry.deceives || !trusted || odd {
            own.stuck = true;
            return Ok(());
        }
        if entry.judged == Some(true) {
            let what = format!("client {client} refuses what others accept: {error:?}");
            return Err(Failure::new(Check::Validity, what));
        }
        if fair {
            let what = format!("client {client} refuses a commit by client {}: {error:?}", entry.sender());
            return Err(Failure::new(Check::Liveness, what));
        }
        entry.judged = Some(false);
        room.retract(place);
        Ok(())
    }

    /// Does several things in one write.
    pub(crate) fn batch(&mut self, action: &Action) -> Result<bool, Failure> {
        let Some((client, seat)) = self.seat(action)? else { return Ok(false) };
        let now = self.now;
        let Client { core, seats, .. } = &mut self.clients[client];
        let own = &mut seats[seat];
        let room = &self.rooms[own.room];
        let end = room.log.len().min(own.cursor + 2 + usize::try_from(action.how % 14).expect("a few"));
        let messages: Vec<_> = (own.cursor..end)
            .filter_map(|place| match room.log[place].what {
                What::Said(number) => Some((number, room.log[place].bytes.clone())),
                What::Proposal | What::Commit(_) | What::Harm => None,
            })
            .collect();
        let Some(group) = &mut own.group else { return Ok(false) };
        let mut batch = Batch::new(group);
        let mut taken = Vec::new();
        for (number, bytes) in messages {
            let ran = batch.run(|group| match group.receive(&bytes, now)? {
                Received::Message(message) => group.accept_message(message),
                _ => Err(Error::from(NotNow::Stale)),
            });
            if ran.is_ok() {
                taken.push(number);
            }
        }
        if taken.is_empty() {
            return Ok(false);
        }
        if pick(&[true, false, false, false], action.how >> 8) == Some(&true) {
            // Dropped: memory is ahead of the disk, and the group is of no use until it is opened again.
            drop(batch);
            if group.epoch_authenticator().is_ok() {
                return Err(Failure::new(Check::Refusal, "a group goes on after a batch that was dropped"));
            }
            own.group = None;
            return Ok(true);
        }
        let messages = batch.commit(&mut core.disk);
        recording::take();
        let Ok(messages) = messages else { return Err(Failure::new(Check::Bug, "a batch is not written")) };
        own.known.digest = crate::client::digest(group);
        for (number, message) in taken.into_iter().zip(&messages) {
            self.clients[client].seats[seat].known.inbox.insert(*message.id.as_bytes());
            self.read(client, seat, number, message)?;
        }
        for message in messages {
            self.acknowledge(client, seat, message.id)?;
        }
        Ok(true)
    }

    /// The application has dealt with a message.
    pub(crate) fn acknowledge(&mut self, client: usize, seat: usize, id: MessageId) -> Result<(), Failure> {
        let name = *id.as_bytes();
        let Client { core, seats, .. }: &mut Client = &mut self.clients[client];
        let own = &mut seats[seat];
        if own.group.is_none() {
            return Ok(());
        }
        own.acknowledging = 1;
        let done = own.attempt(core, &mut self.seals, |group, _: &mut Core| group.acknowledge(&id))?;
        if let Attempt::Done(()) = done {
            own.known.outbox.remove(&name);
            own.known.inbox.remove(&name);
            own.outgoing.remove(&name);
        }
        if own.group.is_some() {
            own.acknowledging = 0;
        }
        Ok(())
    }
}

/// Refusals that say nothing about the message.
fn is_passing(error: &Error) -> bool {
    matches!(
        error,
        Error::Crypto(_)
            | Error::StoreRead(_)
            | Error::NotNow(NotNow::Stale | NotNow::Reopen | NotNow::GroupEnded)
    )
}
