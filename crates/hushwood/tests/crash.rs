//! RFC 9420 §6.3.1, §9.1, C087, C182: the store fails at any write, in any way, and the client goes on from what it finds
//! there. No message is lost or read twice, none is sent that the store does not know of, and no key encrypts twice.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use hushwood::commit::Answers;
use hushwood::credential::{InsecureAcceptAll, judge};
use hushwood::crypto::CipherSuiteId;
use hushwood::error::{Error, NotNow};
use hushwood::group::{
    CommitPlan, Group, LeafUpdate, MessageId, NewProposal, OpenedWelcome, Received, Unacknowledged, client,
};
use hushwood::policy::Policy;
use hushwood::transition::{CommitError, PersistError, Step};
use hushwood_crypto::SoftwareSigner;
use hushwood_rustcrypto::PROVIDER;
use hushwood_store::MemoryStore;
use test_support::actor::{Actor, NOW, Outcome};
use test_support::failing_store::{FailingStore, WriteFailure};
use test_support::random::SeededRandom;

fn actor(name: &str) -> Actor {
    let seed = name.bytes().fold(23, |seed, byte| seed * 31 + u64::from(byte));
    Actor::new(name, PROVIDER, CipherSuiteId(1), seed)
}

/// A member whose store fails once.
struct Alice {
    group: Group,
    store: FailingStore<MemoryStore>,
    signer: SoftwareSigner,
    random: SeededRandom,
}

impl Alice {
    /// Does something. `None` if the write has failed: the group is then as the store has it.
    fn attempt<T>(
        &mut self,
        what: impl for<'g> FnOnce(&'g mut Group, &SoftwareSigner, &mut SeededRandom) -> Result<Step<'g, T>, Error>,
    ) -> Option<T> {
        let step = what(&mut self.group, &self.signer, &mut self.random).unwrap();
        match step.commit(&mut self.store) {
            Ok(output) => return Some(output),
            Err(CommitError(PersistError::Unknown)) => {
                let refused = self.group.encrypt(b"", b"", &self.signer, &mut self.random);
                assert_eq!(refused.map(drop), Err(NotNow::Reopen.into()));
                self.group = self.reopened();
            }
            // What is in memory is still what is in the store.
            Err(_) => {
                let stored = self.reopened();
                assert_eq!(stored.context(), self.group.context());
                assert_eq!(stored.pending_proposals().count(), self.group.pending_proposals().count());
                assert_eq!(stored.staged_commits().count(), self.group.staged_commits().count());
            }
        }
        None
    }

    fn reopened(&self) -> Group {
        Group::open(&self.store, &PROVIDER, self.group.instance()).unwrap()
    }

    /// Makes a message, until there is one: given, or found in the store after a write of unknown outcome.
    fn message<T>(
        &mut self,
        what: impl for<'g> Fn(&'g mut Group, &SoftwareSigner, &mut SeededRandom) -> Result<Step<'g, T>, Error>,
        outgoing: impl Fn(T) -> (MessageId, Vec<u8>),
    ) -> Vec<u8> {
        loop {
            let given = self.attempt(&what).map(&outgoing);
            let found = self.group.unacknowledged(&self.store).unwrap().into_iter().next();
            let found = found.map(|message| match message {
                Unacknowledged::Outgoing(outgoing) => (outgoing.id, outgoing.message),
                Unacknowledged::Incoming(message) => panic!("{message:?}"),
            });
            // Nothing is given that the store does not have.
            assert!(given.is_none() || given == found);
            let Some((id, message)) = found else { continue };
            self.acknowledge(id);
            return message;
        }
    }

    fn acknowledge(&mut self, id: MessageId) {
        while !self.group.unacknowledged(&self.store).unwrap().is_empty() {
            self.attempt(|group, _, _| group.acknowledge(&id));
        }
    }

    fn send(&mut self, text: &[u8]) -> Vec<u8> {
        self.message(
            |group, signer, random| group.encrypt(text, b"", signer, random),
            |sent| (sent.id, sent.message),
        )
    }

    fn propose_update(&mut self) -> Vec<u8> {
        let update = || NewProposal::Update(LeafUpdate::default());
        self.message(
            |group, signer, random| group.propose(update(), b"", signer, NOW, random),
            |sent| (sent.id, sent.message),
        )
    }

    fn commit(&mut self) -> Vec<u8> {
        self.message(
            |group, signer, random| {
                group.commit(CommitPlan::default(), &Answers::none(), signer, NOW, random)
            },
            |staged| (staged.outgoing.id, staged.outgoing.message),
        )
    }

    /// Applies the commit that is staged.
    fn apply(&mut self) {
        let id = *self.group.staged_commits().next().unwrap();
        let epoch = self.group.epoch() + 1;
        while self.group.epoch() < epoch {
            self.attempt(|group, _, _| group.apply(&id, NOW));
        }
        assert_eq!(self.group.staged_commits().count(), 0);
    }

    /// Reads a message, once.
    fn read(&mut self, message: &[u8]) -> Vec<u8> {
        let (id, text) = loop {
            match self.group.receive(message, NOW) {
                Ok(Received::Message(received)) => {
                    let read = self.attempt(|group, _, _| group.accept_message(received));
                    if let Some(read) = read {
                        break (read.id, read.plaintext.expose().to_vec());
                    }
                }
                // A write of unknown outcome was one: what it said is in the store.
                Err(Error::NotNow(NotNow::KeyUsed)) => {
                    let found = self.group.unacknowledged(&self.store).unwrap().into_iter().next();
                    let Some(Unacknowledged::Incoming(read)) = found else { panic!("the message is lost") };
                    break (read.id, read.plaintext.expose().to_vec());
                }
                other => panic!("{other:?}"),
            }
        };
        self.acknowledge(id);
        assert_eq!(self.group.receive(message, NOW).map(drop), Err(NotNow::KeyUsed.into()));
        text
    }

    fn follow(&mut self, commit: &[u8]) {
        let epoch = self.group.epoch() + 1;
        while self.group.epoch() < epoch {
            let Received::Commit(received) = self.group.receive(commit, NOW).unwrap() else {
                panic!("no commit")
            };
            let random = &mut SeededRandom::new(2);
            let staged = self.group.stage_commit(&received, &Answers::none(), NOW, random).unwrap();
            let verdicts = judge(staged.checks(), &InsecureAcceptAll);
            self.attempt(|group, _, _| group.accept_commit(staged, &verdicts, NOW));
        }
    }
}

/// Alice joins, talks, updates and commits. Gives the number of writes.
fn conversation(failing: Option<(u64, WriteFailure)>) -> u64 {
    let (mut bob, mut alice) = (actor("bob"), actor("alice"));
    bob.create();
    let key_package = alice.key_package();
    let (_, change) = bob.invite(&[key_package]).unwrap();
    let welcome = &change.welcomes[0].message;

    let mut store = FailingStore::new(std::mem::take(&mut alice.store));
    if let Some((write, failure)) = failing {
        store.fail_write(write, failure);
    }
    // C346: if the group was not written, the KeyPackage is still there; if it was, it is not.
    let group = loop {
        let Ok(opened) = OpenedWelcome::open(welcome, &store, &PROVIDER, &Policy::default()) else {
            let group_id = bob.group().group_id();
            let instance = Group::instance_of(&store, group_id).unwrap().unwrap();
            break Group::open(&store, &PROVIDER, instance).unwrap();
        };
        let staged = opened.stage(&Answers::none(), None, None, NOW, &mut alice.random).unwrap();
        let verdicts = judge(staged.checks(), &InsecureAcceptAll);
        let joined = staged.accept(&verdicts, &store, &mut alice.random).unwrap().commit(&mut store);
        if let Ok(group) = joined {
            break group;
        }
    };
    assert!(client::key_packages(store.inner()).unwrap().is_empty());
    let Actor { signer, random, .. } = alice;
    let mut alice = Alice { group, store, signer, random };

    for text in [&b"one"[..], b"two"] {
        let message = alice.send(text);
        assert_eq!(bob.read(&message).unwrap(), text);
    }
    let messages = [bob.send(b"three").unwrap(), bob.send(b"four").unwrap()];
    assert_eq!(alice.read(&messages[1]), b"four");
    assert_eq!(alice.read(&messages[0]), b"three");

    let update = alice.propose_update();
    bob.receive(&update).unwrap();
    let (id, commit) = bob.commit(CommitPlan::default()).unwrap();
    bob.apply(&id).unwrap();
    alice.follow(&commit);

    let commit = alice.commit();
    assert!(matches!(bob.receive(&commit).unwrap(), Outcome::Commit(_)));
    alice.apply();
    let message = alice.send(b"five");
    assert_eq!(bob.read(&message).unwrap(), b"five");
    assert_eq!(alice.group.context(), bob.group().context());
    assert_eq!(alice.group.epoch_authenticator(), bob.group().epoch_authenticator());
    alice.store.writes()
}

#[test]
fn a_write_that_fails_loses_no_message_and_uses_no_key_twice() {
    let writes = conversation(None);
    assert!(writes >= 15, "{writes} writes");
    for write in 1..=writes {
        for failure in WriteFailure::ALL {
            conversation(Some((write, failure)));
        }
    }
}
