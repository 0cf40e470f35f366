//! How clients come into groups: KeyPackages, Welcomes, external commits.

use std::rc::Rc;

use hushwood::commit::Answers;
use hushwood::credential::judge;
use hushwood::error::{Error, NotNow};
use hushwood::extension::Extensions;
use hushwood::framing::MlsMessage;
use hushwood::group::{
    ExternalJoin, Group, GroupInfoOptions, OpenedWelcome, Outgoing, StagedExternalJoin, Unacknowledged,
    client,
};
use hushwood::key_package::{KeyPackageBuilder, ValidKeyPackage, validate};
use hushwood::policy::Timestamp;
use hushwood::schedule::Psk;
use hushwood::tree::{LeafContent, LeafIndex};
use hushwood_codec::Decode;
use hushwood_crypto::{CipherSuite, Signer};

use crate::action::Action;
use crate::checks::{Check, Failure, Lineage};
use crate::client::{Attempt, Character, Client, Core, Mail, Making, Seat};
use crate::delivery::{Answer, Entry, What};
use crate::world::{Judge, World, credential, pick, psk_id, supported};

/// A Welcome that can't be used yet is tried as often.
const TRIES: u32 = 4;

impl World {
    /// Somebody to invite: a new client as long as there may be more, or one that is not in the group.
    pub(crate) fn candidate(&mut self, room: usize, action: &Action) -> Result<Option<usize>, Failure> {
        if self.clients.len() < self.config.members && !action.how.is_multiple_of(5) {
            let action = action.number.rotate_left(20) ^ u64::from(action.which);
            return self.birth(action ^ u64::try_from(self.clients.len()).expect("a number")).map(Some);
        }
        let start = usize::try_from(action.which).expect("a number");
        let count = self.clients.len();
        let candidates = (0..count.min(8)).map(|step| (start + step) % count);
        Ok(candidates.into_iter().find(|client| {
            let client = &self.clients[*client];
            client.twin_of.is_none() && client.seat_in(room).is_none() && client.mail.is_empty()
        }))
    }

    /// A KeyPackage of a client, validated: one that it has published, or a new one.
    pub(crate) fn invitable(
        &mut self,
        invited: usize,
        room: usize,
    ) -> Result<Option<ValidKeyPackage>, Failure> {
        let suite = self.suite(room);
        let number = invited;
        let invited = &mut self.clients[invited];
        let published = match suite.id() == self.provider.suites[0].id() {
            true => invited.published.pop().or_else(|| invited.last_resort.clone()),
            false => None,
        };
        let published = match published {
            Some(published) => published,
            None => match self.key_package(number, suite, false)? {
                Some(made) => made,
                None => return Ok(None),
            },
        };
        let valid = self.validated(&published, suite);
        if let Some(valid) = &valid {
            let owners = self.owners.entry(valid.reference().0.clone()).or_default();
            if !owners.contains(&number) {
                owners.push(number);
            }
        }
        Ok(valid)
    }

    pub(crate) fn validated(
        &self,
        message: &[u8],
        suite: &'static dyn CipherSuite,
    ) -> Option<ValidKeyPackage> {
        match MlsMessage::from_bytes(message) {
            Ok(MlsMessage::KeyPackage(key_package)) => {
                validate(*key_package, suite, &self.policy(0), self.now).ok()
            }
            _ => None,
        }
    }

    /// The suite of a group.
    pub(crate) fn suite(&self, room: usize) -> &'static dyn CipherSuite {
        self.rooms[room].suite
    }

    /// Makes a KeyPackage, and keeps its keys.
    pub(crate) fn key_package(
        &mut self,
        number: usize,
        suite: &'static dyn CipherSuite,
        last_resort: bool,
    ) -> Result<Option<Rc<[u8]>>, Failure> {
        let (now, policy) = (self.now, self.policy(number));
        let name = self.clients[number].twin_of.unwrap_or(number);
        let content = LeafContent {
            credential: credential(name),
            supported: supported(&self.provider).preferring(suite.id()),
            extensions: Extensions::new(),
        };
        let builder = KeyPackageBuilder::new(suite, content);
        let builder = if last_resort { builder.last_resort() } else { builder };
        let made = self.clients[number].core.attempt(&mut self.seals, |core| {
            let Core { signers, dice, .. } = core;
            let newest = signers.last().expect("at least one");
            client::keep_key_package(builder.build(newest, &policy, now, dice)?)
        })?;
        Ok(made.done().map(Into::into))
    }

    /// Publishes a KeyPackage.
    pub(crate) fn publish(&mut self, action: &Action) -> Result<bool, Failure> {
        let who = usize::try_from(action.who).expect("a number") % self.clients.len();
        self.clients[who].core.roll(self.config.seed, action.number);
        let last_resort = action.how.is_multiple_of(4);
        if let Some(made) = self.key_package(who, self.provider.suites[0], last_resort)? {
            let client = &mut self.clients[who];
            match last_resort {
                true => client.last_resort = Some(made),
                false => client.published.push(made),
            }
        }
        Ok(true)
    }

    /// A Welcome goes to those whom it names.
    pub(crate) fn invite(&mut self, sender: usize, seat: usize, outgoing: &Outgoing) -> Result<(), Failure> {
        let sender = &self.clients[sender];
        let own = &sender.seats[seat];
        let invitation = own.invitations.get(outgoing.id.as_bytes());
        let message = MlsMessage::from_bytes(&outgoing.message);
        let Ok(MlsMessage::Welcome(welcome)) = message else {
            return Err(Failure::new(Check::Bug, format!("a Welcome is none: {message:?}")));
        };
        let mail = Mail {
            welcome: outgoing.message.clone().into(),
            tree: invitation.and_then(|(_, tree)| tree.clone()),
            room: own.room,
            branch: own.branch,
            lineage: invitation.map(|(lineage, _)| *lineage),
            trusted: sender.is_trusted() && invitation.is_some(),
            tries: 0,
        };
        for secrets in &welcome.secrets {
            // Those of whom the delivery service does not know which client has made the KeyPackage get nothing.
            for client in self.owners.get(&secrets.new_member.0).into_iter().flatten() {
                self.clients[*client].mail.push_back(mail.clone());
            }
        }
        Ok(())
    }

    /// Somebody reads a Welcome.
    pub(crate) fn read_mail(&mut self, action: &Action) -> Result<bool, Failure> {
        let count = self.clients.len();
        let start = usize::try_from(action.who).expect("a number");
        let reader = (0..count.min(32)).map(|step| (start + step) % count);
        let Some(reader) = reader.into_iter().find(|reader| !self.clients[*reader].mail.is_empty()) else {
            return Ok(false);
        };
        if self.is_full() && !self.seated.contains(&reader) {
            return Ok(false);
        }
        self.touch(reader);
        self.clients[reader].core.roll(self.config.seed, action.number);
        let Some(mut mail) = self.clients[reader].mail.pop_front() else { return Ok(false) };
        if action.how.is_multiple_of(16) {
            // The Welcome comes a second time.
            self.clients[reader].mail.push_back(Mail { tries: TRIES, ..mail.clone() });
        }
        if action.how % 16 == 1 {
            let mut bytes = mail.welcome.to_vec();
            let bit = usize::try_from(action.how >> 8).expect("a number") % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            self.clients[reader].mail.push_back(mail.clone());
            (mail.welcome, mail.trusted) = (bytes.into(), false);
        }
        self.accept_welcome(reader, mail)?;
        Ok(true)
    }

    /// Joins by a Welcome, if that is possible.
    pub(crate) fn accept_welcome(&mut self, reader: usize, mail: Mail) -> Result<(), Failure> {
        let (now, policy) = (self.now, self.policy(reader));
        let parent = self.rooms[mail.room].parent;
        let Client { core, seats, .. } = &mut self.clients[reader];
        let mut asked = Vec::new();
        let parent = parent.and_then(|room| {
            seats.iter().filter(|seat| seat.room == room).find_map(|seat| seat.group.as_ref())
        });
        let joined = core.attempt(&mut self.seals, |core| {
            let opened = OpenedWelcome::open(&mail.welcome, &core.disk, &core.provider, &policy)?;
            asked = opened.psks().to_vec();
            let answers = Answers::from_store(&core.disk, opened.psks())?;
            let users: &dyn hushwood::credential::CredentialValidator = &Judge;
            let parent = parent.filter(|_| opened.parent().is_some()).map(|group| (group, users));
            let staged = opened.stage(&answers, mail.tree.as_deref(), parent, now, &mut core.dice)?;
            let verdicts = judge(staged.checks(), &Judge);
            staged.accept(&verdicts, &core.disk, &mut core.dice)
        })?;
        let group = match joined {
            Attempt::Done(group) => group,
            Attempt::Down { written: true } => match self.found_on_disk(reader, mail.room)? {
                Some(group) => group,
                None => return Err(Failure::new(Check::Lost, "a group that was joined")),
            },
            Attempt::Undone | Attempt::Down { .. } => {
                self.clients[reader].mail.push_front(mail);
                return Ok(());
            }
            Attempt::Refused(error) => return self.not_joined(reader, mail, &error, &asked),
        };
        let Some(lineage) = mail.lineage.or_else(|| self.epochs.named(&group)) else {
            // Whoever sent it knows no better: nothing can be said about such a member.
            self.clients[reader].core.copied = true;
            return self.sit(reader, mail.room, group, Lineage::UNKNOWN, mail.branch).map(drop);
        };
        let seat = self.sit(reader, mail.room, group, lineage, mail.branch)?;
        let room = &self.rooms[mail.room];
        // Where its commit was withdrawn, the whole epoch is.
        let on_its_way = room
            .branches
            .iter()
            .any(|branch| branch.head == lineage || branch.commits.contains_key(&lineage));
        self.clients[reader].seats[seat].stuck = !on_its_way;
        Ok(())
    }

    fn not_joined(&mut self, reader: usize, mail: Mail, error: &Error, asked: &[Psk]) -> Result<(), Failure> {
        self.totals.refused += 1;
        self.last_refusal = format!("client {reader}, a Welcome: {error:?}");
        self.fetch_psks(reader, asked)?;
        let later = matches!(
            error,
            Error::NotNow(
                NotNow::PskMissing | NotNow::ParentMissing | NotNow::TreeMissing | NotNow::GroupExists
            )
        );
        let grown = self.rooms[mail.room].parent.is_some();
        let wrong = matches!(error, Error::Decode(_) | Error::Violation(_) | Error::Unsupported(_));
        // Who was in another history of the group has other keys of the same names.
        let resumed = asked.iter().any(|psk| matches!(psk, Psk::Resumption { .. }));
        if wrong && mail.trusted && !grown && !resumed && self.clients[reader].is_trusted() {
            let what = format!("client {reader} refuses a Welcome: {error:?}");
            return Err(Failure::new(Check::Liveness, what));
        }
        if later && mail.tries < TRIES {
            let tries = mail.tries + 1;
            self.clients[reader].mail.push_back(Mail { tries, ..mail });
        }
        Ok(())
    }

    /// A group that was written, of which its client does not know yet.
    fn found_on_disk(&mut self, client: usize, room: usize) -> Result<Option<Group>, Failure> {
        let core = &self.clients[client].core;
        let lost = |error: Error| Failure::new(Check::Lost, format!("{error:?}"));
        let found = Group::instance_of(core.disk.inner(), &self.rooms[room].group_id).map_err(lost)?;
        found.map(|instance| Group::open(&core.disk, &core.provider, instance).map_err(lost)).transpose()
    }

    /// A client has come into a group.
    pub(crate) fn sit(
        &mut self,
        client: usize,
        room: usize,
        group: Group,
        lineage: Lineage,
        branch: usize,
    ) -> Result<usize, Failure> {
        self.touch(client);
        let cursor = self.rooms[room].began.get(&lineage).copied();
        let cursor = cursor.unwrap_or(self.rooms[room].log.len());
        let group_id = group.group_id().to_vec();
        let seats = &mut self.clients[client].seats;
        for seat in seats.iter_mut() {
            // A later state has replaced it, or the group that it was reinitialised into.
            let same = self.rooms[seat.room].group_id == group_id;
            let before = self.rooms[room].parent == Some(seat.room) && self.rooms[room].replaces;
            seat.over |= same || before;
        }
        let mut seat = Seat::new(room, group, lineage, cursor);
        seat.branch = branch;
        seats.push(seat);
        if !self.seated.contains(&client) {
            self.seated.push(client);
        }
        Ok(self.clients[client].seats.len() - 1)
    }

    /// Somebody joins by an external commit: one that can't follow, one that is not in the group, one that sleeps.
    pub(crate) fn join(&mut self, action: &Action) -> Result<bool, Failure> {
        let room = usize::try_from(action.which).expect("a number") % self.rooms.len();
        let count = self.clients.len();
        let start = usize::try_from(action.who).expect("a number");
        let order = (0..count).map(|step| (start + step) % count);
        let in_need = |client: &Client| {
            client
                .seats
                .iter()
                .any(|seat| seat.room == room && !seat.over && (seat.stuck || seat.branch != 0))
        };
        let mut joiner = order.clone().find(|client| in_need(&self.clients[*client]));
        if joiner.is_none() && action.how.is_multiple_of(4) && !self.is_full() {
            joiner = order.take(8).find(|client| {
                let client = &self.clients[*client];
                client.twin_of.is_none() && client.seat_in(room).is_none()
            });
        }
        let Some(joiner) = joiner else { return Ok(false) };
        let givers: Vec<_> = self
            .seated
            .iter()
            .filter(|client| **client != joiner && self.clients[**client].character == Character::Honest)
            .filter_map(|client| {
                let seat = self.clients[*client].seats.iter().position(|seat| {
                    seat.room == room && seat.is_live() && seat.group.is_some() && seat.branch == 0
                });
                seat.map(|seat| (*client, seat))
            })
            .collect();
        let Some(giver) = pick(&givers, action.how >> 8).copied() else { return Ok(false) };
        self.join_with(joiner, room, giver, action.number, action.how)?;
        Ok(true)
    }

    /// Joins by the GroupInfo of a member. True if the commit was taken.
    pub(crate) fn join_with(
        &mut self,
        joiner: usize,
        room: usize,
        (giver, seat): (usize, usize),
        action: u64,
        how: u32,
    ) -> Result<bool, Failure> {
        let now = self.now;
        self.touch(joiner);
        self.clients[giver].core.roll(self.config.seed ^ 1, action);
        self.clients[joiner].core.roll(self.config.seed, action);
        let ratchet_tree = how & 0x10_0000 == 0;
        let Client { core, seats, .. } = &mut self.clients[giver];
        let own = &seats[seat];
        let (lineage, signer) = (own.lineage, own.signer(core));
        let group = own.group.as_ref().expect("a giver is up");
        let Core { signers, dice, .. } = core;
        let options = GroupInfoOptions { ratchet_tree, external_pub: true };
        let info = match group.group_info(options, &signers[signer], dice) {
            Ok(info) => info,
            Err(error) => {
                self.last_refusal = format!("client {giver} gives no GroupInfo: {error:?}");
                return Ok(false);
            }
        };
        let tree = match ratchet_tree {
            true => None,
            false => {
                Some(group.ratchet_tree().map_err(|error| Failure::new(Check::Bug, format!("{error:?}")))?)
            }
        };
        let epoch = group.epoch();
        let resync =
            self.clients[giver].seats[seat].group.as_ref().and_then(|group| self.leaf_of(joiner, group));
        let psk = how.is_multiple_of(3).then(|| Psk::External { psk_id: psk_id(0) });
        let policy = self.policy(joiner);
        let name = self.clients[joiner].twin_of.unwrap_or(joiner);
        let core = &mut self.clients[joiner].core;
        let made = core.attempt(&mut self.seals, |core| {
            let mut settings = ExternalJoin::new(core.provider, credential(name), supported(&core.provider));
            settings.answers = Answers::from_store(&core.disk, &psk)?;
            settings.psks.extend(psk);
            (settings.policy, settings.resync) = (policy, resync);
            let Core { signers, dice, disk, .. } = core;
            let newest = signers.last().expect("at least one");
            let staged = StagedExternalJoin::stage(&info, tree.as_deref(), settings, newest, now, dice)?;
            let verdicts = judge(staged.checks(), &Judge);
            staged.accept(&verdicts, disk, dice)
        })?;
        let (group, message) = match made {
            Attempt::Done((group, outgoing)) => (group, outgoing.message),
            Attempt::Down { written: true } => match self.found_on_disk(joiner, room)? {
                Some(group) => {
                    let all = group.unacknowledged(self.clients[joiner].core.disk.inner());
                    match all.as_deref() {
                        Ok([Unacknowledged::Outgoing(outgoing)]) => {
                            let message = outgoing.message.clone();
                            (group, message)
                        }
                        _ => {
                            return Err(Failure::new(
                                Check::Lost,
                                "the external commit of a group that was joined",
                            ));
                        }
                    }
                }
                None => return Err(Failure::new(Check::Lost, "a group that was joined")),
            },
            Attempt::Refused(Error::NotNow(NotNow::PskMissing)) => {
                self.fetch_psks(joiner, &[Psk::External { psk_id: psk_id(0) }])?;
                return Ok(false);
            }
            Attempt::Refused(Error::NotNow(NotNow::GroupExists)) => {
                // It was removed and has not heard of it.
                self.leave(joiner, room)?;
                return Ok(false);
            }
            Attempt::Refused(Error::Violation(violation)) if self.clients[giver].is_trusted() => {
                let what = format!("client {joiner} refuses the GroupInfo of client {giver}: {violation:?}");
                return Err(Failure::new(Check::Liveness, what));
            }
            Attempt::Refused(error) => {
                self.last_refusal = format!("client {joiner}, a GroupInfo: {error:?}");
                return Ok(false);
            }
            Attempt::Undone | Attempt::Down { .. } => return Ok(false),
        };
        self.arrive(joiner, room, group, &message, (lineage, epoch))
    }

    /// Hands the external commit in, and forgets the group if another commit was taken.
    fn arrive(
        &mut self,
        joiner: usize,
        room: usize,
        group: Group,
        message: &[u8],
        (lineage, epoch): (Lineage, u64),
    ) -> Result<bool, Failure> {
        let next = lineage.child(message);
        let entry = Entry {
            bytes: message.into(),
            what: What::Commit(next),
            from: joiner,
            trusted: self.clients[joiner].is_trusted(),
            lineage,
            epoch,
            branch: 0,
            judged: None,
            deceives: false,
            origin: None,
        };
        if self.rooms[room].submit(entry, next) != Answer::Taken {
            self.last_refusal = format!("the delivery service, the external commit of client {joiner}");
            forget(&mut self.clients[joiner].core, &Seat::new(room, group, lineage, 0))?;
            // The state that it was to replace is over all the same.
            for seat in self.clients[joiner].seats.iter_mut().filter(|seat| seat.room == room) {
                seat.over = true;
            }
            return Ok(false);
        }
        self.totals.joined += 1;
        let seat = self.sit(joiner, room, group, next, 0)?;
        let Client { core, seats, .. } = &mut self.clients[joiner];
        let own = &mut seats[seat];
        let group = own.group.as_ref().expect("it has just joined");
        let all = group.unacknowledged(core.disk.inner());
        for message in all.map_err(|error| Failure::new(Check::Lost, format!("{error:?}")))? {
            if let Unacknowledged::Outgoing(outgoing) = message {
                own.known.outbox.insert(*outgoing.id.as_bytes());
                own.outgoing.insert(*outgoing.id.as_bytes(), (Making::Nothing, next, 0));
            }
        }
        self.send(joiner, seat)?;
        Ok(true)
    }

    /// The leaf at which a client stands already.
    fn leaf_of(&self, client: usize, group: &Group) -> Option<LeafIndex> {
        let client = &self.clients[client];
        let own = client.seats.iter().rev().find(|seat| self.rooms[seat.room].group_id == group.group_id());
        // Where it last knew itself to be, if that is still true.
        let leaf = own.and_then(|own| own.group.as_ref()).map(Group::own_leaf);
        let name = credential(client.twin_of.unwrap_or(client.core.number));
        let is_own = |leaf: &LeafIndex| {
            let member = group.member(*leaf).ok().flatten();
            member.is_some_and(|member| member.leaf.credential == name)
        };
        if let Some(leaf) = leaf.filter(is_own) {
            return Some(leaf);
        }
        let keys: Vec<_> = client.core.signers.iter().map(Signer::public_key).collect();
        let mut members = group.members().filter_map(Result::ok);
        members.find(|member| keys.contains(&&member.leaf.signature_key)).map(|member| member.index)
    }

    /// Somebody forgets a group that is over.
    pub(crate) fn forget(&mut self, action: &Action) -> Result<bool, Failure> {
        let who = usize::try_from(action.who).expect("a number") % self.clients.len();
        let Client { core, seats, .. } = &mut self.clients[who];
        let Some(place) = seats.iter().position(|seat| seat.over) else { return Ok(false) };
        let seat = seats.remove(place);
        forget(core, &seat)?;
        Ok(true)
    }

    /// A client gives up a group that has gone on without it.
    fn leave(&mut self, client: usize, room: usize) -> Result<(), Failure> {
        // A group that was reinitialised under its own id is one of them.
        let group_id = &self.rooms[room].group_id;
        let is_of = |seat: &Seat| self.rooms[seat.room].group_id == *group_id && !seat.over;
        let Client { core, seats, .. } = &mut self.clients[client];
        while let Some(place) = seats.iter().position(is_of) {
            let seat = seats.remove(place);
            forget(core, &seat)?;
        }
        Ok(())
    }
}

/// Erases a state of a group.
fn forget(core: &mut Core, seat: &Seat) -> Result<(), Failure> {
    let Ok(group) = Group::open(core.disk.inner(), &core.provider, seat.instance) else { return Ok(()) };
    let step = group.forget(core.disk.inner());
    let forgotten = step.map(|step| step.commit(&mut core.disk));
    match forgotten {
        Ok(Ok(())) => Ok(()),
        other => Err(Failure::new(Check::Bug, format!("{other:?}"))),
    }
}

/// Long before anything else happens.
pub(crate) fn long_ago(now: Timestamp) -> Timestamp {
    Timestamp(now.0.saturating_sub(200 * 24 * 60 * 60))
}
