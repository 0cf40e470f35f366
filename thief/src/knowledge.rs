//! What somebody can derive from what they know: all derivations that anybody has made, forwards.
//!
//! The derivations of all clients are rules: a key pair comes from its seed, a secret from what was extracted, what was
//! encrypted from the key. So it makes no difference whether there is a function for it in our interface: whoever has
//! one secret has all that was ever made of it, and what others have encapsulated to its public key. The whole traffic
//! is known to the thief.

use std::collections::HashMap;

use hushwood_codec::{Decode, DecodeLimits, Reader};

use crate::event::{Event, Kind};
use crate::needles::{Needles, PIECE};

/// A value that was told of, by number.
pub type Id = usize;

/// All values, and what leads to which.
#[derive(Debug, Default)]
pub struct Knowledge {
    values: Vec<Vec<u8>>,
    ids: HashMap<Vec<u8>, Id>,
    rules: Vec<Rule>,
    /// By value: the rules that need it.
    uses: Vec<Vec<usize>>,
    /// By value: the label it was derived with, and the context.
    labels: HashMap<Id, (String, Vec<u8>)>,
    needles: Needles,
    /// By needle: the value.
    needle_ids: Vec<Id>,
}

#[derive(Debug)]
struct Rule {
    needs: Vec<Id>,
    gives: Id,
}

/// What is known.
#[derive(Clone, Debug, Default)]
pub struct Known(Vec<bool>);

impl Known {
    /// Whether this value is.
    #[must_use]
    pub fn has(&self, id: Id) -> bool {
        self.0.get(id).copied().unwrap_or_default()
    }

    /// How many are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.iter().filter(|known| **known).count()
    }
}

impl Knowledge {
    /// Adds what was told of.
    pub fn learn(&mut self, events: &[Event]) {
        events.iter().for_each(|event| self.learn_one(event));
    }

    fn learn_one(&mut self, event: &Event) {
        match (event.kind, &event.parts[..]) {
            (Kind::Extract, [salt, ikm @ .., secret]) => {
                // RFC 9180 §4: a labelled extraction begins with three public parts.
                let (label, ikm) = match ikm {
                    [version, _, label, rest @ ..] if version == b"HPKE-v1" => (label.as_slice(), rest),
                    all => (&b""[..], all),
                };
                if is_public(label) {
                    return;
                }
                let needs =
                    std::iter::once(salt).chain(ikm).filter(|part| part.iter().any(|byte| *byte != 0));
                let needs: Vec<_> = needs.map(|part| self.id(part)).collect();
                let gives = self.id(secret);
                self.rule(needs, gives);
            }
            (Kind::Expand, [prk, info, secret]) => {
                let (prk, secret) = (self.id(prk), self.id(secret));
                self.rule(vec![prk], secret);
                if let Some(label) = mls_label(info) {
                    self.labels.entry(secret).or_insert(label);
                }
            }
            (Kind::KeyPair, [ikm, private, public]) => {
                let (ikm, private) = (self.id(ikm), self.id(private));
                let holder = self.holder(public);
                self.rule(vec![ikm], private);
                self.rule(vec![private], holder);
            }
            (Kind::Encap, [public, shared]) => {
                let (holder, shared) = (self.holder(public), self.id(shared));
                self.rule(vec![holder], shared);
            }
            (Kind::Decap | Kind::Agree, [private, shared]) => {
                let (private, shared) = (self.id(private), self.id(shared));
                self.rule(vec![private], shared);
            }
            // The nonce comes from where the key comes from.
            (Kind::Seal | Kind::Open, [key, _, plaintext]) => {
                let key = self.id(key);
                for secret in secrets_in(plaintext) {
                    let secret = self.id(secret);
                    self.rule(vec![key], secret);
                }
            }
            (Kind::Refused | Kind::Done, _) => {}
            (kind, _) => panic!("{kind:?} has other parts"),
        }
    }

    fn rule(&mut self, needs: Vec<Id>, gives: Id) {
        if needs.contains(&gives)
            || self.uses[needs.first().copied().unwrap_or(gives)]
                .iter()
                .any(|rule| self.rules[*rule].gives == gives && self.rules[*rule].needs == needs)
        {
            return;
        }
        for need in &needs {
            self.uses[*need].push(self.rules.len());
        }
        self.rules.push(Rule { needs, gives });
    }

    /// Stands for the private key of a public key, which may never be told of.
    fn holder(&mut self, public: &[u8]) -> Id {
        self.place([b"the private key of ", public].concat())
    }

    fn id(&mut self, value: &[u8]) -> Id {
        let known = self.values.len();
        let id = self.place(value.to_vec());
        if id == known && value.len() >= PIECE {
            self.needles.add(value);
            self.needle_ids.push(id);
        }
        id
    }

    fn place(&mut self, value: Vec<u8>) -> Id {
        if let Some(id) = self.ids.get(&value) {
            return *id;
        }
        let id = self.values.len();
        self.values.push(value.clone());
        self.uses.push(Vec::new());
        self.ids.insert(value, id);
        id
    }

    /// The number of a value.
    #[must_use]
    pub fn find(&self, value: &[u8]) -> Option<Id> {
        self.ids.get(value).copied()
    }

    /// The label and context that a value was derived with, if it was.
    #[must_use]
    pub fn label(&self, id: Id) -> Option<(&str, &[u8])> {
        self.labels.get(&id).map(|(label, context)| (label.as_str(), context.as_slice()))
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// True for none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The values that stand in these bytes, whole.
    #[must_use]
    pub fn standing_in(&self, bytes: &[u8]) -> Vec<Id> {
        self.needles.whole_in(bytes).into_iter().map(|needle| self.needle_ids[needle]).collect()
    }

    /// Everything that follows from these values.
    #[must_use]
    pub fn closure(&self, from: impl IntoIterator<Item = Id>) -> Known {
        let mut known = vec![false; self.values.len()];
        let mut lacking: Vec<_> = self.rules.iter().map(|rule| rule.needs.len()).collect();
        let mut new: Vec<Id> = from.into_iter().collect();
        // What needs nothing secret is no secret.
        new.extend(self.rules.iter().filter(|rule| rule.needs.is_empty()).map(|rule| rule.gives));
        while let Some(id) = new.pop() {
            if std::mem::replace(&mut known[id], true) {
                continue;
            }
            for rule in &self.uses[id] {
                lacking[*rule] -= 1;
                if lacking[*rule] == 0 {
                    new.push(self.rules[*rule].gives);
                }
            }
        }
        Known(known)
    }
}

/// Extractions of what everybody knows.
#[must_use]
pub fn is_public(label: &[u8]) -> bool {
    label == b"psk_id_hash" || label == b"info_hash"
}

/// The label and context of an `ExpandWithLabel` (RFC 9420 §8), without "MLS 1.0 ".
#[must_use]
pub fn mls_label(info: &[u8]) -> Option<(String, Vec<u8>)> {
    let mut reader = Reader::new(info, DecodeLimits::default()).ok()?;
    u16::decode(&mut reader).ok()?;
    let label = reader.opaque().ok()?.strip_prefix(b"MLS 1.0 ")?;
    let context = reader.opaque().ok()?;
    reader.finish().ok()?;
    Some((std::str::from_utf8(label).ok()?.to_owned(), context.to_vec()))
}

/// What may be a secret in something that was encrypted: the whole, as a path secret (RFC 9420 §7.6), or the first two
/// fields of GroupSecrets (§12.4.3).
fn secrets_in(plaintext: &[u8]) -> Vec<&[u8]> {
    let mut secrets = Vec::new();
    if [32, 48, 64].contains(&plaintext.len()) {
        secrets.push(plaintext);
    }
    let Some((length, rest)) = plaintext.split_first() else { return secrets };
    let length = (usize::from(*length & 0x3f) << 8) | rest.first().map_or(0, |low| usize::from(*low));
    // One byte of length up to 63, two for 64.
    let (at, length) = match plaintext[0] {
        short if short < 0x40 => (1, usize::from(short)),
        _ => (2, length),
    };
    if ![32, 48, 64].contains(&length) || plaintext.len() < at + length + 1 {
        return secrets;
    }
    secrets.push(&plaintext[at..at + length]);
    let path = at + length;
    if plaintext[path] == 1 && plaintext.len() >= path + 1 + at + length {
        secrets.push(&plaintext[path + 1 + at..path + 1 + at + length]);
    }
    secrets
}

#[cfg(test)]
mod tests {
    use hushwood_crypto::hpke::HpkeInfo;
    use hushwood_crypto::{CipherSuiteId, Secret, derive_secret};
    use test_support::random::SeededRandom;

    use super::*;
    use crate::recorder::{aws_lc, noted};

    /// Whoever has the seed of a key pair has what was encrypted to it, and what was derived from that; who has what was
    /// derived has nothing that came before.
    #[test]
    fn knowledge_goes_forwards_through_every_primitive_and_never_back() {
        let provider = aws_lc();
        for id in [1, 5, 7] {
            let suite = provider.suite(CipherSuiteId(id)).unwrap();
            let ((seed, path_secret, derived), events) = noted(|| {
                let seed = vec![5; suite.kem().private_key_length()];
                let (private, public) = suite.kem().derive_key_pair(&seed).unwrap();
                let path_secret = Secret::new(vec![6; suite.kdf().length()]);
                let info = HpkeInfo::new(suite, "UpdatePathNode", b"context").unwrap();
                let sealed = info.seal(&public, path_secret.expose(), &mut SeededRandom::new(1)).unwrap();
                info.open(&private, &sealed).unwrap();
                let derived = derive_secret(suite, &path_secret, "path").unwrap();
                (seed, path_secret, derived)
            });
            let mut knowledge = Knowledge::default();
            knowledge.learn(&events);
            let [seed, path, derived] = [&seed[..], path_secret.expose(), derived.expose()]
                .map(|value| knowledge.find(value).unwrap());
            let from_seed = knowledge.closure([seed]);
            assert!(from_seed.has(path) && from_seed.has(derived));
            assert!(!knowledge.closure([path]).has(seed) && !knowledge.closure([derived]).has(path));
            assert_eq!(knowledge.label(derived), Some(("path", &[][..])));
            assert!(!knowledge.closure([]).has(path));
        }
    }

    /// RFC 5869: an extraction needs its salt and its input.
    #[test]
    fn an_extraction_needs_all_of_its_inputs() {
        let suite = aws_lc().suites[0];
        let (out, events) = noted(|| suite.kdf().extract(&[1; 32], &[&[2; 32]]));
        let mut knowledge = Knowledge::default();
        knowledge.learn(&events);
        let [salt, ikm, out] =
            [&[1; 32][..], &[2; 32], out.expose()].map(|value| knowledge.find(value).unwrap());
        assert!(!knowledge.closure([salt]).has(out) && !knowledge.closure([ikm]).has(out));
        assert!(knowledge.closure([salt, ikm]).has(out));
    }
}
