//! Hostile messages, one after the other, to one victim: what it keeps stays within what its policy allows.

use hushwood::commit::{Commit, ProposalOrRef};
use hushwood::framing::{Content, ContentType};
use hushwood::group::{CommitPlan, Cover, NewProposal};
use hushwood::policy::Policy;
use hushwood::proposal::{PreSharedKey, Proposal, Remove};
use hushwood::schedule::{PreSharedKeyId, Psk};
use hushwood::secret_tree::SecretTree;
use hushwood::transition::RecordKind;
use hushwood::tree::LeafIndex;
use hushwood_crypto::HashReference;

use super::{C, Insider, Siege, actor};
use crate::actor::Actor;
use crate::counting::{Counts, Kind};
use crate::fake_crypto::PROVIDER;
use crate::tree_oracle::dice::Dice;

/// What the victim keeps.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Kept {
    /// Rows in its store.
    pub rows: usize,
    /// Bytes of their names and values.
    pub bytes: usize,
    /// Keys of generations that were passed over, of all epochs.
    pub skipped: usize,
    /// Proposals that wait.
    pub proposals: usize,
    /// Past epochs whose messages can still be read.
    pub past_epochs: usize,
}

/// What came of a flood.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flooded {
    /// Messages.
    pub messages: u64,
    /// Those that were taken.
    pub taken: u64,
    /// Epochs that went by.
    pub epochs: u64,
    /// The most that was kept in the first fifth.
    pub first: Kept,
    /// The most that was kept after that.
    pub later: Kept,
    /// The most public-key operations that one message has cost, and decapsulations.
    pub operations: (u64, u64),
}

/// A tenth of the usual limits, so that a short flood reaches them too.
fn policy() -> Policy {
    Policy {
        max_forward: 100,
        max_skipped: 100,
        max_skipped_total: 300,
        max_pending_proposals: 100,
        max_pending_proposals_of_sender: 40,
        max_past_epochs: 3,
        max_resumption_psks: 3,
        encrypt_handshakes: false,
        ..Policy::default()
    }
}

/// How many messages an epoch has, and how many members the group.
const EPOCH: u64 = 400;
const MEMBERS: u32 = 8;

struct Flood {
    siege: Siege,
    victim: Actor,
    founder: Actor,
    /// The keys of this epoch and of some past ones, the latest last, with what has been used of them.
    epochs: Vec<(Insider, SecretTree)>,
    sent: Vec<Vec<u8>>,
    dice: Dice,
}

/// Sends so many messages.
///
/// # Panics
/// If one costs more than it may, or more is kept than the policy allows.
#[must_use]
pub fn flood(messages: u64, seed: u64) -> Flooded {
    let siege = Siege::new(usize::try_from(MEMBERS).unwrap());
    let (mut victim, founder) = (siege.victim(), siege.founder());
    let step = victim.group.as_mut().unwrap().set_policy(policy()).unwrap();
    step.commit(&mut victim.store).unwrap();
    let dice = Dice::new(seed);
    let mut flood = Flood { siege, victim, founder, epochs: Vec::new(), sent: Vec::new(), dice };
    let mut flooded = Flooded::default();
    flood.next_epoch(&mut flooded);
    while flooded.messages < messages {
        flood.one(&mut flooded);
        if flooded.messages.is_multiple_of(EPOCH) {
            let kept = flood.kept();
            check(kept);
            let early = flooded.messages * 5 <= messages;
            let most = if early { &mut flooded.first } else { &mut flooded.later };
            *most = most.most(kept);
            flood.next_epoch(&mut flooded);
            flooded.epochs += 1;
        }
    }
    flooded
}

/// What is kept is bounded by the policy, whatever was sent.
fn check(kept: Kept) {
    let policy = policy();
    assert!(kept.skipped <= policy.max_skipped_total * (1 + policy.max_past_epochs), "{kept:?}");
    assert!(kept.proposals <= policy.max_pending_proposals, "{kept:?}");
    assert!(kept.past_epochs <= policy.max_past_epochs, "{kept:?}");
}

impl Kept {
    fn most(self, other: Self) -> Self {
        Self {
            rows: self.rows.max(other.rows),
            bytes: self.bytes.max(other.bytes),
            skipped: self.skipped.max(other.skipped),
            proposals: self.proposals.max(other.proposals),
            past_epochs: self.past_epochs.max(other.past_epochs),
        }
    }
}

impl Flooded {
    fn count(&mut self, counts: Counts, proposals: u64) {
        let (operations, decapsulations) = (counts.public_key_operations(), counts.of(Kind::Decap).calls);
        assert!(operations <= C * (4 + proposals), "{}", counts.words());
        assert!(decapsulations <= 1, "{}", counts.words());
        self.operations = (self.operations.0.max(operations), self.operations.1.max(decapsulations));
    }
}

impl Flood {
    fn kept(&self) -> Kept {
        let (_, rows) = self.victim.rows();
        let of = |kind: RecordKind| rows.keys().filter(move |key| key.kind == kind);
        // A key that was passed over is named by its epoch, its kind, its leaf, its ratchet and its generation.
        let skipped = of(RecordKind::SecretTree).filter(|key| key.id.len() > LONGEST_OTHER);
        Kept {
            rows: rows.len(),
            bytes: rows.iter().map(|(key, value)| key.id.len() + value.len()).sum(),
            skipped: skipped.count(),
            proposals: self.victim.group().pending_proposals().count(),
            past_epochs: of(RecordKind::PastEpoch).count(),
        }
    }

    /// The founder commits: somebody comes, and whoever came last goes. Nobody has told it of the flood.
    fn next_epoch(&mut self, flooded: &mut Flooded) {
        let stranger = actor("stranger", PROVIDER, self.dice.number()).key_package();
        let mut proposals = vec![NewProposal::Add(Box::new(self.founder.validate(&stranger).unwrap()))];
        if self.founder.group().member_count() > MEMBERS {
            proposals.push(NewProposal::Remove(LeafIndex::new(MEMBERS)));
        }
        let plan = CommitPlan { proposals, cover: Cover::None, ..CommitPlan::default() };
        let (id, commit) = self.founder.commit(plan).unwrap();
        let change = self.founder.apply(&id).unwrap();
        let (victim, siege) = (&mut self.victim, &self.siege);
        let (result, counts) = siege.measure(|| victim.receive(&commit));
        assert!(result.is_ok(), "a good commit is taken, whatever came before: {result:?}");
        flooded.count(counts, 2);
        let insider = Insider::new(&change.welcomes[0].message, &stranger);
        let secret_tree = insider.secret_tree();
        self.epochs.push((insider, secret_tree));
        if self.epochs.len() > policy().max_past_epochs + 3 {
            self.epochs.remove(0);
        }
    }

    /// One message more.
    fn one(&mut self, flooded: &mut Flooded) {
        let (message, proposals) = self.message();
        let (victim, siege) = (&mut self.victim, &self.siege);
        let (result, counts) = siege.measure(|| victim.receive(&message));
        flooded.messages += 1;
        flooded.taken += u64::from(result.is_ok());
        flooded.count(counts, proposals);
        if self.dice.once_in(16) {
            self.sent.push(message);
            if self.sent.len() > 64 {
                self.sent.remove(0);
            }
        }
    }

    fn message(&mut self) -> (Vec<u8>, u64) {
        match self.dice.below(12) {
            0..3 => (self.said(0), 0),
            3 => {
                let back = self.dice.below(self.epochs.len());
                (self.said(back), 0)
            }
            4..7 => (self.proposal(), 1),
            7 => self.commit(),
            8 if !self.sent.is_empty() => (self.sent[self.dice.below(self.sent.len())].clone(), 1),
            9 if !self.sent.is_empty() => {
                let mut message = self.sent[self.dice.below(self.sent.len())].clone();
                let place = self.dice.below(message.len());
                message[place] ^= 1 << self.dice.below(8);
                (message, 1)
            }
            10 => {
                let far = [u32::MAX, u32::MAX - 1, 1 << 31, 1 << 20][self.dice.below(4)];
                let (leaf, content) = (self.somebody(), Content::Application(vec![1; 20]));
                (self.latest().private(leaf, content, far), 0)
            }
            _ => (self.dice.key(), 0),
        }
    }

    fn latest(&self) -> &Insider {
        &self.epochs.last().expect("there is an epoch").0
    }

    /// Anybody but the victim.
    fn somebody(&mut self) -> LeafIndex {
        let other = self.dice.below(usize::try_from(MEMBERS).unwrap() - 1);
        LeafIndex::new(u32::try_from(if other == 0 { 0 } else { other + 1 }).unwrap())
    }

    /// An application message so many epochs back, some generations ahead of the last one: all of those are passed over.
    fn said(&mut self, back: usize) -> Vec<u8> {
        let leaf = self.somebody();
        let ahead = u32::try_from(1 + self.dice.below(100)).unwrap();
        let place = self.epochs.len() - 1 - back;
        let (insider, tree) = &mut self.epochs[place];
        let (generation, key) = jump(tree, leaf, ahead);
        let content = Content::Application(vec![2; 30]);
        insider.private_with_key(&insider.signer_of(leaf), leaf, content, (generation, key))
    }

    fn proposal(&mut self) -> Vec<u8> {
        let leaf = self.somebody();
        let proposal = match self.dice.below(4) {
            0 => Proposal::Remove(Remove { removed: self.somebody() }),
            _ => {
                let psk = Psk::External { psk_id: self.dice.key() };
                Proposal::Psk(Box::new(PreSharedKey {
                    psk: PreSharedKeyId { psk, psk_nonce: self.dice.key() },
                }))
            }
        };
        self.latest().public(leaf, Content::Proposal(proposal))
    }

    fn commit(&mut self) -> (Vec<u8>, u64) {
        let leaf = self.somebody();
        let count = self.dice.below(50);
        let reference = |_| ProposalOrRef::Reference(HashReference(self.dice.key()));
        let proposals = (0..count).map(reference).collect();
        let commit = Commit { proposals, path: None };
        (self.latest().public(leaf, Content::Commit(Box::new(commit))), u64::try_from(count).unwrap())
    }
}

/// The key of a member's ratchet so far ahead of where it is, which is there then.
fn jump(tree: &mut SecretTree, leaf: LeafIndex, ahead: u32) -> (u32, hushwood::framing::MessageKey) {
    let (at, ..) = tree.seal_key(leaf, ContentType::Application).unwrap();
    let generation = at + ahead - 1;
    let none = Policy { max_skipped: 0, ..Policy::default() };
    let (key, change) = tree.open_key(leaf, ContentType::Application, generation, &none).unwrap();
    drop(tree.apply(change).unwrap());
    (generation, key)
}

/// The name of a ratchet's row: epoch, kind, leaf, ratchet.
const LONGEST_OTHER: usize = 8 + 1 + 4 + 1;
