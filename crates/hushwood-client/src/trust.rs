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
use crate::records::{EXPECTED, PINS, VERSION, corrupt, from_row, row, rows, to_row};
use crate::voucher::{DeviceWord, Vouchers};

/// How credentials are judged. There is no default: an application has to say.
pub struct Trust {
    kind: Kind,
    /// How a key is told from what somebody has said of it.
    is_said: Option<fn(&Claim, &str) -> bool>,
}

enum Kind {
    Pins(FirstUse),
    Validator(Box<dyn CredentialValidator + Send>),
}

impl Trust {
    /// The key that a device shows first is its key; another one is refused until it is trusted by
    /// [`trust`](crate::Core::trust). First uses are told, and numbers can be compared.
    #[must_use]
    pub fn on_first_use() -> Self {
        Self { kind: Kind::Pins(FirstUse::Trust), is_said: None }
    }

    /// Only keys of which somebody has said that they are right, by [`trust`](crate::Core::trust), or before they were seen by
    /// [`expect_key`](crate::Core::expect_key).
    #[must_use]
    pub fn known_only() -> Self {
        Self { kind: Kind::Pins(FirstUse::Refuse), is_said: None }
    }

    /// How a key is told from what the application shows of keys, such as a number: so that somebody can say whose it is before it is
    /// seen ([`expect_key`](crate::Core::expect_key)).
    #[must_use]
    pub fn recognising(self, is_said: fn(&Claim, &str) -> bool) -> Self {
        Self { is_said: Some(is_said), ..self }
    }

    /// By a validator of the application's own. Members may then have certificates, if all of a room judge so: their person is the name
    /// in it, a mail address before others (RFC 9750 §8.4.2, A039).
    pub fn validator(validator: impl CredentialValidator + Send + 'static) -> Self {
        Self { kind: Kind::Validator(Box::new(validator)), is_said: None }
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

wire_struct! {
    /// What somebody has said of a key before it was seen.
    struct ExpectedRecord {
        version: u8,
        /// By the one spelling of all that are the same.
        person: Vec<u8>,
        said: Vec<u8>,
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
    /// What was said of keys before they were seen: whose they are, and what.
    expected: BTreeSet<(String, String)>,
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
    /// Why not.
    doubt: Doubt,
    /// Keys that were not known.
    pub(crate) new: Vec<Claim>,
    /// Other keys of members that are doubted.
    pub(crate) doubted: Vec<Claim>,
}

/// Why a key is not believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Doubt {
    /// Another one is known, or it is judged otherwise.
    Changed,
    /// It is one of a device that was never seen, of a person of whom others are known.
    NewDevice,
    /// Nobody has said anything of it.
    Unknown,
}

impl Judgement {
    /// What the user is asked about somebody who was refused.
    pub(crate) fn attention(&self, member: &Member) -> Attention {
        match self.doubt {
            Doubt::Changed => Attention::KeyChanged(member.clone()),
            Doubt::NewDevice => Attention::NewDevice(member.clone()),
            Doubt::Unknown => Attention::UnknownKey(member.clone()),
        }
    }

    /// What is said of somebody who was refused.
    pub(crate) fn error(&self, member: &Member) -> Error {
        let person = member.person.clone();
        match self.doubt {
            Doubt::Changed | Doubt::NewDevice => Error::KeyChanged { person },
            Doubt::Unknown => Error::UnknownKey { person },
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
        let first_use = match &trust.kind {
            Kind::Pins(first_use) => *first_use,
            Kind::Validator(_) => FirstUse::Trust,
        };
        let mut judge = Self {
            trust,
            first_use,
            pins: BasicPins::new(first_use),
            verified: BTreeSet::new(),
            doubted: BTreeSet::new(),
            expected: BTreeSet::new(),
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
                people.extend(person_of(&claim));
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
            }
        }
        (self.pins, self.verified, self.doubted, self.people) = (pins, verified, doubted, people);
        let expected = rows(store, EXPECTED)?.into_iter().map(|(_, value)| {
            let record: ExpectedRecord = from_row(&value)?;
            let text = |bytes| String::from_utf8(bytes).map_err(|_| corrupt());
            Ok::<_, Error>((text(record.person)?, text(record.said)?))
        });
        self.expected = expected.collect::<Result<_, _>>()?;
        Ok(())
    }

    /// Judges. The vouchers are those of the leaves that the checks are about.
    pub(crate) fn judge(
        &self,
        checks: &[CredentialCheck],
        vouchers: &Vouchers,
        suite: &dyn CipherSuite,
    ) -> Judgement {
        let validator: &dyn CredentialValidator = match &self.trust.kind {
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
            // Somebody has said so before.
            false if self.expectation(&check.new).is_some() => Verdict::Accept,
            false if self.is_unvouched(&check.new, vouchers, suite) => Verdict::Refuse,
            false => validator.judge(check),
        });
        let verdicts = Verdicts(judged.collect());
        let refused = checks.iter().zip(&verdicts.0).find(|(_, verdict)| **verdict == Verdict::Refuse);
        let refused_claim = refused.map(|(check, _)| check.new.clone());
        let refused = refused_claim.as_ref().map(|claim| member_of(claim, suite));
        let doubt = refused_claim.as_ref().map_or(Doubt::Changed, |claim| self.doubt(claim));
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
        Judgement { verdicts, refused, refused_claim, doubt, new, doubted }
    }

    /// Why a key is not believed.
    fn doubt(&self, claim: &Claim) -> Doubt {
        match self.pins.compare(claim) {
            Pinned::FirstUse if self.knows_person(claim) => Doubt::NewDevice,
            Pinned::FirstUse if matches!(self.trust.kind, Kind::Pins(FirstUse::Refuse)) => Doubt::Unknown,
            _ => Doubt::Changed,
        }
    }

    /// Whether a claim alone is believed.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn believes(
        &self,
        claim: &Claim,
        vouchers: &Vouchers,
        (now, suite): (Timestamp, &dyn CipherSuite),
    ) -> Result<(), Error> {
        if self.is_doubted(claim) {
            return Err(Error::KeyChanged { person: member_of(claim, suite).person });
        }
        let check = CredentialCheck { subject: Subject::KeyPackage, old: None, new: claim.clone(), now };
        let judgement = self.judge(&[check], vouchers, suite);
        match &judgement.refused {
            Some(member) => Err(judgement.error(member)),
            None => Ok(()),
        }
    }

    /// How well a key is known.
    pub(crate) fn known(&self, claim: &Claim, own: &Claim) -> Known {
        match () {
            () if claim == own => Known::Own,
            () if self.is_verified(claim) => Known::Verified,
            () if self.is_doubted(claim) => Known::Doubted,
            () if self.knows(claim) => Known::Seen,
            () => match self.expectation(claim).map(|(_, said)| said.as_str()) {
                Some("") => Known::Seen,
                Some(_) => Known::Verified,
                None => Known::Unknown,
            },
        }
    }

    /// Whether the application judges by itself, and pins are kept for nothing but to be shown.
    pub(crate) fn is_of_the_application(&self) -> bool {
        matches!(self.trust.kind, Kind::Validator(_))
    }

    /// The keys that are believed to be of this credential.
    pub(crate) fn pinned(&self, credential: &Credential) -> Vec<SignaturePublicKey> {
        match credential {
            Credential::Basic { identity } => self.pins.keys(identity).cloned().collect(),
            Credential::X509 { .. } | Credential::Custom { .. } => Vec::new(),
        }
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

    /// What somebody has said of this key before it was seen.
    fn expectation(&self, claim: &Claim) -> Option<&(String, String)> {
        if self.expected.is_empty() || self.is_of_the_application() {
            return None;
        }
        let (person, _) = person_of(claim)?;
        let of_person = self.expected.range((person.clone(), String::new())..);
        let mut of_person = of_person.take_while(|(other, _)| *other == person);
        of_person.find(|(_, said)| match said.as_str() {
            // Whichever comes first of this person.
            "" => self.pins.compare(claim) == Pinned::FirstUse && !self.knows_person(claim),
            said => self.trust.is_said.is_some_and(|is_said| is_said(claim, said)),
        })
    }

    /// Remembers what somebody says of a key that was not seen yet: nothing for whichever is the first.
    pub(crate) fn expect(&mut self, person: &str, said: &str, work: &mut Work) -> Result<(), Error> {
        let entry = (fold_name(person), said.to_owned());
        let record = ExpectedRecord {
            version: VERSION,
            person: entry.0.as_bytes().to_vec(),
            said: entry.1.as_bytes().to_vec(),
        };
        work.put(row(EXPECTED, expected_key(&entry)), to_row(&record, 0)?);
        self.expected.insert(entry);
        Ok(())
    }

    /// Whether a key is shown for an identity that nothing is known of but another key, which was shown just before.
    fn is_second_use<'a>(
        &self,
        claim: &'a Claim,
        first_uses: &mut BTreeMap<&'a [u8], &'a SignaturePublicKey>,
    ) -> bool {
        let (Kind::Pins(_), Credential::Basic { identity }) = (&self.trust.kind, &claim.credential) else {
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
        // Before the first of them is one that is known.
        let expected: Vec<_> = new.iter().map(|claim| self.expectation(claim).cloned()).collect();
        for (claim, expected) in new.iter().zip(expected) {
            match expected {
                Some((_, said)) if said.is_empty() => self.decide(claim, Decision::Accepted, work)?,
                Some(_) => self.decide(claim, Decision::Verified, work)?,
                None if self.pins.pin(claim) => {
                    self.people.extend(person_of(claim));
                    self.put(claim, work)?;
                }
                None => {}
            }
        }
        Ok(())
    }

    /// A person says whose key this is.
    pub(crate) fn decide(&mut self, claim: &Claim, decision: Decision, work: &mut Work) -> Result<(), Error> {
        let Credential::Basic { identity } = &claim.credential else { return Ok(()) };
        while let Some(expected) = self.expectation(claim).cloned() {
            work.erase(row(EXPECTED, expected_key(&expected)));
            self.expected.remove(&expected);
        }
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
            // Also of whom a key is doubted: what comes under their name next is asked about, and not taken as the first one.
            self.people.insert(person);
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

/// The name of the row with what is expected of somebody.
fn expected_key((person, said): &(String, String)) -> Vec<u8> {
    [person.as_bytes(), &[0], said.as_bytes()].concat()
}

/// Whose identity it is, if it is one of our making: spellings of one name are one.
fn person_of(claim: &Claim) -> Option<(String, Vec<u8>)> {
    let Credential::Basic { identity } = &claim.credential else { return None };
    Some((fold_name(&device_of(claim)?.person), identity.clone()))
}
