//! A client: its disk, its keys, its seats in groups, and the one door through which it changes.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::rc::Rc;

use hushwood::error::{Error, StoreReadError};
use hushwood::group::{CommitId, Group, MessageId, Unacknowledged};
use hushwood::transition::{
    InstanceId, Persist, PersistError, Reader, RecordKey, RecordKind, Records, Step, WriteSet,
};
use hushwood_crypto::{
    CipherSuite, CryptoError, CryptoProvider, Random, Secret, SignaturePrivateKey, Signer, SignerError,
    SoftwareSigner,
};
use hushwood_store::MemoryStore;
use test_support::failing_store::{FailingStore, WriteFailure};
use test_support::random::SeededRandom;
use test_support::recording;

use crate::checks::{Check, Failure, Lineage, Seals, hash_of};

/// Who a client is to the checks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Character {
    /// Keeps to the rules.
    Honest,
    /// Means harm: nothing is expected of it, and nothing that it does may harm others.
    Hostile,
}

/// What happens to the next operation of a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The write fails.
    Write(WriteFailure),
    /// The client stops before the write of a step that it has begun.
    CrashBefore,
    /// The client stops after the write, before the step is confirmed.
    CrashAfter,
    /// The random source fails when it is asked for the time with this number, counted from 0.
    Random(u32),
    /// The read with this number fails, counted from 0.
    Read(u64),
}

/// The disk of a client. What is broken about it is broken on purpose, to see that it is found.
pub struct Disk {
    store: FailingStore<MemoryStore>,
    /// Says that it has written and has not, for as many writes.
    pub forgets: u32,
}

impl Disk {
    fn new(store: MemoryStore) -> Self {
        Self { store: FailingStore::new(store), forgets: 0 }
    }

    /// What is on it, read without faults.
    #[must_use]
    pub fn inner(&self) -> &MemoryStore {
        self.store.inner()
    }
}

impl Persist for Disk {
    fn persist(&mut self, writes: &WriteSet) -> Result<(), PersistError> {
        match self.forgets.checked_sub(1) {
            Some(left) => {
                self.forgets = left;
                Ok(())
            }
            None => self.store.persist(writes),
        }
    }
}

impl Records for Disk {
    fn version(&self, instance: InstanceId) -> Result<u64, StoreReadError> {
        self.store.version(instance)
    }
    fn get(&self, key: &RecordKey) -> Result<Option<Secret>, StoreReadError> {
        self.store.get(key)
    }
    fn list(&self, instance: InstanceId, kind: RecordKind) -> Result<Vec<(Vec<u8>, Secret)>, StoreReadError> {
        self.store.list(instance, kind)
    }
    fn reader(&self) -> Result<Reader, StoreReadError> {
        self.store.reader()
    }
}

/// Randomness that depends on the seed and the action, and fails when it is to.
#[derive(Debug)]
pub struct Dice {
    random: SeededRandom,
    fails_in: Option<u32>,
    /// Whether it has failed.
    pub failed: bool,
}

impl Dice {
    /// For an action of a seed.
    #[must_use]
    pub fn new(seed: u64, action: u64) -> Self {
        Self { random: SeededRandom::new(hash_of(&(seed, action))), fails_in: None, failed: false }
    }
}

impl Random for Dice {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CryptoError> {
        match &mut self.fails_in {
            Some(0) => {
                self.failed = true;
                return Err(CryptoError::Random);
            }
            Some(left) => *left -= 1,
            None => {}
        }
        self.random.fill(bytes)
    }
}

/// Signs what it is given, or something else.
pub struct Liar<'s>(pub &'s SoftwareSigner);

impl Signer for Liar<'_> {
    fn public_key(&self) -> &hushwood_crypto::SignaturePublicKey {
        self.0.public_key()
    }
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError> {
        self.0.sign(&[message, b"not what is sent"].concat())
    }
}

/// A client without its groups.
pub struct Core {
    /// Its number, which is its name.
    pub number: usize,
    /// Its provider.
    pub provider: CryptoProvider,
    /// Its disk.
    pub disk: Disk,
    /// Its randomness for what it does now.
    pub dice: Dice,
    /// What the next operation meets.
    pub fault: Option<Fault>,
    /// Its signature keys, the newest last; a seat uses one of them.
    pub signers: Vec<SoftwareSigner>,
    /// Somebody has a copy of its state, or it goes on from an old one.
    pub copied: bool,
    /// How many steps were made, and how many met a fault.
    pub steps: (u64, u64),
}

/// What came of an operation.
#[derive(Debug)]
pub enum Attempt<T> {
    /// It is done.
    Done(T),
    /// It was refused, and nothing has changed.
    Refused(Error),
    /// The write has failed, and nothing has changed.
    Undone,
    /// The client has stopped, or does not know what was written. The flag, of which it does not know, tells.
    Down {
        /// Whether the step was written.
        written: bool,
    },
}

impl<T> Attempt<T> {
    /// What it gave, if it is done.
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(output) => Some(output),
            Self::Refused(_) | Self::Undone | Self::Down { .. } => None,
        }
    }
}

/// What is written before a step is confirmed.
enum Written {
    Yes,
    No,
    Unknown(bool),
}

impl Core {
    /// A client with an empty disk.
    #[must_use]
    pub fn new(number: usize, provider: CryptoProvider, signers: Vec<SoftwareSigner>, dice: Dice) -> Self {
        let disk = Disk::new(MemoryStore::new());
        Self { number, provider, disk, dice, fault: None, signers, copied: false, steps: (0, 0) }
    }

    /// Its suite at first.
    #[must_use]
    pub fn suite(&self) -> &'static dyn CipherSuite {
        self.provider.suites[0]
    }

    /// Gets the randomness for an action: no other client, and no other action, has the same.
    pub fn roll(&mut self, seed: u64, action: u64) {
        self.dice = Dice::new(seed, hash_of(&(action, self.number)));
    }

    /// A copy of what is on its disk.
    #[must_use]
    pub fn copy(&self) -> MemoryStore {
        self.disk.inner().snapshot()
    }

    /// Goes on from another disk.
    pub fn insert(&mut self, store: MemoryStore) {
        self.disk = Disk::new(store);
    }

    /// Its keys once more.
    #[must_use]
    pub fn same_signers(&self) -> Vec<SoftwareSigner> {
        let copy = |signer: &SoftwareSigner| {
            let private = SignaturePrivateKey(signer.private_key().0.duplicate());
            SoftwareSigner::new(self.suite(), private).expect("a key that was one before")
        };
        self.signers.iter().map(copy).collect()
    }

    /// Readies what the armed fault needs before an operation is computed.
    fn arm(&mut self) -> Option<Fault> {
        let fault = self.fault.take();
        match fault {
            Some(Fault::Random(number)) => self.dice.fails_in = Some(number),
            Some(Fault::Read(number)) => {
                let read = self.disk.store.reads() + number + 1;
                self.disk.store.fail_read(read, StoreReadError::Io);
            }
            Some(Fault::Write(failure)) => {
                let write = self.disk.store.writes() + 1;
                self.disk.store.fail_write(write, failure);
            }
            Some(Fault::CrashBefore | Fault::CrashAfter) | None => {}
        }
        fault
    }

    fn disarm(&mut self) {
        self.dice.fails_in = None;
        let past = (self.disk.store.reads().saturating_sub(1), self.disk.store.writes());
        self.disk.store.fail_read(past.0, StoreReadError::Io);
        self.disk.store.fail_write(past.1, WriteFailure::Written);
    }

    /// Makes a step real, or meets the fault.
    fn write<T>(&mut self, step: Step<'_, T>, fault: Option<Fault>) -> (Option<T>, Written) {
        match fault {
            Some(Fault::CrashBefore) => {
                drop(step.begin());
                (None, Written::Unknown(false))
            }
            Some(Fault::CrashAfter) => {
                let (writes, pending) = step.begin();
                let written = self.disk.persist(&writes).is_ok();
                drop(pending);
                (None, Written::Unknown(written))
            }
            _ => match step.commit(&mut self.disk) {
                Ok(output) => (Some(output), Written::Yes),
                Err(hushwood::transition::CommitError(PersistError::Unknown)) => {
                    (None, Written::Unknown(fault == Some(Fault::Write(WriteFailure::Written))))
                }
                Err(_) => (None, Written::No),
            },
        }
    }

    /// Runs an operation that makes something new: a KeyPackage, a group.
    ///
    /// # Errors
    /// What the checks find.
    pub fn attempt<T>(
        &mut self,
        seals: &mut Seals,
        what: impl FnOnce(&mut Self) -> Result<Step<'static, T>, Error>,
    ) -> Result<Attempt<T>, Failure> {
        let fault = self.arm();
        let result = what(self).map(|step| self.write(step, fault));
        self.finish(seals, fault, result)
    }

    fn finish<T>(
        &mut self,
        seals: &mut Seals,
        fault: Option<Fault>,
        result: Result<(Option<T>, Written), Error>,
    ) -> Result<Attempt<T>, Failure> {
        self.disarm();
        self.steps.0 += 1;
        self.steps.1 += u64::from(fault.is_some());
        let made = recording::take();
        if matches!(&result, Ok((_, Written::No))) && !matches!(fault, Some(Fault::Write(_))) {
            return Err(Failure::new(Check::Bug, format!("client {}: a write has failed", self.number)));
        }
        let released = matches!(&result, Ok((_, Written::Yes | Written::Unknown(true))));
        if !self.copied {
            seals.add(&made, released)?;
        }
        Ok(match result {
            Err(error) => {
                self.check_error(&error, fault)?;
                Attempt::Refused(error)
            }
            Ok((Some(output), Written::Yes)) => Attempt::Done(output),
            Ok((_, Written::Unknown(written))) => Attempt::Down { written },
            Ok((_, Written::Yes | Written::No)) => Attempt::Undone,
        })
    }

    /// Faults of the library's own, and failures that nobody has caused.
    fn check_error(&mut self, error: &Error, fault: Option<Fault>) -> Result<(), Failure> {
        let failed = std::mem::take(&mut self.dice.failed);
        let caused = match error {
            Error::Bug(_) => false,
            Error::StoreRead(StoreReadError::Io) => matches!(fault, Some(Fault::Read(_))),
            Error::StoreRead(_) => self.copied,
            Error::Crypto(CryptoError::Random) => failed,
            Error::Crypto(_) | Error::Signer(_) => false,
            _ => true,
        };
        match caused {
            true => Ok(()),
            false => Err(Failure::new(Check::Bug, format!("client {}: {error:?}", self.number))),
        }
    }
}

/// What a member was told, and what it must find after a restart.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Known {
    /// What is in memory: epoch, transcript, status, waiting proposals, staged commits.
    pub digest: u64,
    /// Messages to be sent that were not acknowledged.
    pub outbox: BTreeSet<[u8; 16]>,
    /// Messages received that were not acknowledged.
    pub inbox: BTreeSet<[u8; 16]>,
}

/// What became of a commit of our own at the delivery service.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Handed {
    /// It was not given to it.
    No,
    /// It was taken.
    Taken,
    /// Another one was.
    Refused,
}

/// What a member makes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Making {
    /// Nothing that is sent.
    Nothing,
    /// A proposal.
    Proposal,
    /// The application message of this number.
    Said(u64),
    /// A commit.
    Commit,
    /// Welcomes.
    Welcome,
}

/// The epoch that a Welcome leads to, and the tree if that is not in it.
pub type Invitation = (Lineage, Option<Rc<[u8]>>);

/// A seat as it was when its client's disk was copied.
#[derive(Clone, Debug)]
pub struct Brief {
    room: usize,
    instance: InstanceId,
    lineage: Lineage,
    branch: usize,
    epochs: BTreeMap<u64, Lineage>,
    cursor: usize,
}

/// A client in a group.
pub struct Seat {
    /// The group.
    pub room: usize,
    /// Its state on the disk.
    pub instance: InstanceId,
    /// Its state in memory; none while the client is down.
    pub group: Option<Group>,
    /// The epoch it is in.
    pub lineage: Lineage,
    /// If the write was one of unknown outcome: where a commit would have led to.
    pub underway: Option<Lineage>,
    /// The last write is of unknown outcome, and has been made (`true`) or not.
    pub unknown: Option<bool>,
    /// Which of the histories it follows, if the delivery service has forked the group.
    pub branch: usize,
    /// The epochs that it has been in.
    pub epochs: BTreeMap<u64, Lineage>,
    /// When it has come into them.
    pub since: BTreeMap<u64, u64>,
    /// How far it has read in the room's log.
    pub cursor: usize,
    /// What it has passed over, to be read later.
    pub aside: Vec<usize>,
    /// Its commits of this epoch.
    pub commits: BTreeMap<CommitId, Handed>,
    /// What it is making, in case that it does not get to know that it has made it.
    pub making: Making,
    /// How many messages it is acknowledging, in case that it does not get to know that it has.
    pub acknowledging: usize,
    /// What waits in its outbox: what it is, and the epoch it was made in.
    pub outgoing: BTreeMap<[u8; 16], (Making, Lineage, u64)>,
    /// Welcomes that it has made: the epoch they lead to, and the tree if they do not have it.
    pub invitations: BTreeMap<[u8; 16], Invitation>,
    /// The epochs in which it has made a commit that deceives somebody.
    pub deceits: Vec<Lineage>,
    /// What it was told.
    pub known: Known,
    /// It can't follow the group any more, and has to join again.
    pub stuck: bool,
    /// It is out of the group: removed, or replaced by a later state, or the group has ended.
    pub over: bool,
    /// Messages that it has opened.
    pub opened: HashSet<u64>,
}

impl Seat {
    /// A seat that has just been taken.
    #[must_use]
    pub fn new(room: usize, group: Group, lineage: Lineage, cursor: usize) -> Self {
        let (instance, epoch) = (group.instance(), group.epoch());
        let known = Known { digest: digest(&group), ..Known::default() };
        let epochs = BTreeMap::from([(epoch, lineage)]);
        Self {
            group: Some(group),
            unknown: None,
            known,
            epochs,
            ..Self::down(room, instance, lineage, cursor)
        }
    }

    /// What is remembered with a copy of the disk.
    #[must_use]
    pub fn brief(&self) -> Brief {
        let Self { room, instance, lineage, branch, cursor, .. } = *self;
        Brief { room, instance, lineage, branch, epochs: self.epochs.clone(), cursor }
    }

    /// The seat of a copy, which is down.
    #[must_use]
    pub fn restored(brief: Brief) -> Self {
        let Brief { room, instance, lineage, branch, epochs, cursor } = brief;
        Self { branch, epochs, ..Self::down(room, instance, lineage, cursor) }
    }

    /// A seat whose client does not know yet what is on its disk.
    #[must_use]
    pub fn down(room: usize, instance: InstanceId, lineage: Lineage, cursor: usize) -> Self {
        Self {
            room,
            instance,
            group: None,
            lineage,
            underway: None,
            unknown: Some(true),
            branch: 0,
            epochs: BTreeMap::new(),
            since: BTreeMap::new(),
            cursor,
            aside: Vec::new(),
            commits: BTreeMap::new(),
            making: Making::Nothing,
            acknowledging: 0,
            outgoing: BTreeMap::new(),
            invitations: BTreeMap::new(),
            deceits: Vec::new(),
            known: Known::default(),
            stuck: false,
            over: false,
            opened: HashSet::new(),
        }
    }

    /// Whether it can act: up, and in its group.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !self.over && !self.stuck
    }

    /// Runs an operation on the group, and makes it real.
    ///
    /// # Errors
    /// What the checks find.
    pub fn attempt<T>(
        &mut self,
        core: &mut Core,
        seals: &mut Seals,
        what: impl for<'g> FnOnce(&'g mut Group, &mut Core) -> Result<Step<'g, T>, Error>,
    ) -> Result<Attempt<T>, Failure> {
        let group = self.group.as_mut().expect("the seat is up");
        let version = core.disk.inner().version(self.instance);
        let fault = core.arm();
        let result = what(group, core).map(|step| core.write(step, fault));
        let attempt = core.finish(seals, fault, result)?;
        match &attempt {
            Attempt::Done(_) => self.known.digest = digest(group),
            Attempt::Refused(_) | Attempt::Undone => {
                if core.disk.inner().version(self.instance) != version {
                    return Err(Failure::new(Check::Refusal, "a refused operation has written"));
                }
                if digest(group) != self.known.digest {
                    return Err(Failure::new(Check::Refusal, "a refused operation has changed the group"));
                }
            }
            Attempt::Down { written } => {
                self.unknown = Some(*written);
                self.group = None;
            }
        }
        Ok(attempt)
    }

    /// Opens the group again, and compares with what the client was told.
    ///
    /// # Errors
    /// [`Check::Lost`].
    pub fn open(&mut self, core: &mut Core) -> Result<(), Failure> {
        let lost = |what: String| Failure::new(Check::Lost, what);
        let group = Group::open(&core.disk, &core.provider, self.instance)
            .map_err(|error| lost(format!("client {} does not open: {error:?}", core.number)))?;
        let (outbox, inbox) = unacknowledged(&group, &core.disk)?;
        let written = self.unknown.take();
        let underway = self.underway.take();
        if written == Some(true) {
            // The client learns what it has done. What it knew of it is all there.
            let gone =
                self.known.outbox.difference(&outbox).count() + self.known.inbox.difference(&inbox).count();
            if gone > self.acknowledging {
                return Err(lost(format!("client {}: messages that were not acknowledged", core.number)));
            }
            for id in outbox.difference(&self.known.outbox) {
                self.outgoing.insert(*id, (self.making, self.lineage, group.epoch()));
            }
            let before = self.epochs.keys().next_back().copied().unwrap_or_default();
            if let Some(lineage) = underway.filter(|_| group.epoch() > before) {
                // When that was, nobody has noted.
                self.enter(group.epoch(), lineage, 0);
            }
            for id in group.staged_commits() {
                self.commits.entry(*id).or_insert(Handed::No);
            }
            self.known = Known { digest: digest(&group), outbox, inbox };
        } else if digest(&group) != self.known.digest {
            return Err(lost(format!("client {}, group: {group:?}", core.number)));
        } else if (&outbox, &inbox) != (&self.known.outbox, &self.known.inbox) {
            return Err(lost(format!("client {}: messages that were not acknowledged", core.number)));
        }
        self.group = Some(group);
        Ok(())
    }

    /// An epoch has begun.
    pub fn enter(&mut self, epoch: u64, lineage: Lineage, now: u64) {
        self.since.insert(epoch, now);
        self.lineage = lineage;
        self.epochs.insert(epoch, lineage);
        self.commits.clear();
    }

    /// The key that this seat signs with.
    #[must_use]
    pub fn signer(&self, core: &Core) -> usize {
        let group = self.group.as_ref().expect("the seat is up");
        let own = group.member(group.own_leaf()).ok().flatten();
        let key = own.map(|own| own.leaf.signature_key);
        core.signers.iter().position(|signer| Some(signer.public_key()) == key.as_ref()).unwrap_or_default()
    }
}

/// What is in memory, as a number.
#[must_use]
pub fn digest(group: &Group) -> u64 {
    let pending: Vec<_> = group.pending_proposals().map(|pending| &pending.reference.0).collect();
    let staged: Vec<_> = group.staged_commits().map(MessageId::as_bytes).collect();
    let context = group.context();
    let status = std::mem::discriminant(group.status());
    hash_of(&(context.epoch, &context.confirmed_transcript_hash, status, pending, staged, group.own_leaf()))
}

type Ids = BTreeSet<[u8; 16]>;

/// The messages that were not acknowledged, to be sent and received.
fn unacknowledged(group: &Group, disk: &Disk) -> Result<(Ids, Ids), Failure> {
    let (mut outbox, mut inbox) = (Ids::new(), Ids::new());
    let all = group.unacknowledged(disk.inner());
    for message in all.map_err(|error| Failure::new(Check::Lost, format!("{error:?}")))? {
        match message {
            Unacknowledged::Outgoing(outgoing) => outbox.insert(*outgoing.id.as_bytes()),
            Unacknowledged::Incoming(message) => inbox.insert(*message.id.as_bytes()),
        };
    }
    Ok((outbox, inbox))
}

/// A Welcome on its way.
#[derive(Clone)]
pub struct Mail {
    /// The Welcome.
    pub welcome: Rc<[u8]>,
    /// The tree, if it is not in it.
    pub tree: Option<Rc<[u8]>>,
    /// The group.
    pub room: usize,
    /// Which history of it.
    pub branch: usize,
    /// The epoch, if whoever sent the Welcome knew.
    pub lineage: Option<Lineage>,
    /// Whether a trusted member made it.
    pub trusted: bool,
    /// How often it was tried.
    pub tries: u32,
}

/// A client with its groups.
pub struct Client {
    /// All but its groups.
    pub core: Core,
    /// Its groups.
    pub seats: Vec<Seat>,
    /// Who it is.
    pub character: Character,
    /// Welcomes that have come.
    pub mail: VecDeque<Mail>,
    /// KeyPackages of its own that nobody has used, as messages.
    pub published: Vec<Rc<[u8]>>,
    /// A KeyPackage of last resort.
    pub last_resort: Option<Rc<[u8]>>,
    /// A copy of its disk, from an earlier time, with what it was then told.
    pub snapshot: Option<(MemoryStore, Vec<Brief>)>,
    /// It is a second one that runs on a copy of another's disk, whose number this is.
    pub twin_of: Option<usize>,
}

impl Client {
    /// A client without groups.
    #[must_use]
    pub fn new(core: Core, character: Character) -> Self {
        Self {
            core,
            seats: Vec::new(),
            character,
            mail: VecDeque::new(),
            published: Vec::new(),
            last_resort: None,
            snapshot: None,
            twin_of: None,
        }
    }

    /// Whether the checks hold it to what it does.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.character == Character::Honest && !self.core.copied && self.twin_of.is_none()
    }

    /// Its seat in a room, if it has one that is not over.
    #[must_use]
    pub fn seat_in(&self, room: usize) -> Option<usize> {
        self.seats.iter().position(|seat| seat.room == room && !seat.over)
    }

    /// Everything in memory is gone.
    pub fn stop(&mut self) {
        for seat in &mut self.seats {
            seat.group = None;
        }
    }
}
