//! A group of simulated members whose messages become vectors.

use hushwood::credential::Credential;
use hushwood::extension::{ExtensionType, Extensions, ExternalSender, RequiredCapabilities};
use hushwood::group::{CommitPlan, EpochChange, LeafUpdate, NewProposal, Status};
use hushwood::schedule::Psk;
use hushwood_codec::Encode;
use hushwood_crypto::{CipherSuite, CryptoProvider, Signer, SoftwareSigner};

use super::Hex;
use super::newcomer::{NOW, policy};
use crate::actor::{Actor, Outcome};
use crate::random::SeededRandom;

/// A group, seen by all of its members but those that are only told about.
pub(super) struct Talk {
    pub(super) actors: Vec<Actor>,
    pub(super) random: SeededRandom,
    provider: &'static CryptoProvider,
    suite: &'static dyn CipherSuite,
    encrypt_handshakes: bool,
    born: u32,
}

/// What a commit is to bring about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Deed {
    Add,
    Extensions,
    Psk,
    Remove,
    Update,
}

/// How a deed gets into a commit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum By {
    Reference,
    Value,
}

/// One epoch's messages.
pub(super) struct Turn {
    pub(super) proposals: Vec<Vec<u8>>,
    pub(super) commit: Vec<u8>,
    pub(super) authenticator: Vec<u8>,
}

/// The pre-shared key that all have.
pub(super) const PSK_ID: &[u8] = b"shared before";
pub(super) const PSK: &[u8] = b"at a place that is not on the way";

impl Talk {
    /// A group with so many members.
    pub(super) fn new(
        provider: &'static CryptoProvider,
        suite: &'static dyn CipherSuite,
        (members, encrypt_handshakes): (usize, bool),
        random: &mut SeededRandom,
    ) -> Self {
        let random = random.fork();
        let mut talk = Self { actors: Vec::new(), random, provider, suite, encrypt_handshakes, born: 0 };
        let mut creator = talk.actor();
        creator.create();
        talk.actors.push(creator);
        for _ in 1..members {
            talk.turn(0, &[(Deed::Add, By::Value)]);
        }
        talk
    }

    fn actor(&mut self) -> Actor {
        self.born += 1;
        let seed = self.random.number();
        let mut actor = Actor::new(&format!("member {}", self.born), *self.provider, self.suite.id(), seed);
        actor.policy = policy();
        actor.policy.encrypt_handshakes = self.encrypt_handshakes;
        actor.reload = false;
        actor.now = NOW;
        actor.keep_psk(PSK_ID, PSK);
        actor
    }

    /// Whether Welcomes have the tree.
    pub(super) fn set_ratchet_tree_extension(&mut self, yes: bool) {
        for actor in &mut self.actors {
            actor.policy.ratchet_tree_extension = yes;
            let policy = actor.policy.clone();
            let step = actor.group.as_mut().unwrap().set_policy(policy).unwrap();
            step.commit(&mut actor.store).unwrap();
        }
    }

    /// Who acts next.
    pub(super) fn somebody(&mut self) -> usize {
        self.random.below(self.actors.len())
    }

    /// Adds a client that takes no part, only it or with a pre-shared key: the epoch, and the way in.
    pub(super) fn tell(&mut self, key_package: &Hex, with_psk: bool, omit_path: bool) -> (Turn, EpochChange) {
        let by = self.somebody();
        let mut proposals =
            vec![NewProposal::Add(Box::new(self.actors[by].validate(&key_package.0).unwrap()))];
        if with_psk {
            proposals.push(NewProposal::Psk(psk()));
        }
        self.commit(by, CommitPlan { proposals, omit_path, ..CommitPlan::default() }, Vec::new())
    }

    /// A commit that does these things, and the proposals before it.
    pub(super) fn turn(&mut self, by: usize, deeds: &[(Deed, By)]) -> Turn {
        let (mut proposals, mut messages, mut newcomers) = (Vec::new(), Vec::new(), Vec::new());
        let mut leaving = Vec::new();
        for (deed, how) in deeds {
            let Some(proposer) = self.proposer(by, *deed, *how, &leaving) else { continue };
            let proposal = match deed {
                Deed::Add => {
                    let mut actor = self.actor();
                    let key_package = actor.key_package();
                    newcomers.push(actor);
                    NewProposal::Add(Box::new(self.actors[by].validate(&key_package).unwrap()))
                }
                Deed::Extensions => NewProposal::GroupContextExtensions(self.extensions()),
                Deed::Psk => NewProposal::Psk(psk()),
                Deed::Remove => {
                    let others = (0..self.actors.len()).filter(|other| *other != by && *other != proposer);
                    let others: Vec<_> = others.filter(|other| !leaving.contains(other)).collect();
                    let Some(last) = others.len().checked_sub(1) else { continue };
                    let removed = others[self.random.below(last + 1)];
                    leaving.push(removed);
                    NewProposal::Remove(self.actors[removed].leaf())
                }
                Deed::Update => {
                    // Whoever updates is not removed as well.
                    leaving.push(proposer);
                    NewProposal::Update(LeafUpdate::default())
                }
            };
            match how {
                By::Value if *deed != Deed::Update => proposals.push(proposal),
                By::Reference | By::Value => {
                    let message = self.actors[proposer].propose(proposal).unwrap();
                    self.deliver(proposer, &message);
                    messages.push(message);
                }
            }
        }
        let (turn, _) = self.commit(by, CommitPlan { proposals, ..CommitPlan::default() }, newcomers);
        Turn { proposals: messages, ..turn }
    }

    /// A commit by somebody who was not in the group.
    pub(super) fn external_turn(&mut self) -> Turn {
        let somebody = self.somebody();
        let with_tree = self.random.below(2) == 0;
        let group_info = self.actors[somebody].group_info(with_tree);
        let tree = self.actors[somebody].group().ratchet_tree().unwrap();
        let mut actor = self.actor();
        let commit = actor.external_join(&group_info, (!with_tree).then_some(&tree), None).unwrap();
        self.deliver(usize::MAX, &commit);
        let authenticator = actor.group().epoch_authenticator().unwrap().to_vec();
        self.actors.push(actor);
        Turn { proposals: Vec::new(), commit, authenticator }
    }

    /// Who makes a proposal for it; nobody if there is nobody.
    fn proposer(&mut self, committer: usize, deed: Deed, how: By, busy: &[usize]) -> Option<usize> {
        let may = |actor: &usize| match (deed, how) {
            (Deed::Update, _) => *actor != committer && !busy.contains(actor),
            (_, By::Value) => *actor == committer,
            (_, By::Reference) => !busy.contains(actor),
        };
        let who: Vec<usize> = (0..self.actors.len()).filter(may).collect();
        (!who.is_empty()).then(|| who[self.random.below(who.len())])
    }

    fn commit(&mut self, by: usize, plan: CommitPlan<'_>, newcomers: Vec<Actor>) -> (Turn, EpochChange) {
        let committer = &mut self.actors[by];
        let answers = committer.answers(&[psk()]);
        let (id, commit) = committer.commit_with(plan, &answers).unwrap();
        let change = committer.apply(&id).unwrap();
        let authenticator = committer.group().epoch_authenticator().unwrap().to_vec();
        self.deliver(by, &commit);
        for mut newcomer in newcomers {
            newcomer.join(&change.welcomes[0].message, None).unwrap();
            self.actors.push(newcomer);
        }
        (Turn { proposals: Vec::new(), commit, authenticator }, change)
    }

    /// Gives a message to all others. Whoever is removed by it takes no part any more.
    fn deliver(&mut self, from: usize, message: &[u8]) {
        let mut number = 0;
        self.actors.retain_mut(|actor| {
            let is_sender = number == from;
            number += 1;
            if is_sender {
                return true;
            }
            match actor.receive(message).unwrap() {
                Outcome::Commit(change) => change.status != Status::Removed,
                Outcome::Message(_) | Outcome::Proposal => true,
            }
        });
    }

    /// Extensions of the group that it has not had.
    fn extensions(&mut self) -> Extensions {
        let mut extensions = Extensions::new();
        let signer = SoftwareSigner::generate(self.suite, &mut self.random).unwrap();
        let credential = Credential::basic(self.random.bytes(6));
        let sender = ExternalSender { signature_key: signer.public_key().clone(), credential };
        extensions.set(ExtensionType::EXTERNAL_SENDERS, vec![sender].to_bytes().unwrap());
        if self.random.below(2) == 0 {
            let required = RequiredCapabilities::default().to_bytes().unwrap();
            extensions.set(ExtensionType::REQUIRED_CAPABILITIES, required);
        }
        extensions
    }

    /// The tree, as it is handed out beside Welcomes.
    pub(super) fn tree(&self) -> Hex {
        Hex(self.actors[0].group().ratchet_tree().unwrap())
    }
}

fn psk() -> Psk {
    Psk::External { psk_id: PSK_ID.to_vec() }
}
