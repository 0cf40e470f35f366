//! Whom we believe to be who they say (RFC 9420 §5.3.1, RFC 9750 §4).

use std::collections::BTreeSet;
use std::fmt;

use hushwood::credential::basic::{BasicPins, FirstUse};
use hushwood::credential::{
    Claim, Credential, CredentialCheck, CredentialValidator, InsecureAcceptAll, Subject, Verdict, Verdicts,
    judge,
};
use hushwood::policy::Timestamp;
use hushwood::transition::Records;
use hushwood_codec::wire_struct;
use hushwood_crypto::{CipherSuite, SignaturePublicKey};

use crate::core::work::Work;
use crate::error::Error;
use crate::identity::{Member, member_of};
use crate::records::{PINS, VERSION, corrupt, from_row, row, rows, to_row};

/// How credentials are judged. There is no default: an application has to say.
pub struct Trust(Kind);

enum Kind {
    Pins(FirstUse),
    Validator(Box<dyn CredentialValidator + Send>),
}

impl Trust {
    /// The key that a device shows first is its key; another one is refused until it is trusted by
    /// [`trust`](crate::Core::trust). First uses are told, and numbers can be compared.
    #[must_use]
    pub fn on_first_use() -> Self {
        Self(Kind::Pins(FirstUse::Trust))
    }

    /// Only keys that were trusted before, by [`trust`](crate::Core::trust).
    #[must_use]
    pub fn known_only() -> Self {
        Self(Kind::Pins(FirstUse::Refuse))
    }

    /// By a validator of the application's own.
    pub fn validator(validator: impl CredentialValidator + Send + 'static) -> Self {
        Self(Kind::Validator(Box::new(validator)))
    }

    /// Everybody can be anybody. For tests and experiments only.
    #[must_use]
    pub fn insecure_accept_all() -> Self {
        Self::validator(InsecureAcceptAll)
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").finish_non_exhaustive()
    }
}

wire_struct! {
    /// The keys of an identity.
    struct PinRecord {
        version: u8,
        keys: Vec<PinnedKey>,
    }
}

wire_struct! {
    struct PinnedKey {
        key: Vec<u8>,
        /// 1 if a person has compared numbers.
        verified: u8,
    }
}

/// What is believed, and why.
pub(crate) struct Judge {
    trust: Trust,
    first_use: FirstUse,
    pins: BasicPins,
    verified: BTreeSet<(Vec<u8>, SignaturePublicKey)>,
}

/// What came of a list of checks.
pub(crate) struct Judgement {
    pub(crate) verdicts: Verdicts,
    /// Whose key is not believed, if there is one.
    pub(crate) refused: Option<Member>,
    /// That key.
    pub(crate) refused_claim: Option<Claim>,
    /// Keys that were not known.
    pub(crate) new: Vec<Claim>,
}

impl Judge {
    /// With what the store knows.
    pub(crate) fn open(trust: Trust, store: &dyn Records) -> Result<Self, Error> {
        let first_use = match &trust.0 {
            Kind::Pins(first_use) => *first_use,
            Kind::Validator(_) => FirstUse::Trust,
        };
        let mut judge = Self { trust, first_use, pins: BasicPins::new(first_use), verified: BTreeSet::new() };
        judge.reload(store)?;
        Ok(judge)
    }

    /// Begins anew with what the store knows.
    pub(crate) fn reload(&mut self, store: &dyn Records) -> Result<(), Error> {
        let (mut pins, mut verified) = (BasicPins::new(self.first_use), BTreeSet::new());
        for (identity, value) in rows(store, PINS)? {
            let record: PinRecord = from_row(&value)?;
            if record.version != VERSION {
                return Err(corrupt());
            }
            for pinned in record.keys {
                let key = SignaturePublicKey(pinned.key);
                let credential = Credential::basic(identity.clone());
                pins.pin(&Claim { credential, signature_key: key.clone() });
                if pinned.verified != 0 {
                    verified.insert((identity.clone(), key));
                }
            }
        }
        (self.pins, self.verified) = (pins, verified);
        Ok(())
    }

    pub(crate) fn judge(&self, checks: &[CredentialCheck], suite: &dyn CipherSuite) -> Judgement {
        let verdicts = match &self.trust.0 {
            Kind::Pins(_) => judge(checks, &self.pins),
            Kind::Validator(validator) => judge(checks, &**validator),
        };
        let refused = checks.iter().zip(&verdicts.0).find(|(_, verdict)| **verdict == Verdict::Refuse);
        let refused_claim = refused.map(|(check, _)| check.new.clone());
        let refused = refused_claim.as_ref().map(|claim| member_of(claim, suite));
        let new = match refused {
            // Who only proposes from outside is told of, and no member whose key were to be kept.
            None => {
                let of_members =
                    checks.iter().filter(|check| !matches!(check.subject, Subject::ExternalSender(_)));
                self.pins.first_uses(of_members).cloned().collect()
            }
            Some(_) => Vec::new(),
        };
        Judgement { verdicts, refused, refused_claim, new }
    }

    /// Whether a claim alone is believed.
    pub(crate) fn believes(&self, claim: &Claim, now: Timestamp, suite: &dyn CipherSuite) -> bool {
        let check = CredentialCheck { subject: Subject::KeyPackage, old: None, new: claim.clone(), now };
        self.judge(&[check], suite).refused.is_none()
    }

    /// Whether this is the key that was known.
    pub(crate) fn knows(&self, claim: &Claim) -> bool {
        matches!(&claim.credential, Credential::Basic { identity }
            if self.pins.keys(identity).any(|key| *key == claim.signature_key))
    }

    /// Whether a person has compared numbers with whoever has this key.
    pub(crate) fn is_verified(&self, claim: &Claim) -> bool {
        matches!(&claim.credential, Credential::Basic { identity }
            if self.verified.contains(&(identity.clone(), claim.signature_key.clone())))
    }

    /// Keeps keys that were accepted with what is written.
    pub(crate) fn keep(&mut self, new: &[Claim], work: &mut Work) -> Result<(), Error> {
        for claim in new {
            if self.pins.pin(claim) {
                self.put(claim, work)?;
            }
        }
        Ok(())
    }

    /// A person says that this key is whose it says it is.
    pub(crate) fn verify(&mut self, claim: &Claim, work: &mut Work) -> Result<(), Error> {
        if let Credential::Basic { identity } = &claim.credential {
            self.pins.pin(claim);
            self.verified.insert((identity.clone(), claim.signature_key.clone()));
            self.put(claim, work)?;
        }
        Ok(())
    }

    fn put(&self, claim: &Claim, work: &mut Work) -> Result<(), Error> {
        let Credential::Basic { identity } = &claim.credential else { return Ok(()) };
        let verified = |key: &SignaturePublicKey| self.verified.contains(&(identity.clone(), key.clone()));
        let keys = self.pins.keys(identity);
        let keys = keys.map(|key| PinnedKey { key: key.0.clone(), verified: verified(key).into() }).collect();
        work.put(row(PINS, identity.clone()), to_row(&PinRecord { version: VERSION, keys }, 0)?);
        Ok(())
    }
}
