//! Seeded random conversations of mixed members.
//!
//! A seed fixes the suite, the wire format, who is who and every step; the keys are the peers' own and differ from run
//! to run. Messages are held back and delivered in another order, up to two epochs late. The steps are chosen so that
//! every one of them is valid (RFC 9420 §12.2): at most one proposal for a leaf, no committer who proposed an Update,
//! no application message while proposals wait (§12.4).

use std::collections::BTreeMap;

use crate::{
    peer::{CipherSuite, CommitOptions, Limits, Peer, WireFormat},
    scenario::required,
    world::{Change, Halt, Said, SeatId, World},
};

/// What a random conversation was, for the report.
#[derive(Clone, Debug)]
pub struct Played {
    /// Its suite.
    pub suite: CipherSuite,
    /// Its handshakes' wire format.
    pub handshake: WireFormat,
    /// The steps of its world.
    pub steps: Vec<String>,
    /// Epochs in which all views were compared.
    pub epochs: u64,
    /// Application messages that were received and compared.
    pub messages: u64,
    /// Messages that a peer could not receive for a known reason, counted by reason.
    pub skipped: BTreeMap<String, u64>,
    /// How it ended early, if it did.
    pub halt: Option<Halt>,
}

/// Plays the conversation of `seed` among `peers`; where `only` is given, that peer takes part.
pub fn play(seed: u64, peers: &[&dyn Peer], only: Option<&str>) -> Option<Played> {
    let mut dice = Dice::new(seed);
    let mut suites: Vec<_> = peers.iter().flat_map(|peer| peer.suites()).collect();
    suites.sort_unstable();
    suites.dedup();
    suites.retain(|suite| able(peers, *suite, only).is_some());
    let suite = dice.pick(&suites)?;
    let able = able(peers, suite, only)?;
    let handshake = if dice.chance(1, 2) { WireFormat::PrivateMessage } else { WireFormat::PublicMessage };
    let mut conversation = Conversation {
        world: World::new(suite, handshake, &able),
        dice,
        seated: 0,
        peers: able,
        late: Vec::new(),
        epochs: 0,
        messages: 0,
        skipped: BTreeMap::new(),
    };
    let halt = conversation.run(only).err();
    let Conversation { world, epochs, messages, skipped, .. } = conversation;
    Some(Played { suite, handshake, steps: world.steps().to_vec(), epochs, messages, skipped, halt })
}

/// Those who can run the suite, if they make a mixed group.
fn able<'a>(peers: &[&'a dyn Peer], suite: CipherSuite, only: Option<&str>) -> Option<Vec<&'a dyn Peer>> {
    let able: Vec<_> = peers.iter().copied().filter(|peer| peer.suites().contains(&suite)).collect();
    let enough = able.len() > 1 && only.is_none_or(|only| able.iter().any(|peer| peer.name() == only));
    enough.then_some(able)
}

struct Conversation<'a> {
    world: World,
    dice: Dice,
    seated: usize,
    peers: Vec<&'a dyn Peer>,
    late: Vec<Late>,
    epochs: u64,
    messages: u64,
    skipped: BTreeMap<String, u64>,
}

/// A message that some have yet to receive.
struct Late {
    said: Said,
    listeners: Vec<SeatId>,
    since: u64,
}

impl Conversation<'_> {
    fn run(&mut self, only: Option<&str>) -> Result<(), Halt> {
        // Two different implementations first, so that every conversation is mixed.
        let mut cast: Vec<_> = self.peers.clone();
        self.dice.shuffle(&mut cast);
        if let Some(at) = cast.iter().position(|peer| Some(peer.name()) == only) {
            cast.swap(0, at);
        }
        let mut opening: Vec<_> = cast.into_iter().take(2).collect();
        self.dice.shuffle(&mut opening);
        let mut founders = Vec::new();
        for peer in opening {
            founders.push(self.newcomer(Some(peer))?);
        }
        let Some((creator, rest)) = founders.split_first() else { return Ok(()) };
        self.world.share_psk(PSK)?;
        self.world.create(*creator)?;
        let mut adds: Vec<_> = rest.iter().map(|who| Change::Add(*who)).collect();
        for _ in 0..self.dice.between(1, 4) {
            adds.push(Change::Add(self.newcomer(None)?));
        }
        self.commit(*creator, &adds)?;
        for _ in 0..self.dice.between(20, 40) {
            self.step()?;
        }
        self.commit_by_anyone(&[])?;
        self.deliver(u64::MAX)
    }

    fn step(&mut self) -> Result<(), Halt> {
        let size = self.world.inside().len();
        match self.dice.below(12) {
            0 | 1 if size < MOST => {
                let who = self.newcomer(None)?;
                self.commit_by_anyone(&[Change::Add(who)])
            }
            2 if size > FEWEST => {
                let victim = self.anyone()?;
                let committer = self.anyone_but(&[victim])?;
                self.commit(committer, &[Change::Remove(victim)])
            }
            3 | 4 => self.commit_by_anyone(&[]),
            5 => {
                let data = self.dice.below(1 << 32).to_be_bytes();
                let changes = [Change::ExternalPsk(PSK), Change::Extensions(required(&data))];
                let unable = self.unable(|limits| limits.commits_extensions);
                if unable == self.world.inside() {
                    return Ok(());
                }
                let committer = self.anyone_but(&unable)?;
                self.commit(committer, &changes)
            }
            6 if size < MOST => {
                let who = self.newcomer(None)?;
                self.external_join(who)
            }
            7 => {
                let who = self.anyone()?;
                self.external_join(who)
            }
            8 | 9 => self.proposals(),
            _ => self.talk(),
        }
    }

    /// One to four proposals by reference, then a commit, perhaps with something by value.
    fn proposals(&mut self) -> Result<(), Halt> {
        let mut touched: Vec<SeatId> = Vec::new();
        let mut size = self.world.inside().len();
        let (mut psk, mut extensions) = (false, false);
        for _ in 0..self.dice.between(1, 4) {
            let proposer = self.anyone()?;
            let unable = self.unable(|limits| limits.commits_extensions);
            let change = match self.dice.below(5) {
                0 if size < MOST => {
                    size += 1;
                    Change::Add(self.newcomer(None)?)
                }
                1 if size > FEWEST => {
                    let victim = self.anyone()?;
                    if touched.contains(&victim) {
                        continue;
                    }
                    touched.push(victim);
                    size -= 1;
                    Change::Remove(victim)
                }
                2 if !psk => {
                    psk = true;
                    Change::ExternalPsk(PSK)
                }
                3 if !extensions && self.someone_but(&touched, &unable) => {
                    extensions = true;
                    touched.extend(unable);
                    Change::Extensions(required(b"by reference"))
                }
                _ if !touched.contains(&proposer) => {
                    touched.push(proposer);
                    Change::Update
                }
                _ => continue,
            };
            self.world.propose(proposer, change)?;
            // Someone must be left who may commit.
            if touched.len() + 1 >= self.world.inside().len() {
                break;
            }
        }
        let committer = self.anyone_but(&touched)?;
        self.commit(committer, &[])
    }

    fn external_join(&mut self, who: SeatId) -> Result<(), Halt> {
        let mut unable = self.unable(|limits| limits.external_commits);
        if !self.world.limits(who).external_commits || !self.someone_but(&[who], &unable) {
            return Ok(());
        }
        unable.push(who);
        let via = self.anyone_but(&unable)?;
        let tree_inside = self.dice.chance(1, 2);
        let psks: &[&str] = if self.dice.chance(1, 3) { &[PSK] } else { &[] };
        // A resync is a new client: it has forgotten the keys of before.
        if self.world.is_inside(who) {
            for late in &mut self.late {
                late.listeners.retain(|listener| *listener != who);
            }
        }
        self.world.external_join(who, via, tree_inside, psks)?;
        self.advanced()
    }

    /// Some speak; what they say is heard at once by some, later by others.
    fn talk(&mut self) -> Result<(), Halt> {
        for _ in 0..self.dice.between(1, 6) {
            let speaker = self.anyone()?;
            let number = self.messages;
            let said = self.world.say(speaker, &format!("message {number}"))?;
            let listeners = self.world.others(speaker);
            self.late.push(Late { said, listeners, since: self.epochs });
        }
        self.deliver(2)
    }

    /// Delivers in random order: each with a chance of one in `patience + 1` to wait, and all that are two epochs old.
    fn deliver(&mut self, patience: u64) -> Result<(), Halt> {
        let mut waiting = std::mem::take(&mut self.late);
        self.dice.shuffle(&mut waiting);
        for mut late in waiting {
            let old = patience == u64::MAX || self.epochs >= late.since + 2;
            let mut still = Vec::new();
            self.dice.shuffle(&mut late.listeners);
            for listener in late.listeners {
                if !self.world.is_inside(listener) {
                    continue;
                }
                if !old && self.dice.chance(1, patience + 1) {
                    still.push(listener);
                    continue;
                }
                match self.world.hear(listener, &late.said) {
                    Ok(()) => self.messages += 1,
                    Err(Halt::NotAvailable(reason)) => *self.skipped.entry(reason).or_default() += 1,
                    Err(diverged) => return Err(diverged),
                }
            }
            if !still.is_empty() {
                self.late.push(Late { listeners: still, ..late });
            }
        }
        Ok(())
    }

    fn commit_by_anyone(&mut self, changes: &[Change]) -> Result<(), Halt> {
        let committer = self.anyone()?;
        self.commit(committer, changes)
    }

    fn commit(&mut self, committer: SeatId, changes: &[Change]) -> Result<(), Halt> {
        let options = CommitOptions {
            force_path: self.dice.chance(1, 2) && self.world.limits(committer).forces_paths,
            tree_in_welcome: self.dice.chance(1, 2) || !self.adds(changes),
            separate_welcomes: false,
        };
        self.world.commit(committer, changes, options)?;
        self.advanced()
    }

    fn adds(&self, changes: &[Change]) -> bool {
        let mut all = self.world.pending().map(|(_, change)| change).chain(changes);
        all.any(|change| matches!(change, Change::Add(_)))
    }

    fn advanced(&mut self) -> Result<(), Halt> {
        self.epochs += 1;
        self.deliver(1)
    }

    fn newcomer(&mut self, peer: Option<&dyn Peer>) -> Result<SeatId, Halt> {
        let peer = match peer {
            Some(peer) => peer,
            None => self.dice.pick(&self.peers).ok_or_else(nobody)?,
        };
        let name = format!("m{}", self.seated);
        self.seated += 1;
        let who = self.world.seat(&name, peer)?;
        self.world.share_psk(PSK)?;
        Ok(who)
    }

    /// Those inside who can't do something.
    fn unable(&self, able: impl Fn(Limits) -> bool) -> Vec<SeatId> {
        let mut unable = self.world.inside();
        unable.retain(|who| !able(self.world.limits(*who)));
        unable
    }

    /// Whether someone inside is in neither list.
    fn someone_but(&self, some: &[SeatId], others: &[SeatId]) -> bool {
        self.world.inside().iter().any(|who| !some.contains(who) && !others.contains(who))
    }

    fn anyone(&mut self) -> Result<SeatId, Halt> {
        self.anyone_but(&[])
    }

    fn anyone_but(&mut self, except: &[SeatId]) -> Result<SeatId, Halt> {
        let mut inside = self.world.inside();
        inside.retain(|who| !except.contains(who));
        self.dice.pick(&inside).ok_or_else(nobody)
    }
}

fn nobody() -> Halt {
    Halt::Diverged("the conversation has nobody to choose from".into())
}

const PSK: &str = "shared";
const FEWEST: usize = 3;
const MOST: usize = 6;

/// SplitMix64: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The modulo's bias does not matter here.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    fn chance(&mut self, one: u64, of: u64) -> bool {
        self.below(of) < one
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        let index = self.below(u64::try_from(from.len()).ok()?);
        from.get(usize::try_from(index).ok()?).copied()
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let bound = u64::try_from(last).unwrap_or(0) + 1;
            items.swap(last, usize::try_from(self.below(bound)).unwrap_or(0));
        }
    }
}
