//! What is in memory is what is in the store, whatever has happened and in whatever order.
//!
//! Each client is there twice, with the same randomness: one goes on as it is, the other is read back from its
//! store after every step. Whatever they do, they must do the same, and write the same.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fmt::Debug;

use hushwood::commit::Answers;
use hushwood::credential::{InsecureAcceptAll, judge};
use hushwood::crypto::CipherSuiteId;
use hushwood::error::{Error, NotNow};
use hushwood::group::{Batch, CommitId, CommitPlan, Cover, Group, LeafUpdate, NewProposal, Received, Status};
use hushwood::policy::{Policy, Timestamp};
use hushwood::schedule::Psk;
use hushwood::transition::RecordKind;
use test_support::actor::{Actor, NOW, assert_agree};
use test_support::random::SeededRandom;

/// One client, twice.
struct Twins {
    stays: Actor,
    restarts: Actor,
    /// What it has not received yet.
    behind: Vec<Ended>,
}

impl Twins {
    fn new(name: &str, seed: u64, policy: &Policy) -> Self {
        let actor = |reload| {
            let mut actor = Actor::new(name, hushwood_rustcrypto::PROVIDER, CipherSuiteId(1), seed);
            (actor.reload, actor.policy) = (reload, policy.clone());
            actor.keep_psk(b"shared", &[7; 32]);
            actor
        };
        Self { stays: actor(false), restarts: actor(true), behind: Vec::new() }
    }

    /// Both do the same, with the same result.
    fn both<T: Debug>(&mut self, mut act: impl FnMut(&mut Actor) -> T) -> T {
        let (one, other) = (act(&mut self.stays), act(&mut self.restarts));
        assert_eq!(format!("{one:?}"), format!("{other:?}"));
        self.compare();
        one
    }

    fn compare(&self) {
        let ((version, rows), (other_version, other_rows)) = (self.stays.rows(), self.restarts.rows());
        assert_eq!(version, other_version);
        let keys = |rows: &std::collections::BTreeMap<_, _>| rows.keys().cloned().collect::<BTreeSet<_>>();
        let (one, other) = (keys(&rows), keys(&other_rows));
        let odd: Vec<_> = one.symmetric_difference(&other).collect();
        assert!(odd.is_empty(), "{odd:?}");
        let changed: Vec<_> =
            rows.iter().filter(|(key, value)| other_rows[key] != **value).map(|(key, _)| key).collect();
        assert!(changed.is_empty(), "{changed:?}");
        if let Some(group) = &self.stays.group {
            check_rows(group, &rows.keys().cloned().collect::<Vec<_>>());
        }
    }

    /// In the group, as far as it knows.
    fn is_inside(&self) -> bool {
        self.stays.group.as_ref().is_some_and(|group| *group.status() == Status::Active)
    }

    fn is_active(&self) -> bool {
        self.is_inside() && self.behind.is_empty()
    }
}

/// Nothing is left of what has ended.
fn check_rows(group: &Group, rows: &[hushwood::transition::RecordKey]) {
    let epoch = |id: &[u8]| u64::from_be_bytes(id[..8].try_into().unwrap());
    let of = |kind| rows.iter().filter(move |key| key.instance == group.instance() && key.kind == kind);
    let past: BTreeSet<u64> = of(RecordKind::PastEpoch).map(|key| epoch(&key.id)).collect();
    assert!(past.len() <= group.policy().max_past_epochs);
    for key in of(RecordKind::SecretTree) {
        let epoch = epoch(&key.id);
        let current = epoch == group.epoch() && *group.status() != Status::Removed;
        assert!(current || past.contains(&epoch), "secrets of epoch {epoch} in epoch {}", group.epoch());
    }
    let oldest = past.iter().next().copied().unwrap_or(group.epoch());
    for key in of(RecordKind::PastMember) {
        let last = u64::from_be_bytes(key.id[4..].try_into().unwrap());
        assert!(last + 1 >= oldest, "who stood at a leaf in {last}, with nothing kept before {oldest}");
    }
    assert_eq!(of(RecordKind::Proposal).count(), group.pending_proposals().count());
    assert_eq!(of(RecordKind::StagedCommit).count(), group.staged_commits().count());
    assert!(of(RecordKind::OwnUpdate).count() <= group.pending_proposals().count());
    assert!(of(RecordKind::ResumptionPsk).count() <= group.policy().max_resumption_psks);
    let keys = of(RecordKind::TreeKey).count();
    let nodes =
        group.tree().record_indices().unwrap().map(|node| group.tree().node_record(node).unwrap().unwrap());
    let rows = of(RecordKind::TreeNode).count();
    assert_eq!(rows + 1, nodes.count());
    let leaf_keys = 2 * usize::try_from(group.member_count()).unwrap();
    assert!(keys >= leaf_keys);
}

struct World {
    twins: Vec<Twins>,
    random: SeededRandom,
    /// Application messages under way: to whom, and what.
    mail: Vec<(usize, Vec<u8>)>,
    /// Handshake messages of this epoch: from whom.
    proposals: Vec<(usize, Vec<u8>)>,
    commits: Vec<(usize, CommitId, Vec<u8>, Vec<usize>)>,
    now: u64,
    made: u64,
    policy: Policy,
}

impl World {
    fn pick(&mut self, below: usize) -> usize {
        self.random.below(below)
    }

    fn someone(&mut self) -> usize {
        let active: Vec<usize> = (0..self.twins.len()).filter(|twin| self.twins[*twin].is_active()).collect();
        active[self.pick(active.len())]
    }

    fn newcomer(&mut self) -> (usize, Vec<u8>) {
        self.made += 1;
        let mut twins = Twins::new(&format!("client {}", self.made), 1000 + self.made, &self.policy);
        let key_package = twins.both(Actor::key_package);
        self.twins.push(twins);
        (self.twins.len() - 1, key_package)
    }

    fn step(&mut self) {
        match self.pick(20) {
            0..6 => self.send(),
            6..11 => self.deliver(),
            11..14 => self.propose(),
            14..16 => self.stage(),
            16 => self.discard(),
            17 => self.policy(),
            18 => self.external(),
            _ => self.end_epoch(),
        }
    }

    fn send(&mut self) {
        let from = self.someone();
        let text = [u8::try_from(self.pick(256)).unwrap(); 20];
        let sent = self.twins[from].both(|actor| actor.send(&text));
        let Ok(message) = sent else { return };
        for to in 0..self.twins.len() {
            if to != from && self.twins[to].stays.group.is_some() {
                self.mail.push((to, message.clone()));
            }
        }
    }

    fn deliver(&mut self) {
        if self.mail.is_empty() {
            return;
        }
        let number = self.pick(self.mail.len());
        let again = self.pick(4) == 0;
        let (to, message) = match again {
            true => self.mail[number].clone(),
            false => self.mail.swap_remove(number),
        };
        if self.pick(3) == 0 {
            let mut broken = message.clone();
            let place = self.pick(broken.len());
            broken[place] ^= 1 << self.pick(8);
            let before = self.twins[to].stays.rows();
            self.twins[to].both(|actor| actor.receive(&broken).unwrap_err());
            assert_eq!(self.twins[to].stays.rows(), before);
        }
        let _ = self.twins[to].both(|actor| actor.receive(&message).map(|_| ()));
    }

    fn propose(&mut self) {
        let from = self.someone();
        let choice = self.pick(4);
        let added = (choice == 0).then(|| self.newcomer().1);
        let victim = self.someone();
        let leaf = self.twins[victim].stays.leaf();
        let made = self.twins[from].both(|actor| {
            let proposal = match choice {
                0 => NewProposal::Add(Box::new(actor.validate(added.as_ref().unwrap()).unwrap())),
                1 => NewProposal::Update(LeafUpdate::default()),
                2 => NewProposal::Remove(leaf),
                _ => NewProposal::Psk(Psk::External { psk_id: b"shared".to_vec() }),
            };
            actor.propose(proposal)
        });
        let Ok(message) = made else { return };
        self.proposals.push((from, message.clone()));
        for to in 0..self.twins.len() {
            // Some hear of it late.
            if to != from && self.twins[to].is_active() && self.pick(4) > 0 {
                let _ = self.twins[to].both(|actor| actor.receive(&message).map(|_| ()));
            }
        }
    }

    fn stage(&mut self) {
        let from = self.someone();
        let (added, key_packages) = match self.pick(3) {
            0 => {
                let (number, key_package) = self.newcomer();
                (vec![number], vec![key_package])
            }
            _ => (Vec::new(), Vec::new()),
        };
        let cover = self.pick(3);
        let omit_path = self.pick(2) == 0;
        let victim = self.someone();
        let remove = (self.pick(4) == 0 && self.twins.len() > 3).then(|| self.twins[victim].stays.leaf());
        let made = self.twins[from].both(|actor| {
            let mut proposals: Vec<_> = key_packages
                .iter()
                .map(|key_package| NewProposal::Add(Box::new(actor.validate(key_package).unwrap())))
                .collect();
            proposals.extend(remove.filter(|leaf| *leaf != actor.leaf()).map(NewProposal::Remove));
            let cover = if cover == 0 { Cover::None } else { Cover::All };
            let answers = actor.answers(&[Psk::External { psk_id: b"shared".to_vec() }]);
            actor.commit_with(CommitPlan { proposals, cover, omit_path, ..CommitPlan::default() }, &answers)
        });
        // Without path and encryption there is nothing random in a commit: made twice, it is the same.
        if let Ok((id, message)) = made
            && self.commits.iter().all(|(_, known, ..)| *known != id)
        {
            self.commits.push((from, id, message, added));
        }
    }

    fn discard(&mut self) {
        if self.commits.is_empty() {
            return;
        }
        let number = self.pick(self.commits.len());
        let (from, id, ..) = self.commits.swap_remove(number);
        self.twins[from].both(|actor| {
            let group = actor.group.as_mut().unwrap();
            group.discard(&id).unwrap().commit(&mut actor.store).unwrap();
            reopen(actor);
        });
    }

    fn policy(&mut self) {
        let twin = self.someone();
        let policy = Policy {
            max_past_epochs: self.pick(4),
            max_resumption_psks: self.pick(3),
            max_skipped: 12 + self.pick(6),
            max_skipped_total: 60 + self.pick(40),
            encrypt_handshakes: self.pick(2) == 0,
            ..self.policy.clone()
        };
        let now = Timestamp(NOW.0 + self.now);
        self.twins[twin].both(|actor| {
            let group = actor.group.as_mut().unwrap();
            group.set_policy(policy.clone()).unwrap().commit(&mut actor.store).unwrap();
            group.expire(now).unwrap().commit(&mut actor.store).unwrap();
            reopen(actor);
        });
    }

    /// Somebody has lost its state, or comes from outside.
    fn external(&mut self) {
        let inside = self.someone();
        if self.twins[inside].stays.group().pending_proposals().count() > 0 {
            return;
        }
        let info = self.twins[inside].both(|actor| actor.group_info(true));
        let lost = self.someone();
        let (joiner, resync) = match self.pick(2) {
            0 if lost != inside => (lost, Some(self.twins[lost].stays.leaf())),
            _ => (self.newcomer().0, None),
        };
        // Those who staged commits lose them, and so does who joins again.
        let joined = self.twins[joiner].both(|actor| actor.external_join(&info, None, resync));
        let Ok(commit) = joined else { return };
        self.twins[joiner].behind.clear();
        self.take(&commit, Some(joiner), usize::MAX);
    }

    fn end_epoch(&mut self) {
        if self.commits.is_empty() {
            self.stage();
        }
        let Some(number) = (!self.commits.is_empty()).then(|| self.pick(self.commits.len())) else { return };
        let (from, id, commit, added) = self.commits.swap_remove(number);
        let change = self.twins[from].both(|actor| match id.as_bytes()[0] % 2 {
            0 => actor.apply(&id).unwrap(),
            _ => match actor.receive(&commit).unwrap() {
                test_support::actor::Outcome::Commit(change) => change,
                other => panic!("{other:?}"),
            },
        });
        self.take(&commit, None, from);
        for joiner in 0..self.twins.len() {
            if self.twins[joiner].stays.group.is_none() {
                for welcome in &change.welcomes {
                    let _ = self.twins[joiner].both(|actor| actor.join(&welcome.message, None).map(|_| ()));
                }
            }
        }
        assert!(added.iter().all(|joiner| self.twins[*joiner].stays.group.is_some()));
    }

    /// All who are in the group follow a commit.
    fn take(&mut self, commit: &[u8], joiner: Option<usize>, from: usize) {
        for to in 0..self.twins.len() {
            if Some(to) == joiner || to == from || !self.twins[to].is_inside() {
                continue;
            }
            let proposals = self.proposals.iter().filter(|(from, _)| *from != to);
            let proposals = proposals.map(|(_, message)| message.clone()).collect();
            self.twins[to].behind.push((proposals, commit.to_vec()));
            // The last one who is active does not fall behind.
            if self.pick(4) > 0 || !(0..self.twins.len()).any(|other| self.twins[other].is_active()) {
                let behind = std::mem::take(&mut self.twins[to].behind);
                self.twins[to].both(|actor| catch_up(actor, &behind));
            }
        }
        self.proposals.clear();
        self.commits.clear();
        self.now += 1;
        let active: Vec<&Actor> =
            self.twins.iter().filter(|twins| twins.is_active()).map(|twins| &twins.stays).collect();
        assert_agree(&active);
        let restarted: Vec<&Actor> =
            self.twins.iter().filter(|twins| twins.is_active()).map(|twins| &twins.restarts).collect();
        assert_agree(&restarted);
    }
}

fn reopen(actor: &mut Actor) {
    if actor.reload {
        let instance = actor.group().instance();
        actor.group = Some(Group::open(&actor.store, &actor.provider, instance).unwrap());
    }
}

/// The proposals of an epoch, and the commit that ended it.
type Ended = (Vec<Vec<u8>>, Vec<u8>);

/// Follows commits, in as few writes as can be.
fn catch_up(actor: &mut Actor, ended: &[Ended]) {
    let psk = Psk::External { psk_id: b"shared".to_vec() };
    let answers = Answers::from_store(&actor.store, [&psk]).unwrap();
    let mut group = actor.group.take().unwrap();
    let mut rest = ended;
    while !rest.is_empty() {
        let mut batch = Batch::new(&mut group);
        for proposal in &rest[0].0 {
            match batch.group().receive(proposal, NOW) {
                Ok(Received::Proposal(proposal)) => {
                    let verdicts = judge(proposal.checks(), &InsecureAcceptAll);
                    batch.run(|group| group.accept_proposal(proposal, &verdicts)).unwrap();
                }
                Ok(Received::OwnProposal(_)) | Err(Error::NotNow(NotNow::KeyUsed)) => {}
                other => panic!("{other:?}"),
            }
        }
        batch.commit(&mut actor.store).unwrap();
        let mut batch = Batch::new(&mut group);
        while let Some(((proposals, commit), later)) = rest.split_first() {
            if (!proposals.is_empty() && !batch.is_empty()) || *batch.group().status() != Status::Active {
                break;
            }
            let Received::Commit(received) = batch.group().receive(commit, NOW).unwrap() else {
                panic!("none")
            };
            let staged = batch.group().stage_commit(&received, &answers, NOW, &mut actor.random).unwrap();
            let verdicts = judge(staged.checks(), &InsecureAcceptAll);
            batch.run(|group| group.accept_commit(staged, &verdicts, NOW)).unwrap();
            rest = later;
        }
        let removed = *batch.group().status() != Status::Active;
        batch.commit(&mut actor.store).unwrap();
        if removed {
            break;
        }
    }
    actor.group = Some(group);
    reopen(actor);
}

#[test]
fn memory_is_what_the_store_says_whatever_happens() {
    let seeds: u64 = std::env::var("HUSHWOOD_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(12);
    for seed in 0..seeds {
        let policy = Policy {
            max_past_epochs: 2,
            max_resumption_psks: 2,
            max_skipped: 12,
            max_skipped_total: 60,
            encrypt_handshakes: seed % 3 > 0,
            ..Policy::default()
        };
        let mut first = Twins::new("first", 7 * seed, &policy);
        first.both(|actor| _ = actor.create());
        let mut world = World {
            twins: vec![first],
            random: SeededRandom::new(seed),
            mail: Vec::new(),
            proposals: Vec::new(),
            commits: Vec::new(),
            now: 0,
            made: 100 * seed,
            policy,
        };
        for _ in 0..250 {
            world.step();
        }
    }
}
