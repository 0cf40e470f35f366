//! A group that talks, with one member on a real store whom somebody is going to steal from.

use std::path::{Path, PathBuf};

use hushwood::group::{CommitPlan, EpochChange, LeafUpdate, NewProposal};
use hushwood::policy::{Policy, Timestamp};
use hushwood_crypto::{CipherSuiteId, CryptoProvider};
use hushwood_store::SqliteStore;
use tempfile::TempDir;
use test_support::actor::Actor;
use test_support::random::SeededRandom;

use crate::event::{Event, Kind};
use crate::knowledge::{Id, Knowledge};
use crate::recorder;
use crate::theft::{self, options, passphrase};

/// A message that is encrypted: application data, a proposal, a commit.
#[derive(Clone, Debug)]
pub struct Message {
    /// On the wire.
    pub bytes: Vec<u8>,
    /// Its epoch.
    pub epoch: u64,
    /// Its key.
    pub key: Id,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a message, at the member who is stolen from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// It was sent by others, and has not arrived. It may never.
    Waiting,
    /// It was read.
    Read,
    /// The member sent it.
    Sent,
}

/// What the member exported in an epoch.
#[derive(Clone, Debug)]
pub struct Export {
    /// The epoch.
    pub epoch: u64,
    /// The secret.
    pub secret: Vec<u8>,
}

/// How the member gets new keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Renewal {
    /// By a commit of its own.
    Commit,
    /// By an Update that somebody else commits.
    Update,
    /// By joining once more, in place of its own leaf.
    Rejoin,
}

impl Renewal {
    /// Each.
    pub const ALL: [Self; 3] = [Self::Commit, Self::Update, Self::Rejoin];
}

/// The group.
pub struct World {
    /// What is drawn at random.
    pub dice: SeededRandom,
    /// What all clients together have derived.
    pub knowledge: Knowledge,
    /// The member who is stolen from.
    pub victim: Actor<SqliteStore>,
    /// The other members.
    pub others: Vec<Actor>,
    /// All application messages.
    pub messages: Vec<Message>,
    /// All that went over the wire, in its order.
    pub traffic: Vec<Vec<u8>>,
    /// One for each epoch the member was in.
    pub exports: Vec<Export>,
    /// The member's past epochs that the policy keeps, with when they ended.
    past: Vec<(u64, u64)>,
    provider: CryptoProvider,
    suite: CipherSuiteId,
    path: PathBuf,
    folder: TempDir,
    names: u64,
    seed: u64,
}

impl World {
    /// Two to seven others, and the member.
    ///
    /// # Panics
    /// If something of all this does not work; so do the others.
    #[must_use]
    pub fn new(provider: CryptoProvider, suite: CipherSuiteId, seed: u64) -> Self {
        let mut dice = SeededRandom::new(seed);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let store = SqliteStore::create_with(&path, &passphrase(), options()).unwrap();
        let mut victim = Actor::on(store, "victim", (provider, suite), seed);
        victim.reload = dice.below(2) == 0;
        victim.policy = Policy {
            max_past_epochs: dice.below(4),
            max_past_epoch_age: 1000,
            max_resumption_psks: dice.below(3),
            encrypt_handshakes: dice.below(3) > 0,
            ..Policy::default()
        };
        let mut world = Self {
            dice,
            knowledge: Knowledge::default(),
            victim,
            others: Vec::new(),
            messages: Vec::new(),
            traffic: Vec::new(),
            exports: Vec::new(),
            past: Vec::new(),
            provider,
            suite,
            path,
            folder,
            names: 0,
            seed,
        };
        world.noted(Self::begin);
        world.learn_export();
        world
    }

    fn begin(&mut self) {
        let members = 2 + self.dice.below(6);
        let mut others: Vec<_> = (0..members).map(|_| self.newcomer()).collect();
        others[0].create();
        let mut key_packages: Vec<_> = others[1..].iter_mut().map(Actor::key_package).collect();
        key_packages.push(self.victim.key_package());
        let (_, change) = others[0].invite(&key_packages).unwrap();
        let welcome = &change.welcomes[0].message;
        for other in &mut others[1..] {
            other.join(welcome, None).unwrap();
        }
        self.victim.join(welcome, None).unwrap();
        self.others = others;
    }

    fn newcomer(&mut self) -> Actor {
        self.names += 1;
        let (name, seed) = (format!("member {}", self.names), self.seed ^ (self.names << 32));
        let mut actor = Actor::new(&name, self.provider, self.suite, seed);
        actor.reload = false;
        actor.policy.encrypt_handshakes = self.victim.policy.encrypt_handshakes;
        actor
    }

    /// Does something and learns what was derived meanwhile: that, too, is given.
    fn noted<T>(&mut self, what: impl FnOnce(&mut Self) -> T) -> (T, Vec<Event>) {
        let (done, events) = recorder::noted(|| what(self));
        self.knowledge.learn(&events);
        (done, events)
    }

    /// The store of the member.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A place for copies of it.
    #[must_use]
    pub fn copies(&self) -> PathBuf {
        let copies = self.folder.path().join("copies");
        std::fs::create_dir_all(&copies).unwrap();
        copies
    }

    /// Copies the store as it is.
    #[must_use]
    pub fn copy(&self) -> PathBuf {
        theft::copy(&self.path, &self.copies())
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.victim.now
    }

    /// Whether the policy still keeps an epoch, for late messages.
    #[must_use]
    pub fn keeps(&self, epoch: u64) -> bool {
        epoch == self.victim.group().epoch() || self.past.iter().any(|(past, _)| *past == epoch)
    }

    /// One thing that may happen.
    pub fn act(&mut self) {
        match self.dice.below(100) {
            0..60 => {
                let message = self.other_sends();
                if self.dice.below(4) > 0 {
                    self.victim_reads(message);
                }
            }
            60..68 => self.victim_reads_late(),
            68..80 => self.victim_sends(),
            80..84 => self.other_commits(Vec::new()),
            84..87 => self.renew(Renewal::Commit),
            87..89 => self.renew(Renewal::Update),
            89..91 => self.other_comes(),
            91..93 => self.other_goes(),
            93..96 => self.something_false_arrives(),
            96..98 => self.commit_comes_to_nothing(),
            _ => self.time_passes(),
        }
    }

    /// One thing that may happen and in which the member gets no new keys of its own.
    pub fn act_without_renewal(&mut self) {
        match self.dice.below(10) {
            0..4 => drop(self.other_sends()),
            4..7 => self.victim_sends(),
            7 => self.victim_reads_late(),
            8 => self.other_commits(Vec::new()),
            _ => self.other_comes(),
        }
    }

    /// Messages alone.
    pub fn act_with_messages(&mut self) {
        match self.dice.below(3) {
            0 => self.victim_sends(),
            _ => drop(self.other_sends()),
        }
    }

    fn other_sends(&mut self) -> usize {
        let sender = self.dice.below(self.others.len());
        let text = self.dice.some_bytes(40);
        let (bytes, events) = self.noted(|world| world.others[sender].send(&text).unwrap());
        self.sent(bytes, &events, Fate::Waiting)
    }

    fn victim_sends(&mut self) {
        let text = self.dice.some_bytes(40);
        let (bytes, events) = self.noted(|world| world.victim.send(&text).unwrap());
        self.sent(bytes, &events, Fate::Sent);
    }

    fn sent(&mut self, bytes: Vec<u8>, events: &[Event], fate: Fate) -> usize {
        let keys = events.iter().filter(|event| event.kind == Kind::Seal);
        let mut keys = keys.map(|event| self.knowledge.find(&event.parts[0]).unwrap());
        // RFC 9420 §9.1: derived for a generation, which is four bytes; that of the sender data is not.
        let key = keys
            .find(|key| matches!(self.knowledge.label(*key), Some(("key", context)) if context.len() == 4));
        let key = key.unwrap();
        self.traffic.push(bytes.clone());
        let epoch = self.victim.group().epoch();
        self.messages.push(Message { bytes, epoch, key, fate });
        self.messages.len() - 1
    }

    /// A handshake that everybody has.
    fn handshake(&mut self, (epoch, bytes): (u64, Vec<u8>), events: &[Event], fate: Fate) {
        match theft::encrypted(&bytes) {
            Some(_) => {
                let number = self.sent(bytes, events, fate);
                self.messages[number].epoch = epoch;
            }
            None => self.traffic.push(bytes),
        }
    }

    fn victim_reads(&mut self, message: usize) {
        let Message { bytes, epoch, .. } = self.messages[message].clone();
        let (read, _) = self.noted(|world| world.victim.read(&bytes));
        match read {
            Ok(_) => self.messages[message].fate = Fate::Read,
            Err(error) => assert!(!self.keeps(epoch), "a message of a kept epoch is not read: {error:?}"),
        }
    }

    fn victim_reads_late(&mut self) {
        let waiting = self.messages.iter().enumerate().filter(|(_, message)| message.fate == Fate::Waiting);
        let waiting: Vec<_> = waiting.map(|(number, _)| number).collect();
        if !waiting.is_empty() {
            let message = waiting[self.dice.below(waiting.len())];
            self.victim_reads(message);
        }
    }

    /// Somebody else commits, and everybody applies it at once.
    fn other_commits(&mut self, proposals: Vec<NewProposal<'_>>) {
        let committer = self.dice.below(self.others.len());
        self.other_commits_as(committer, proposals);
    }

    fn other_commits_as(&mut self, committer: usize, proposals: Vec<NewProposal<'_>>) -> EpochChange {
        let old = self.victim.group().epoch();
        let ((change, commit), events) = self.noted(|world| {
            let plan = CommitPlan { proposals, ..CommitPlan::default() };
            let (id, commit) = world.others[committer].commit(plan).unwrap();
            let change = world.others[committer].apply(&id).unwrap();
            world.deliver(&commit, Some(committer));
            (change, commit)
        });
        self.handshake((old, commit), &events, Fate::Read);
        self.epoch_ended(old);
        change
    }

    fn deliver(&mut self, handshake: &[u8], from: Option<usize>) {
        for (number, other) in self.others.iter_mut().enumerate() {
            if Some(number) != from {
                other.receive(handshake).unwrap();
            }
        }
        if from.is_some() {
            self.victim.receive(handshake).unwrap();
        }
    }

    fn epoch_ended(&mut self, epoch: u64) {
        let now = self.now().0;
        let policy = &self.victim.policy;
        let oldest = now.saturating_sub(policy.max_past_epoch_age);
        self.past.retain(|(_, ended)| *ended >= oldest);
        self.past.push((epoch, now));
        let surplus = self.past.len().saturating_sub(policy.max_past_epochs);
        self.past.drain(..surplus);
        self.learn_export();
    }

    fn learn_export(&mut self) {
        let (secret, _) = self.noted(|world| world.victim.group().export("thief", b"", 32).unwrap());
        let epoch = self.victim.group().epoch();
        self.exports.push(Export { epoch, secret: secret.expose().to_vec() });
    }

    /// The member gets new keys, which everybody applies.
    pub fn renew(&mut self, renewal: Renewal) {
        let old = self.victim.group().epoch();
        match renewal {
            Renewal::Commit => {
                let (commit, events) = self.noted(|world| {
                    let (id, commit) = world.victim.commit(CommitPlan::default()).unwrap();
                    world.deliver(&commit, None);
                    world.victim.apply(&id).unwrap();
                    commit
                });
                self.handshake((old, commit), &events, Fate::Sent);
                self.epoch_ended(old);
            }
            Renewal::Update => {
                let (update, events) = self.noted(|world| {
                    let update = NewProposal::Update(LeafUpdate::default());
                    let update = world.victim.propose(update).unwrap();
                    world.deliver(&update, None);
                    update
                });
                self.handshake((old, update), &events, Fate::Sent);
                self.other_commits(Vec::new());
            }
            Renewal::Rejoin => {
                let (commit, events) = self.noted(|world| {
                    let info = world.others[0].group_info(true);
                    let leaf = world.victim.leaf();
                    let commit = world.victim.external_join(&info, None, Some(leaf)).unwrap();
                    world.deliver(&commit, None);
                    commit
                });
                self.handshake((old, commit), &events, Fate::Sent);
                // The old state of the group is another instance, and stays until it is forgotten.
                self.past.clear();
                self.epoch_ended(old);
                self.past.clear();
            }
        }
    }

    fn other_comes(&mut self) {
        if self.others.len() > 8 {
            return;
        }
        let committer = self.dice.below(self.others.len());
        let mut newcomer = self.newcomer();
        let (key_package, _) = self.noted(|_| newcomer.key_package());
        let add = NewProposal::Add(Box::new(newcomer.validate(&key_package).unwrap()));
        let change = self.other_commits_as(committer, vec![add]);
        self.noted(|_| newcomer.join(&change.welcomes[0].message, None).map(drop).unwrap());
        newcomer.now = self.now();
        self.others.push(newcomer);
    }

    fn other_goes(&mut self) {
        if self.others.len() < 3 {
            return;
        }
        let goes = self.dice.below(self.others.len());
        let leaf = self.others.remove(goes).leaf();
        self.other_commits(vec![NewProposal::Remove(leaf)]);
    }

    /// A copy with one wrong bit comes first, and must leave nothing behind.
    fn something_false_arrives(&mut self) {
        let message = self.other_sends();
        let mut bytes = self.messages[message].bytes.clone();
        let at = bytes.len() - 1 - self.dice.below(24_usize.min(bytes.len()));
        bytes[at] ^= 1 << self.dice.below(8);
        let (read, _) = self.noted(|world| world.victim.receive(&bytes).map(drop));
        assert!(read.is_err());
        self.victim_reads(message);
    }

    /// The member stages a commit and proposes an Update, and somebody else is faster.
    fn commit_comes_to_nothing(&mut self) {
        let old = self.victim.group().epoch();
        let (commit, events) = self.noted(|world| world.victim.commit(CommitPlan::default()).unwrap().1);
        self.handshake((old, commit), &events, Fate::Sent);
        self.other_commits(Vec::new());
    }

    fn time_passes(&mut self) {
        let now = Timestamp(self.now().0 + 300);
        self.victim.now = now;
        self.others.iter_mut().for_each(|other| other.now = now);
        self.noted(|world| {
            let group = world.victim.group.as_mut().unwrap();
            group.expire(now).unwrap().commit(&mut world.victim.store).unwrap();
        });
        let oldest = now.0 - self.victim.policy.max_past_epoch_age;
        self.past.retain(|(_, ended)| *ended >= oldest);
    }
}
