//! What an attack costs whoever receives it: public-key operations, counted, and memory, counted in rows and bytes.
//!
//! Everybody here means harm but one, the victim, whose provider counts. [`messages`] has the table of what a member of
//! a group gets, [`joining`] that of who wants to join, [`flood`] keeps on for as long as it is told to.

pub mod flood;
mod insider;
pub mod joining;
pub mod messages;

pub use insider::{Insider, signer};

use std::fmt;

use hushwood::error::Error;
use hushwood::group::{CommitPlan, Group, NewProposal};
use hushwood::policy::Policy;
use hushwood_crypto::{CipherSuiteId, CryptoProvider, Secret, SignaturePrivateKey, SoftwareSigner};

use crate::actor::Actor;
use crate::counting::{Counter, Counts, Kind, provider};
use crate::fake_crypto::PROVIDER;

/// A message costs at most so many public-key operations for each level of the tree and each proposal or reference in it.
pub const C: u64 = 4;

/// A group: one who counts, one who makes what the library lets it make, and one who makes the rest.
pub struct Siege {
    /// How many members there are.
    pub members: u64,
    /// Whoever receives. At leaf 1.
    pub victim: Actor,
    /// The founder, at leaf 0.
    pub founder: Actor,
    /// The keys of the epoch.
    pub insider: Insider,
    /// The victim before it joined.
    pub newcomer: Actor,
    /// The Welcome that it joined by, with a path secret.
    pub welcome: Vec<u8>,
    /// Somebody who may join, and is invited to a group of as many.
    pub joiner: Actor,
    /// Its KeyPackage.
    pub joiner_key_package: Vec<u8>,
    /// The epoch it is invited to, by a Welcome that is for it alone.
    pub invited: Insider,
    provider: CryptoProvider,
    counter: &'static Counter,
}

/// What is to come of a message.
#[derive(Clone, Debug)]
pub enum Expected {
    /// It is taken.
    Taken,
    /// It is refused for this, and has cost so many verifications and no other public-key operation.
    Refused(Error, u64),
    /// It is no MLS message, or none of a version that is known: refused without any public-key operation.
    NotDecoded,
    /// It is refused for this, after no more than a message may cost.
    RefusedLate(Error),
}

/// A message and what is to come of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it is.
    pub name: &'static str,
    /// It.
    pub message: Vec<u8>,
    /// How many proposals and references are in it.
    pub proposals: u64,
    /// What is to come of it.
    pub expected: Expected,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Cost {
    /// Of which message.
    pub name: &'static str,
    /// How long it was.
    pub bytes: usize,
    /// How many proposals and references were in it.
    pub proposals: u64,
    /// What it has cost.
    pub counts: Counts,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operations = self.counts.public_key_operations();
        write!(
            f,
            "{}: {} bytes, {} proposals, {operations} operations",
            self.name, self.bytes, self.proposals
        )?;
        write!(f, ", {} verifications", self.counts.of(Kind::Verify).calls)?;
        write!(f, ", {} decapsulations", self.counts.of(Kind::Decap).calls)
    }
}

pub(crate) const SUITE_ID: CipherSuiteId = CipherSuiteId(1);

/// A client of the table.
#[must_use]
pub fn actor(name: &str, provider: CryptoProvider, seed: u64) -> Actor {
    let mut actor = Actor::new(name, provider, SUITE_ID, seed);
    actor.reload = false;
    actor.policy = Policy { encrypt_handshakes: false, ..Policy::default() };
    actor
}

impl Siege {
    /// A group of so many members, 2 at least.
    #[must_use]
    pub fn new(members: usize) -> Self {
        let counter: &'static Counter = Box::leak(Box::new(Counter::of_calls()));
        let provider = provider(&PROVIDER, counter);
        let mut founder = actor("founder", PROVIDER, 1);
        let mut victim = actor("victim", provider, 2);
        let key_package = victim.key_package();
        let others = (2..members)
            .map(|number| actor("other", PROVIDER, 1000 + u64::try_from(number).unwrap()).key_package());
        let invited: Vec<_> = std::iter::once(key_package.clone()).chain(others).collect();
        founder.create();
        let (_, change) = founder.invite(&invited).unwrap();
        let welcome = change.welcomes[0].message.clone();
        let newcomer = copy(&victim, provider);
        victim.join(&welcome, None).unwrap();
        let insider = Insider::new(&welcome, &key_package);
        // Somebody else's group, that one more is invited to.
        let mut joiner = actor("joiner", provider, 3);
        let joiner_key_package = joiner.key_package();
        let mut host = copy(&founder, PROVIDER);
        let add = NewProposal::Add(Box::new(host.validate(&joiner_key_package).unwrap()));
        // Without a path the joiner's leaf is unmerged everywhere: no parent hash speaks for it.
        let plan = CommitPlan { proposals: vec![add], omit_path: true, ..CommitPlan::default() };
        let (id, _) = host.commit(plan).unwrap();
        let change = host.apply(&id).unwrap();
        let invited = Insider::new(&change.welcomes[0].message, &joiner_key_package);
        let members = u64::try_from(members).unwrap();
        Self {
            members,
            victim,
            founder,
            insider,
            newcomer,
            welcome,
            joiner,
            joiner_key_package,
            invited,
            provider,
            counter,
        }
    }

    /// The same victim, whom what is done to the copy does not concern.
    #[must_use]
    pub fn victim(&self) -> Actor {
        copy(&self.victim, self.provider)
    }

    /// The founder, with its own future.
    #[must_use]
    pub fn founder(&self) -> Actor {
        copy(&self.founder, PROVIDER)
    }

    /// What something costs.
    pub fn measure<T>(&self, what: impl FnOnce() -> T) -> (T, Counts) {
        self.counter.take();
        let result = what();
        (result, self.counter.take())
    }

    /// The logarithm of the number of members, rounded up.
    #[must_use]
    pub fn levels(&self) -> u64 {
        u64::from(self.members.next_power_of_two().ilog2())
    }

    /// Sees whether what came of a case is what was to come, within the limit and `more` operations that are allowed
    /// besides; and with no more decapsulations than allowed.
    ///
    /// # Panics
    /// If it isn't.
    pub fn check(
        &self,
        case: &Case,
        (result, counts): (Result<(), Error>, Counts),
        (more, decapsulations): (u64, u64),
    ) -> Cost {
        let Case { name, message, proposals, expected } = case;
        let said = format!("{name}, {} members: {result:?}, {}", self.members, counts.words());
        let operations = counts.public_key_operations();
        match expected {
            Expected::Taken => assert!(result.is_ok(), "{said}"),
            Expected::Refused(error, verifications) => {
                assert_eq!(result.as_ref().err(), Some(error), "{said}");
                assert_eq!(counts.of(Kind::Verify).calls, *verifications, "{said}");
                assert_eq!(operations, *verifications, "{said}");
            }
            Expected::NotDecoded => {
                assert!(matches!(result, Err(Error::Decode(_) | Error::Unsupported(_))), "{said}");
                assert_eq!(operations, 0, "{said}");
            }
            Expected::RefusedLate(error) => assert_eq!(result.as_ref().err(), Some(error), "{said}"),
        }
        let most = C * (self.levels() + proposals) + more;
        assert!(operations <= most, "more than {most} operations: {said}");
        assert!(counts.of(Kind::Decap).calls <= decapsulations, "{said}");
        Cost { name: case.name, bytes: message.len(), proposals: *proposals, counts }
    }
}

/// An actor of the same state with its own store.
#[must_use]
pub fn copy(actor: &Actor, provider: CryptoProvider) -> Actor {
    let mut copy = Actor::new(&actor.name, provider, SUITE_ID, 77);
    copy.store = actor.store.snapshot();
    copy.reload = false;
    copy.policy = actor.policy.clone();
    let key = SignaturePrivateKey(Secret::copy_of(actor.signer.private_key().0.expose()));
    copy.signer = SoftwareSigner::new(copy.suite, key).unwrap();
    if let Some(group) = &actor.group {
        copy.group = Some(Group::open(&copy.store, &copy.provider, group.instance()).unwrap());
    }
    copy
}

#[cfg(test)]
mod tests;
