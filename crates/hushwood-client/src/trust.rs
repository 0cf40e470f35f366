//! Whom we believe to be who they say (RFC 9420 §5.3.1, RFC 9750 §4).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use hushwood::credential::basic::{BasicPins, FirstUse, Pinned};
use hushwood::credential::{
    Claim, Credential, CredentialCheck, CredentialValidator, InsecureAcceptAll, Subject, Verdict, Verdicts,
};
use hushwood::policy::Timestamp;
use hushwood::transition::Records;
use hushwood_codec::wire_struct;
use hushwood_crypto::{CipherSuite, SignaturePublicKey};
use hushwood_delivery::wire::fold_name;

use crate::core::Known;
use crate::core::work::Work;
use crate::error::Error;
use crate::event::Attention;
use crate::identity::{DeviceId, Member, credential, device_of, member_of};
use crate::records::{PINS, VERSION, corrupt, from_row, row, rows, to_row};
use crate::voucher::{DeviceWord, Vouchers};

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
        /// [`SEEN`], [`VERIFIED`] or [`DOUBTED`].
        known: u8,
    }
}

/// It was shown, and nothing spoke against it.
const SEEN: u8 = 0;
/// A person has compared numbers.
const VERIFIED: u8 = 1;
/// A person has said that it is somebody else's.
const DOUBTED: u8 = 2;

/// What is believed, and why.
pub(crate) struct Judge {
    trust: Trust,
    first_use: FirstUse,
    pins: BasicPins,
    verified: BTreeSet<(Vec<u8>, SignaturePublicKey)>,
    /// Keys that are somebody else's: members with them are there, and are not believed to be who they say.
    doubted: BTreeSet<(Vec<u8>, SignaturePublicKey)>,
    /// Whose identities have pins: the person by the one spelling of all that are the same, and the identity.
    people: BTreeSet<(String, Vec<u8>)>,
    /// The service's name, and what we show ourselves.
    own: (Vec<u8>, Claim),
}

/// What came of a list of checks.
pub(crate) struct Judgement {
    pub(crate) verdicts: Verdicts,
    /// Whose key is not believed, if there is one.
    pub(crate) refused: Option<Member>,
    /// That key.
    pub(crate) refused_claim: Option<Claim>,
    /// Whether it is one of a device that was never seen, of a person of whom others are known.
    pub(crate) is_new_device: bool,
    /// Keys that were not known.
    pub(crate) new: Vec<Claim>,
    /// Other keys of members that are doubted.
    pub(crate) doubted: Vec<Claim>,
}

impl Judgement {
    /// What the user is asked about somebody who was refused.
    pub(crate) fn attention(&self, member: &Member) -> Attention {
        match self.is_new_device {
            true => Attention::NewDevice(member.clone()),
            false => Attention::KeyChanged(member.clone()),
        }
    }
}

/// What a person has decided about a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Decision {
    /// They have compared numbers.
    Verified,
    /// They take it, and have compared nothing.
    Accepted,
    /// It is somebody else's.
    Doubted,
}

impl Judge {
    /// With what the store knows.
    pub(crate) fn open(trust: Trust, own: (Vec<u8>, Claim), store: &dyn Records) -> Result<Self, Error> {
        let first_use = match &trust.0 {
            Kind::Pins(first_use) => *first_use,
            Kind::Validator(_) => FirstUse::Trust,
        };
        let mut judge = Self {
            trust,
            first_use,
            pins: BasicPins::new(first_use),
            verified: BTreeSet::new(),
            doubted: BTreeSet::new(),
            people: BTreeSet::new(),
            own,
        };
        judge.reload(store)?;
        Ok(judge)
    }

    /// This is what we show ourselves from now on.
    pub(crate) fn is_ours(&mut self, service: Vec<u8>, own: Claim) {
        self.own = (service, own);
    }

    /// Begins anew with what the store knows.
    pub(crate) fn reload(&mut self, store: &dyn Records) -> Result<(), Error> {
        let (mut verified, mut doubted) = (BTreeSet::new(), BTreeSet::new());
        let (mut pins, mut people) = (BasicPins::new(self.first_use), BTreeSet::new());
        for (identity, value) in rows(store, PINS)? {
            let record: PinRecord = from_row(&value)?;
            if record.version != VERSION {
                return Err(corrupt());
            }
            for pinned in record.keys {
                let key = SignaturePublicKey(pinned.key);
                let credential = Credential::basic(identity.clone());
                let (claim, entry) =
                    (Claim { credential, signature_key: key.clone() }, (identity.clone(), key));
                match pinned.known {
                    DOUBTED => {
                        doubted.insert(entry);
                        continue;
                    }
                    VERIFIED => drop(verified.insert(entry)),
                    SEEN => {}
                    _ => return Err(corrupt()),
                }
                pins.pin(&claim);
                people.extend(person_of(&claim));
            }
        }
        (self.pins, self.verified, self.doubted, self.people) = (pins, verified, doubted, people);
        Ok(())
    }

    /// Judges. The vouchers are those of the leaves that the checks are about.
    pub(crate) fn judge(
        &self,
        checks: &[CredentialCheck],
        vouchers: &Vouchers,
        suite: &dyn CipherSuite,
    ) -> Judgement {
        let validator: &dyn CredentialValidator = match &self.trust.0 {
            Kind::Pins(_) => &self.pins,
            Kind::Validator(validator) => &**validator,
        };
        // Who is doubted may be there. They are not believed, and nobody need be asked again.
        let mut first_uses = BTreeMap::new();
        let judged = checks.iter().map(|check| match self.is_of_a_doubted(check) {
            true => Verdict::Accept,
            // Our own key is ours.
            false if check.new == self.own.1 && !self.is_of_the_application() => Verdict::Accept,
            // One device has one key, also where two are shown at once.
            false if self.is_second_use(&check.new, &mut first_uses) => Verdict::Refuse,
            false if self.is_unvouched(&check.new, vouchers, suite) => Verdict::Refuse,
            false => validator.judge(check),
        });
        let verdicts = Verdicts(judged.collect());
        let refused = checks.iter().zip(&verdicts.0).find(|(_, verdict)| **verdict == Verdict::Refuse);
        let refused_claim = refused.map(|(check, _)| check.new.clone());
        let refused = refused_claim.as_ref().map(|claim| member_of(claim, suite));
        let is_new_device = refused_claim
            .as_ref()
            .is_some_and(|claim| self.pins.compare(claim) == Pinned::FirstUse && self.knows_person(claim));
        let (mut new, mut doubted) = (Vec::new(), Vec::new());
        if refused.is_none() {
            // Who only proposes from outside is told of, and no member whose key were to be kept.
            let is_outside = |check: &&CredentialCheck| matches!(check.subject, Subject::ExternalSender(_));
            let (of_doubted, others): (Vec<_>, Vec<_>) = checks
                .iter()
                .filter(|check| !is_outside(check))
                .partition(|check| self.is_of_a_doubted(check));
            new.extend(self.pins.first_uses(others).cloned());
            let of_doubted = of_doubted.into_iter().map(|check| &check.new);
            doubted.extend(of_doubted.filter(|claim| !self.is_doubted(claim)).cloned());
        }
        Judgement { verdicts, refused, refused_claim, is_new_device, new, doubted }
    }

    /// Whether a claim alone is believed.
    pub(crate) fn believes(
        &self,
        claim: &Claim,
        vouchers: &Vouchers,
        (now, suite): (Timestamp, &dyn CipherSuite),
    ) -> bool {
        let check = CredentialCheck { subject: Subject::KeyPackage, old: None, new: claim.clone(), now };
        !self.is_doubted(claim) && self.judge(&[check], vouchers, suite).refused.is_none()
    }

    /// How well a key is known.
    pub(crate) fn known(&self, claim: &Claim, own: &Claim) -> Known {
        match () {
            () if claim == own => Known::Own,
            () if self.is_verified(claim) => Known::Verified,
            () if self.is_doubted(claim) => Known::Doubted,
            () if self.knows(claim) => Known::Seen,
            () => Known::Unknown,
        }
    }

    /// Whether the application judges by itself, and pins are kept for nothing but to be shown.
    pub(crate) fn is_of_the_application(&self) -> bool {
        matches!(self.trust.0, Kind::Validator(_))
    }

    /// Whether this is the key that was known.
    fn knows(&self, claim: &Claim) -> bool {
        matches!(&claim.credential, Credential::Basic { identity }
            if self.pins.keys(identity).any(|key| *key == claim.signature_key))
    }

    /// Whether a person has compared numbers with whoever has this key.
    fn is_verified(&self, claim: &Claim) -> bool {
        matches!(&claim.credential, Credential::Basic { identity }
            if self.verified.contains(&(identity.clone(), claim.signature_key.clone())))
    }

    /// Whether somebody has said that this key is not of whom it claims.
    pub(crate) fn is_doubted(&self, claim: &Claim) -> bool {
        matches!(&claim.credential, Credential::Basic { identity }
            if self.doubted.contains(&(identity.clone(), claim.signature_key.clone())))
    }

    /// Whether any key that claims to be of this identity is doubted.
    pub(crate) fn has_doubted(&self, credential: &Credential) -> bool {
        matches!(credential, Credential::Basic { identity }
            if self.doubted.iter().any(|(other, _)| other == identity))
    }

    /// Whether a key is shown for an identity that nothing is known of but another key, which was shown just before.
    fn is_second_use<'a>(
        &self,
        claim: &'a Claim,
        first_uses: &mut BTreeMap<&'a [u8], &'a SignaturePublicKey>,
    ) -> bool {
        let (Kind::Pins(_), Credential::Basic { identity }) = (&self.trust.0, &claim.credential) else {
            return false;
        };
        self.pins.compare(claim) == Pinned::FirstUse
            && *first_uses.entry(identity).or_insert(&claim.signature_key) != &claim.signature_key
    }

    /// Whether it is a device that was never seen, of a person of whom another one is known, and no device that is known says that
    /// it is theirs.
    fn is_unvouched(&self, claim: &Claim, vouchers: &Vouchers, suite: &dyn CipherSuite) -> bool {
        let (service, own) = &self.own;
        if self.is_of_the_application() || claim == own || self.pins.compare(claim) != Pinned::FirstUse {
            return false;
        }
        if claim.credential == own.credential {
            // Our own device has one key.
            return true;
        }
        let Some(member) = device_of(claim).filter(|_| self.knows_person(claim)) else { return false };
        let Some(voucher) = vouchers.get(&claim.signature_key) else { return true };
        let word = DeviceWord {
            service: service.clone(),
            person: member.person.as_bytes().to_vec(),
            device: member.device.0,
            key: claim.signature_key.0.clone(),
        };
        let by = credential(&member.person, DeviceId(voucher.device));
        let own_key = Some(&own.signature_key).filter(|_| by == own.credential);
        let Credential::Basic { identity } = &by else { return true };
        let mut keys = self.pins.keys(identity).chain(own_key);
        !keys.any(|key| word.is_signed(suite, key, &voucher.signature))
    }

    /// Whether a device of this person is known; our own person is.
    fn knows_person(&self, claim: &Claim) -> bool {
        let Some((person, _)) = person_of(claim) else { return false };
        let is_own = person_of(&self.own.1).is_some_and(|(own, _)| own == person);
        let mut pinned = self.people.range((person.clone(), Vec::new())..);
        is_own || pinned.next().is_some_and(|(other, _)| *other == person)
    }

    /// Whether it is about somebody doubted: by the key that they show now, or that they showed before.
    fn is_of_a_doubted(&self, check: &CredentialCheck) -> bool {
        let before = check.old.as_ref().is_some_and(|old| self.is_doubted(old));
        self.is_doubted(&check.new) || (before && !self.knows(&check.new))
    }

    /// Keeps keys that were accepted with what is written.
    pub(crate) fn keep(&mut self, judgement: &Judgement, work: &mut Work) -> Result<(), Error> {
        self.keep_new(&judgement.new, work)?;
        judgement.doubted.iter().try_for_each(|claim| self.decide(claim, Decision::Doubted, work))
    }

    /// Keeps keys that are believed with what is written.
    pub(crate) fn keep_new(&mut self, new: &[Claim], work: &mut Work) -> Result<(), Error> {
        for claim in new {
            if self.pins.pin(claim) {
                self.people.extend(person_of(claim));
                self.put(claim, work)?;
            }
        }
        Ok(())
    }

    /// A person says whose key this is.
    pub(crate) fn decide(&mut self, claim: &Claim, decision: Decision, work: &mut Work) -> Result<(), Error> {
        let Credential::Basic { identity } = &claim.credential else { return Ok(()) };
        let entry = (identity.clone(), claim.signature_key.clone());
        self.doubted.remove(&entry);
        match decision {
            Decision::Verified => {
                self.pins.pin(claim);
                self.verified.insert(entry);
            }
            Decision::Accepted => {
                self.pins.pin(claim);
            }
            Decision::Doubted => {
                self.pins.unpin(identity, &claim.signature_key);
                self.verified.remove(&entry);
                self.doubted.insert(entry);
            }
        }
        if let Some(person) = person_of(claim) {
            match self.pins.keys(identity).next() {
                Some(_) => self.people.insert(person),
                None => self.people.remove(&person),
            };
        }
        self.put(claim, work)
    }

    fn put(&self, claim: &Claim, work: &mut Work) -> Result<(), Error> {
        let Credential::Basic { identity } = &claim.credential else { return Ok(()) };
        let known = |key: &SignaturePublicKey| match self.verified.contains(&(identity.clone(), key.clone()))
        {
            true => VERIFIED,
            false => SEEN,
        };
        let pinned = self.pins.keys(identity).map(|key| (key, known(key)));
        let doubted = self.doubted.iter().filter(|(other, _)| other == identity);
        let keys = pinned.chain(doubted.map(|(_, key)| (key, DOUBTED)));
        let keys = keys.map(|(key, known)| PinnedKey { key: key.0.clone(), known }).collect();
        work.put(row(PINS, identity.clone()), to_row(&PinRecord { version: VERSION, keys }, 0)?);
        Ok(())
    }
}

/// Whose identity it is, if it is one of our making: spellings of one name are one.
fn person_of(claim: &Claim) -> Option<(String, Vec<u8>)> {
    let Credential::Basic { identity } = &claim.credential else { return None };
    Some((fold_name(&device_of(claim)?.person), identity.clone()))
}
