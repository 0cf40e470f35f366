//! Which secrets may still be there.
//!
//! Every secret that was told of has to be gone after the step in which it came up, but for those that are listed here
//! with the time at which they die: the table of RFC 9420 §9.2 and §8, and what the policy keeps.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::event::{Event, Kind};
use crate::knowledge::{is_public, mls_label};

/// What a secret is, as far as it may live longer than a step.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Role {
    /// One of an epoch's secrets (RFC 9420 §8).
    OfEpoch { label: String, epoch: Epoch },
    /// What an epoch's secrets are derived from: gone with the step, and the place to know the epoch by.
    EpochSecret { epoch: Epoch },
    /// A node of the secret tree (§9).
    Node { epoch: Epoch },
    /// A ratchet (§9.1).
    Ratchet { epoch: Epoch, handshake: bool, root: Vec<u8> },
    /// A key or nonce of a generation, which is as large as the bytes say.
    MessageKey { epoch: Epoch, handshake: bool, root: Vec<u8>, generation: Vec<u8> },
    /// A private key, with its public key.
    Private { public: Vec<u8> },
}

/// An epoch, by its encoded group context.
type Epoch = Vec<u8>;

#[derive(Debug, Default)]
struct Secret {
    /// The labels it was derived with.
    names: BTreeSet<String>,
    roles: Vec<Role>,
    /// Something that replaces it was derived from it in a step that was made.
    consumed: bool,
}

/// All secrets of one client.
#[derive(Debug, Default)]
pub struct Model {
    secrets: HashMap<Vec<u8>, Secret>,
    current: Epoch,
    /// The generations whose key was used, with the root of the ratchet.
    used: HashSet<(Vec<u8>, Vec<u8>)>,
    /// Past epochs, with when they ended; the oldest first.
    past: Vec<(Epoch, u64)>,
    resumable: Vec<Epoch>,
    staged: BTreeSet<Epoch>,
    staged_keys: Vec<Vec<u8>>,
    update_keys: Vec<Vec<u8>>,
    package_keys: Vec<Vec<u8>>,
    /// The encoded ratchet tree.
    tree: Vec<u8>,
}

/// What the client did.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The command.
    pub command: &'a str,
    /// Whether it was made.
    pub made: bool,
    /// The group context after it.
    pub context: &'a [u8],
    /// The ratchet tree after it.
    pub tree: &'a [u8],
    /// When.
    pub now: u64,
}

impl Model {
    /// Takes over what a step has told of.
    pub fn learn(&mut self, events: &[Event], step: &Step<'_>) {
        let mut keys = Vec::new();
        let mut epochs = BTreeSet::new();
        for event in events {
            self.learn_one(event, step.made, &mut keys, &mut epochs);
        }
        if step.made {
            match step.command {
                "key package" => self.package_keys.extend(keys),
                "commit" | "invite" => {
                    self.staged.extend(epochs);
                    self.staged_keys.extend(keys);
                }
                "discard" => self.forget_staged(),
                "update" => self.update_keys.extend(keys),
                "join" => self.package_keys.clear(),
                "expire" => self.expire(step.now),
                _ => {}
            }
        }
        self.tree = step.tree.to_vec();
        if self.current != step.context {
            self.enter(step);
        }
    }

    fn enter(&mut self, step: &Step<'_>) {
        let policy = super::client::policy();
        let ended = std::mem::replace(&mut self.current, step.context.to_vec());
        self.forget_staged();
        self.update_keys.clear();
        if ended.is_empty() {
            return;
        }
        self.expire(step.now);
        self.past.push((ended.clone(), step.now));
        let surplus = self.past.len().saturating_sub(policy.max_past_epochs);
        self.past.drain(..surplus);
        self.resumable.push(ended);
        let surplus = self.resumable.len().saturating_sub(policy.max_resumption_psks);
        self.resumable.drain(..surplus);
    }

    fn expire(&mut self, now: u64) {
        let oldest = now.saturating_sub(super::client::policy().max_past_epoch_age);
        self.past.retain(|(_, ended)| *ended >= oldest);
    }

    fn forget_staged(&mut self) {
        self.staged.clear();
        self.staged_keys.clear();
    }

    fn learn_one(
        &mut self,
        event: &Event,
        made: bool,
        keys: &mut Vec<Vec<u8>>,
        epochs: &mut BTreeSet<Epoch>,
    ) {
        match (event.kind, &event.parts[..]) {
            (Kind::Extract, [salt, ikm @ .., secret]) => {
                let (name, ikm) = match ikm {
                    [version, _, label, rest @ ..] if version == b"HPKE-v1" => {
                        (format!("HPKE {}", String::from_utf8_lossy(label)), rest)
                    }
                    all => ("extracted".to_owned(), all),
                };
                if is_public(name.trim_start_matches("HPKE ").as_bytes()) {
                    return;
                }
                self.see(salt, "salt");
                ikm.iter().for_each(|part| self.see(part, "input"));
                self.see(secret, &name);
            }
            (Kind::Expand, [prk, info, secret]) => {
                self.see(prk, "key of a derivation");
                match mls_label(info) {
                    Some((label, context)) => {
                        self.see(secret, &label);
                        if made {
                            self.derived(prk, (&label, context), secret, epochs);
                        }
                    }
                    None => self.see(secret, "HPKE"),
                }
            }
            (Kind::KeyPair, [ikm, private, public]) => {
                self.see(ikm, "seed of a key pair");
                self.see(private, "private key");
                if made {
                    keys.push(public.clone());
                    self.give(private, Role::Private { public: public.clone() });
                }
            }
            (Kind::Encap, [_, shared]) => self.see(shared, "shared secret"),
            (Kind::Decap | Kind::Agree, [private, shared]) => {
                self.see(private, "private key");
                self.see(shared, "shared secret");
            }
            (Kind::Seal | Kind::Open, [key, nonce, _]) => {
                self.see(key, "key");
                self.see(nonce, "nonce");
                if made {
                    self.use_key(key);
                }
            }
            (Kind::Refused, [key, nonce]) => {
                self.see(key, "key");
                self.see(nonce, "nonce");
            }
            (kind, _) => panic!("{kind:?} has other parts"),
        }
    }

    fn see(&mut self, secret: &[u8], name: &str) {
        // An empty salt, and the zeros of RFC 9420 §8.
        if secret.iter().any(|byte| *byte != 0) {
            self.secrets.entry(secret.to_vec()).or_default().names.insert(name.to_owned());
        }
    }

    fn give(&mut self, secret: &[u8], role: Role) {
        let secret = self.secrets.entry(secret.to_vec()).or_default();
        if !secret.roles.contains(&role) {
            secret.roles.push(role);
        }
    }

    /// The tree of derivations of RFC 9420 §8 and §9.
    fn derived(
        &mut self,
        from: &[u8],
        (label, context): (&str, Vec<u8>),
        secret: &[u8],
        epochs: &mut BTreeSet<Epoch>,
    ) {
        if label == "epoch" {
            epochs.insert(context.clone());
            self.give(secret, Role::EpochSecret { epoch: context });
            return;
        }
        let roles = self.secrets.get(from).map(|secret| secret.roles.clone()).unwrap_or_default();
        for role in roles {
            let (role, consumes) = match (role, label) {
                (Role::EpochSecret { epoch }, "encryption") => (Role::Node { epoch }, false),
                (Role::EpochSecret { epoch }, label) => {
                    (Role::OfEpoch { label: label.to_owned(), epoch }, false)
                }
                (Role::Node { epoch }, "tree") => (Role::Node { epoch }, true),
                (Role::Node { epoch }, "handshake" | "application") => {
                    let root = secret.to_vec();
                    (Role::Ratchet { epoch, handshake: label == "handshake", root }, true)
                }
                (Role::Ratchet { epoch, handshake, root }, "secret") => {
                    (Role::Ratchet { epoch, handshake, root }, true)
                }
                (Role::Ratchet { epoch, handshake, root }, "key" | "nonce") => {
                    (Role::MessageKey { epoch, handshake, root, generation: context.clone() }, false)
                }
                _ => continue,
            };
            self.give(secret, role);
            if consumes && let Some(from) = self.secrets.get_mut(from) {
                from.consumed = true;
            }
        }
    }

    fn use_key(&mut self, key: &[u8]) {
        let roles = self.secrets.get(key).map(|secret| secret.roles.as_slice()).unwrap_or_default();
        for role in roles {
            if let Role::MessageKey { root, generation, .. } = role {
                self.used.insert((root.clone(), generation.clone()));
            }
        }
    }

    /// Keys of generations that were passed over, as far as the policy has room for them: the newest of each ratchet.
    fn skipped(&self) -> HashSet<(&[u8], &[u8])> {
        let mut unused: BTreeMap<&[u8], BTreeSet<&[u8]>> = BTreeMap::new();
        for role in self.secrets.values().flat_map(|secret| &secret.roles) {
            if let Role::MessageKey { root, generation, .. } = role
                && !self.used.contains(&(root.clone(), generation.clone()))
            {
                unused.entry(root).or_default().insert(generation);
            }
        }
        let room = super::client::policy().max_skipped;
        let kept = unused.into_iter().flat_map(|(root, generations)| {
            generations.into_iter().rev().take(room).map(move |generation| (root, generation))
        });
        kept.collect()
    }

    fn is_alive(&self, secret: &Secret, skipped: &HashSet<(&[u8], &[u8])>) -> bool {
        secret.roles.iter().any(|role| match role {
            Role::EpochSecret { .. } => false,
            Role::OfEpoch { label, epoch } => {
                self.is_current(epoch)
                    || (label == "sender data" && self.is_past(epoch))
                    || (label == "resumption" && self.resumable.contains(epoch))
            }
            Role::Node { epoch } => !secret.consumed && (self.is_current(epoch) || self.is_past(epoch)),
            Role::Ratchet { epoch, handshake, .. } => {
                !secret.consumed && (self.is_current(epoch) || (!handshake && self.is_past(epoch)))
            }
            Role::MessageKey { epoch, handshake, root, generation } => {
                skipped.contains(&(root.as_slice(), generation.as_slice()))
                    && (self.is_current(epoch) || (!handshake && self.is_past(epoch)))
            }
            Role::Private { public } => {
                let waiting = [&self.staged_keys, &self.update_keys, &self.package_keys];
                waiting.iter().any(|keys| keys.contains(public)) || contains(&self.tree, public)
            }
        })
    }

    fn is_current(&self, epoch: &Epoch) -> bool {
        *epoch == self.current || self.staged.contains(epoch)
    }

    fn is_past(&self, epoch: &Epoch) -> bool {
        self.past.iter().any(|(past, _)| past == epoch)
    }

    /// The secrets that have to be gone, and those that may be there.
    #[must_use]
    pub fn census(&self) -> (Vec<&[u8]>, Vec<&[u8]>) {
        let skipped = self.skipped();
        let (alive, dead): (Vec<_>, Vec<_>) =
            self.secrets.iter().partition(|(_, secret)| self.is_alive(secret, &skipped));
        (bytes(dead), bytes(alive))
    }

    /// What a secret is.
    #[must_use]
    pub fn name(&self, secret: &[u8]) -> String {
        let Some(secret) = self.secrets.get(secret) else { return "unknown".to_owned() };
        secret.names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
    }

    /// How many there are of each name.
    #[must_use]
    pub fn names(&self) -> BTreeMap<String, usize> {
        let mut names = BTreeMap::new();
        self.secrets.values().flat_map(|secret| &secret.names).for_each(|name| {
            *names.entry(name.clone()).or_default() += 1;
        });
        names
    }
}

fn bytes<'s>(secrets: Vec<(&'s Vec<u8>, &'s Secret)>) -> Vec<&'s [u8]> {
    secrets.into_iter().map(|(bytes, _)| bytes.as_slice()).collect()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
