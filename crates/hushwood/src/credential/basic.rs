//! RFC 9420 §5.3, RFC 9750 §8.4.3: basic credentials, which prove nothing by themselves.
//!
//! A basic credential says a name and nobody vouches for it. What can be done is to remember which keys
//! came with a name ([`BasicPins`]) and to compare keys over another channel ([`safety_number`]).

use std::collections::{BTreeMap, BTreeSet};

use hushwood_codec::{Decode, DecodeError, Encode, EncodeError, Reader, Writer};
use hushwood_crypto::{Hash, SignaturePublicKey};

use crate::credential::{Claim, Credential, CredentialCheck, CredentialValidator, Subject, Verdict};

/// Which signature keys belong to which identity. A table without storage: encode it into a record.
///
/// Identities are compared by their bytes; two that look alike on a screen are two.
///
/// ```
/// use hushwood::credential::basic::{BasicPins, FirstUse};
/// use hushwood::credential::{Claim, Credential, CredentialCheck, Subject, Verdict, judge};
/// use hushwood::crypto::SignaturePublicKey;
/// use hushwood::policy::Timestamp;
///
/// let mut pins = BasicPins::new(FirstUse::Trust);
/// let bob = |key| {
///     let signature_key = SignaturePublicKey(vec![key; 32]);
///     let new = Claim { credential: Credential::basic("bob"), signature_key };
///     CredentialCheck { subject: Subject::KeyPackage, old: None, new, now: Timestamp(0) }
/// };
/// assert_eq!(judge(&[bob(1)], &pins).0, [Verdict::Accept]);
/// pins.pin(&bob(1).new);
/// assert_eq!(judge(&[bob(2)], &pins).0, [Verdict::Refuse]);
/// ```
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct BasicPins {
    pins: BTreeMap<Vec<u8>, BTreeSet<SignaturePublicKey>>,
    first_use: FirstUse,
}

/// What to do about an identity that was never seen.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum FirstUse {
    /// Believe it; [`BasicPins::first_uses`] tells what to pin and to show.
    #[default]
    Trust,
    /// Refuse it: only identities that were pinned before are accepted.
    Refuse,
}

/// How a claim compares to what is pinned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pinned {
    /// The key is pinned for the identity.
    Match,
    /// Nothing is pinned for the identity.
    FirstUse,
    /// Other keys are pinned for the identity: a new device, a new key, or somebody else.
    OtherKey,
    /// The credential is not a basic one.
    NotBasic,
}

impl BasicPins {
    /// An empty table.
    #[must_use]
    pub fn new(first_use: FirstUse) -> Self {
        Self { pins: BTreeMap::new(), first_use }
    }

    /// Pins the claim's key for its identity; false if it was pinned, or is not a basic credential.
    pub fn pin(&mut self, claim: &Claim) -> bool {
        match &claim.credential {
            Credential::Basic { identity } => {
                self.pins.entry(identity.clone()).or_default().insert(claim.signature_key.clone())
            }
            Credential::X509 { .. } | Credential::Custom { .. } => false,
        }
    }

    /// Takes back the pin of one key, such as that of a lost device.
    pub fn unpin(&mut self, identity: &[u8], key: &SignaturePublicKey) {
        if let Some(keys) = self.pins.get_mut(identity) {
            keys.remove(key);
            if keys.is_empty() {
                self.pins.remove(identity);
            }
        }
    }

    /// The keys that are pinned for an identity.
    pub fn keys(&self, identity: &[u8]) -> impl Iterator<Item = &SignaturePublicKey> {
        self.pins.get(identity).into_iter().flatten()
    }

    /// Compares a claim to what is pinned.
    #[must_use]
    pub fn compare(&self, claim: &Claim) -> Pinned {
        let Credential::Basic { identity } = &claim.credential else { return Pinned::NotBasic };
        match self.pins.get(identity) {
            None => Pinned::FirstUse,
            Some(keys) if keys.contains(&claim.signature_key) => Pinned::Match,
            Some(_) => Pinned::OtherKey,
        }
    }

    /// The claims among checks that were accepted which are not pinned: pin them when the commit is
    /// applied, and show them to the user.
    pub fn first_uses<'a>(
        &'a self,
        checks: impl IntoIterator<Item = &'a CredentialCheck>,
    ) -> impl Iterator<Item = &'a Claim> {
        let new = checks.into_iter().map(|check| &check.new);
        new.filter(|claim| matches!(self.compare(claim), Pinned::FirstUse | Pinned::OtherKey))
    }

    /// Whether a member that shows another key vouches for it with a key that is right: an Update, or a
    /// commit, is signed with the old key. An external commit in place of a member is not.
    fn is_vouched(&self, check: &CredentialCheck) -> bool {
        let signed_with_old = match check.subject {
            Subject::Updated(_) | Subject::Committer(_) => true,
            Subject::KeyPackage
            | Subject::Added(_)
            | Subject::AddedByItself(_)
            | Subject::Joiner
            | Subject::Resync(_)
            | Subject::ExternalSender(_)
            | Subject::Member(_) => false,
        };
        signed_with_old && check.old.as_ref().is_some_and(|old| self.compare(old) == Pinned::Match)
    }
}

impl CredentialValidator for BasicPins {
    fn judge(&self, check: &CredentialCheck) -> Verdict {
        // RFC 9420 §5.3.1, C052: a successor names the same identity.
        if check.old.as_ref().is_some_and(|old| old.credential != check.new.credential) {
            return Verdict::Refuse;
        }
        match self.compare(&check.new) {
            Pinned::Match => Verdict::Accept,
            Pinned::FirstUse if self.first_use == FirstUse::Trust => Verdict::Accept,
            Pinned::OtherKey if self.is_vouched(check) => Verdict::Accept,
            Pinned::FirstUse | Pinned::OtherKey | Pinned::NotBasic => Verdict::Refuse,
        }
    }
}

impl Encode for BasicPins {
    fn encode(&self, writer: &mut Writer) {
        let first_use = match self.first_use {
            FirstUse::Trust => 0,
            FirstUse::Refuse => 1,
        };
        writer.raw(&[first_use]).nested(|writer| {
            for (identity, keys) in &self.pins {
                writer.opaque(identity).vector(keys);
            }
        });
    }
}

impl Decode for BasicPins {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let first_use = match u8::decode(reader.field("BasicPins.first_use"))? {
            0 => FirstUse::Trust,
            1 => FirstUse::Refuse,
            other => {
                return Err(reader.error(hushwood_codec::DecodeErrorKind::UnknownDiscriminant(other.into())));
            }
        };
        let pins = reader.field("BasicPins.pins").nested(|reader| {
            let mut pins = BTreeMap::new();
            while reader.remaining() > 0 {
                let identity = Vec::decode(reader)?;
                let keys = Vec::<SignaturePublicKey>::decode(reader)?;
                pins.insert(identity, keys.into_iter().collect());
            }
            Ok(pins)
        })?;
        Ok(Self { pins, first_use })
    }
}

/// Sixty digits that two people compare over another channel, in groups of five: equal exactly if both
/// see the same two claims.
///
/// Each half stands for one claim and has 99 bits; the smaller half comes first, so that both sides see
/// the same.
///
/// # Errors
/// [`EncodeError`] if a credential is longer than a vector can be.
pub fn safety_number(hash: &dyn Hash, left: &Claim, right: &Claim) -> Result<String, EncodeError> {
    let mut halves = [half(hash, left)?, half(hash, right)?];
    halves.sort_unstable();
    Ok(halves.join(" "))
}

fn half(hash: &dyn Hash, claim: &Claim) -> Result<String, EncodeError> {
    let mut writer = Writer::new();
    writer.opaque(b"Hushwood safety number 1").value(&claim.credential).value(&claim.signature_key);
    let digest = hash.hash(&[&writer.finish()?]);
    let groups = digest.as_bytes().chunks_exact(5).take(6).map(|chunk| {
        let number = chunk.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        format!("{:05}", number % 100_000)
    });
    Ok(groups.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Timestamp;
    use crate::testing::SUITE;
    use crate::tree::LeafIndex;

    fn claim(identity: &str, key: u8) -> Claim {
        Claim { credential: Credential::basic(identity), signature_key: SignaturePublicKey(vec![key]) }
    }

    fn check(subject: Subject, old: Option<Claim>, new: Claim) -> CredentialCheck {
        CredentialCheck { subject, old, new, now: Timestamp(0) }
    }

    fn pins(first_use: FirstUse) -> BasicPins {
        let mut pins = BasicPins::new(first_use);
        assert!(pins.pin(&claim("alice", 1)) && pins.pin(&claim("alice", 2)));
        pins
    }

    fn added(new: Claim) -> CredentialCheck {
        check(Subject::Added(0), None, new)
    }

    #[test]
    fn a_pinned_key_is_accepted_and_another_one_refused() {
        let pins = pins(FirstUse::Trust);
        assert_eq!(pins.judge(&added(claim("alice", 2))), Verdict::Accept);
        assert_eq!(pins.judge(&added(claim("alice", 3))), Verdict::Refuse);
        assert_eq!(pins.keys(b"alice").count(), 2);
    }

    #[test]
    fn an_unknown_identity_is_trusted_or_refused_as_configured_and_reported() {
        let new = added(claim("bob", 1));
        assert_eq!(pins(FirstUse::Trust).judge(&new), Verdict::Accept);
        assert_eq!(pins(FirstUse::Refuse).judge(&new), Verdict::Refuse);
        let known = added(claim("alice", 1));
        let pins = pins(FirstUse::Trust);
        assert_eq!(pins.first_uses([&known, &new]).collect::<Vec<_>>(), [&claim("bob", 1)]);
    }

    #[test]
    fn identities_that_differ_in_one_byte_are_different() {
        let lookalike = claim("alic\u{0435}", 1);
        assert_eq!(pins(FirstUse::Refuse).judge(&added(lookalike)), Verdict::Refuse);
    }

    #[test]
    fn a_member_vouches_for_its_next_key_where_it_signed_with_the_old_one() {
        let pins = pins(FirstUse::Trust);
        let leaf = LeafIndex::new(0);
        let judge = |subject, old, new| pins.judge(&check(subject, Some(old), new));
        for subject in [Subject::Updated(leaf), Subject::Committer(leaf)] {
            assert_eq!(judge(subject, claim("alice", 1), claim("alice", 3)), Verdict::Accept);
            assert_eq!(judge(subject, claim("alice", 9), claim("alice", 3)), Verdict::Refuse);
            assert_eq!(judge(subject, claim("alice", 1), claim("bob", 1)), Verdict::Refuse);
        }
        let resync = Subject::Resync(leaf);
        assert_eq!(judge(resync, claim("alice", 1), claim("alice", 3)), Verdict::Refuse);
        assert_eq!(judge(resync, claim("alice", 1), claim("alice", 2)), Verdict::Accept);
    }

    #[test]
    fn other_credentials_are_refused_and_not_pinned() {
        let mut pins = BasicPins::new(FirstUse::Trust);
        let credential = Credential::X509 { certificates: vec![] };
        let x509 = Claim { credential, signature_key: SignaturePublicKey(vec![1]) };
        assert!(!pins.pin(&x509));
        assert_eq!(pins.judge(&added(x509)), Verdict::Refuse);
    }

    #[test]
    fn a_key_that_is_unpinned_is_unknown_again() {
        let mut pins = pins(FirstUse::Trust);
        pins.unpin(b"alice", &SignaturePublicKey(vec![1]));
        assert_eq!(pins.compare(&claim("alice", 1)), Pinned::OtherKey);
        pins.unpin(b"alice", &SignaturePublicKey(vec![2]));
        assert_eq!(pins.compare(&claim("alice", 1)), Pinned::FirstUse);
    }

    #[test]
    fn pins_survive_storage() {
        for first_use in [FirstUse::Trust, FirstUse::Refuse] {
            let pins = pins(first_use);
            assert_eq!(BasicPins::from_bytes(&pins.to_bytes().unwrap()), Ok(pins));
        }
        assert!(BasicPins::from_bytes(&[2, 0]).is_err());
    }

    #[test]
    fn both_sides_see_one_safety_number_and_another_key_gives_another() {
        let (alice, bob, mallory) = (claim("alice", 1), claim("bob", 2), claim("bob", 3));
        let number = |left, right| safety_number(SUITE.hash(), left, right).unwrap();
        assert_eq!(number(&alice, &bob), number(&bob, &alice));
        assert_ne!(number(&alice, &bob), number(&alice, &mallory));
        assert_eq!(number(&alice, &bob).len(), 12 * 6 - 1);
    }
}
