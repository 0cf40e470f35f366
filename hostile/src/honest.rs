//! Honest clients: what they say to something, and whether saying it has changed them.

use std::collections::BTreeMap;

use hushwood::commit::Answers;
use hushwood::credential::{InsecureAcceptAll, judge};
use hushwood::error::Error;
use hushwood::group::{ExternalJoin, Group, GroupView, OpenedWelcome, Received, StagedExternalJoin};
use hushwood::schedule::GroupContext;
use hushwood::transition::RecordKey;
use hushwood::tree::Supported;
use test_support::actor::Actor;
use test_support::random::SeededRandom;

use crate::mutation::To;

/// All that an honest client has in its store and in memory: it is the same before and after a refusal.
#[derive(Debug, Eq, PartialEq)]
pub struct State {
    version: u64,
    rows: BTreeMap<RecordKey, Vec<u8>>,
    group: Option<InMemory>,
}

#[derive(Debug, Eq, PartialEq)]
struct InMemory {
    context: GroupContext,
    authenticator: Vec<u8>,
    exported: Vec<u8>,
    tree_hash: Vec<u8>,
    tree: Vec<u8>,
    pending: Vec<Vec<u8>>,
    staged: usize,
    /// That the status is the same, by its text.
    status: String,
}

impl State {
    /// Of this client, as it is now.
    pub fn of(actor: &Actor) -> Self {
        let (version, rows) = actor.rows();
        Self { version, rows, group: actor.group.as_ref().map(InMemory::of) }
    }
}

impl InMemory {
    fn of(group: &Group) -> Self {
        Self {
            context: group.context().clone(),
            authenticator: group.epoch_authenticator().expect("a member").to_vec(),
            exported: group.export("hostile", b"state", 32).expect("it exports").expose().to_vec(),
            tree_hash: group.tree().tree_hash().expect("it hashes").as_bytes().to_vec(),
            tree: group.ratchet_tree().expect("it encodes"),
            pending: group.pending_proposals().map(|pending| pending.reference.0.clone()).collect(),
            staged: group.staged_commits().count(),
            status: format!("{:?}", group.status()),
        }
    }
}

/// What an honest client says to something, as far as it can look at it without accepting it.
///
/// # Errors
/// What it says.
pub fn look(actor: &Actor, to: To, message: &[u8]) -> Result<(), Error> {
    let random = &mut SeededRandom::new(3);
    match to {
        To::Members | To::Waiting | To::Open => receive(actor, message),
        To::Joiner => {
            let opened = OpenedWelcome::open(message, &actor.store, &actor.provider, &actor.policy)?;
            let answers = Answers::from_store(&actor.store, opened.psks())?;
            let staged = opened.stage(&answers, None, None, actor.now, random)?;
            let verdicts = judge(staged.checks(), &InsecureAcceptAll);
            staged.accept(&verdicts, &actor.store, random).map(drop)
        }
        To::Outsider => {
            let circumstances = (&actor.policy, actor.now);
            let seen = GroupView::verify(message, None, &actor.provider, circumstances, random).map(drop);
            let supported = Supported::new(&actor.provider);
            let settings = ExternalJoin::new(actor.provider, actor.credential(), supported);
            let staged = StagedExternalJoin::stage(message, None, settings, &actor.signer, actor.now, random);
            let staged = staged.and_then(|staged| {
                let verdicts = judge(staged.checks(), &InsecureAcceptAll);
                staged.accept(&verdicts, &actor.store, random).map(drop)
            });
            // Whoever only watches sees at most what one who joins sees.
            assert!(staged.is_err() || seen.is_ok(), "{seen:?} where {staged:?}");
            staged
        }
        To::Inviter => actor.validate(message).map(drop),
    }
}

fn receive(actor: &Actor, message: &[u8]) -> Result<(), Error> {
    let group = actor.group();
    match group.receive(message, actor.now)? {
        Received::Commit(received) => {
            let answers = Answers::from_store(&actor.store, received.psks())?;
            let random = &mut SeededRandom::new(5);
            group.stage_commit(&received, &answers, actor.now, random).map(drop)
        }
        _ => Ok(()),
    }
}

/// Has it accept something for good.
///
/// # Errors
/// Why it does not.
pub fn accept(actor: &mut Actor, to: To, message: &[u8]) -> Result<(), Error> {
    match to {
        To::Members | To::Waiting | To::Open => actor.receive(message).map(drop),
        To::Joiner => actor.join(message, None).map(drop),
        To::Outsider => actor.external_join(message, None, None).map(drop),
        To::Inviter => actor.validate(message).map(drop),
    }
}
