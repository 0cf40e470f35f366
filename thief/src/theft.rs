//! A thief with a copy of a client's disk, its passphrase, and all messages that were ever sent.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use hushwood::error::Error;
use hushwood::framing::{ContentType, MlsMessage};
use hushwood::group::{Group, Received};
use hushwood::policy::{Policy, Timestamp};
use hushwood::schedule::{EpochSecrets, GroupContext, SenderDataSecret};
use hushwood::secret_tree::{SecretTree, SecretTreeRow, Usage};
use hushwood::transition::{InstanceId, RecordKind, Records};
use hushwood_codec::{Decode, DecodeError, DecodeLimits, Encode, Reader};
use hushwood_crypto::{CipherSuite, CryptoProvider, Secret};
use hushwood_store::{PassphraseCost, SqliteOptions, SqliteStore, Unlock};

/// What opens the client's store.
#[must_use]
pub fn passphrase() -> Unlock {
    Unlock::Passphrase(Secret::new(b"correct horse battery staple".to_vec()))
}

/// How the client's store is opened: as by default, but for what a guess at the passphrase costs.
#[must_use]
pub fn options() -> SqliteOptions {
    SqliteOptions::new().passphrase_cost(PassphraseCost::insecure_for_tests())
}

/// Copies the store's files as they are, in the middle of whatever the client does.
#[must_use]
pub fn copy(store: &Path, to: &Path) -> PathBuf {
    let name = store.file_name().unwrap().to_str().unwrap();
    for end in ["", "-wal", "-shm"] {
        let (from, to) = (store.with_file_name(format!("{name}{end}")), to.join(format!("{name}{end}")));
        match from.exists() {
            true => drop(fs::copy(from, to).unwrap()),
            false => drop(fs::remove_file(to)),
        }
    }
    to.join(name)
}

/// A stolen store, opened.
pub struct Loot {
    /// A client of ours that goes on from it.
    pub group: Group,
    /// All that is in its rows.
    pub rows: Vec<u8>,
    epochs: Vec<Epoch>,
}

/// What there is of one epoch.
struct Epoch {
    context: Vec<u8>,
    number: u64,
    sender_data: SenderDataSecret,
    secret_tree: SecretTree,
}

/// The ways to open a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Opened {
    /// Our own client receives it.
    ByClient,
    /// A key was found in the rows, or derived from what was.
    ByKeys,
}

impl Loot {
    /// Opens the copy at this path.
    ///
    /// # Errors
    /// Those of [`Group::open`].
    pub fn open(copy: &Path, provider: &CryptoProvider) -> Result<Self, Error> {
        let store = SqliteStore::open_with(copy, &passphrase(), options()).expect("the passphrase is right");
        let instance = Group::list(&store)?.first().expect("there is a group").1;
        Self::of(&store, instance, provider)
    }

    /// What a store gives.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn of(store: &dyn Records, instance: InstanceId, provider: &CryptoProvider) -> Result<Self, Error> {
        let group = Group::open(store, provider, instance)?;
        let rows = store.list_all(instance, RecordKind::ALL)?;
        let client = store.list_all(InstanceId::CLIENT, RecordKind::ALL)?;
        let rows = rows.into_iter().chain(client);
        // The public tree has no secrets.
        let public = [RecordKind::TreeNode, RecordKind::TreeKey, RecordKind::TreeSummary];
        let rows = rows.filter(|(kind, ..)| !public.contains(kind));
        let rows = rows.flat_map(|(_, _, value)| value.expose().to_vec()).collect();
        let epochs = epochs(store, instance, group.suite(), group.tree().leaf_count())?;
        Ok(Self { group, rows, epochs })
    }

    /// How a message can be opened, if it can.
    ///
    /// The keys are tried with the bare primitives of the protocol (RFC 9420 §6.3, §9): our own client would refuse what it
    /// has read already, or what it sent itself, whatever keys are there.
    #[must_use]
    pub fn opens(&self, message: &[u8], now: Timestamp) -> Option<Opened> {
        match self.group.receive(message, now) {
            Ok(Received::Message(_) | Received::Proposal(_) | Received::Commit(_)) => {
                return Some(Opened::ByClient);
            }
            // Known again by its hash.
            Ok(Received::OwnCommit(_) | Received::OwnProposal(_)) | Err(_) => {}
        }
        self.opens_by_keys(message).then_some(Opened::ByKeys)
    }

    fn opens_by_keys(&self, message: &[u8]) -> bool {
        let suite = self.group.suite();
        let Ok(MlsMessage::PrivateMessage(message)) = MlsMessage::from_bytes(message) else { return false };
        // As far ahead as it takes.
        let policy = Policy { max_forward: 1 << 16, ..Policy::default() };
        self.epochs.iter().filter(|epoch| epoch.number == message.epoch).any(|epoch| {
            let Ok(sender) = message.open_sender_data(suite, &epoch.sender_data) else { return false };
            let leaf = sender.leaf_index;
            let key = epoch.secret_tree.open_key(leaf, message.content_type, sender.generation, &policy);
            let Ok((key, _)) = key else { return false };
            let opened = message.clone().open(suite, sender, key, &epoch.context, DecodeLimits::default());
            // Whoever has the key reads it, signature or not.
            opened.is_ok()
        })
    }
}

/// The content type of an encrypted message.
#[must_use]
pub fn encrypted(message: &[u8]) -> Option<ContentType> {
    match MlsMessage::from_bytes(message) {
        Ok(MlsMessage::PrivateMessage(message)) => Some(message.content_type),
        _ => None,
    }
}

/// The epochs whose secrets are in the store, in the layout that ARCHITECTURE.md describes.
fn epochs(
    store: &dyn Records,
    instance: InstanceId,
    suite: &'static dyn CipherSuite,
    leaves: u32,
) -> Result<Vec<Epoch>, Error> {
    let mut rows = BTreeMap::<u64, Vec<(SecretTreeRow, Secret)>>::new();
    for (id, value) in store.list(instance, RecordKind::SecretTree)? {
        let (epoch, row) = parse(&id, |reader| Ok((u64::decode(reader)?, SecretTreeRow::decode(reader)?)))?;
        rows.entry(epoch).or_default().push((row, value));
    }
    let mut heads = Vec::new();
    for (_, value) in store.list(instance, RecordKind::Epoch)? {
        let (context, secrets) = parse(value.expose(), |reader| {
            u8::decode(reader)?;
            let context = GroupContext::decode(reader)?;
            reader.opaque()?;
            reader.opaque()?;
            Ok((context, Option::<Vec<u8>>::decode(reader)?))
        })?;
        if let Some(secrets) = secrets {
            let secrets = EpochSecrets::from_record(suite, &Secret::new(secrets))?;
            heads.push((context, leaves, secrets.sender_data));
        }
    }
    for (_, value) in store.list(instance, RecordKind::PastEpoch)? {
        heads.push(parse(value.expose(), |reader| {
            u8::decode(reader)?;
            let (context, leaves) = (GroupContext::decode(reader)?, u32::decode(reader)?);
            u32::decode(reader)?;
            u64::decode(reader)?;
            Ok((context, leaves, SenderDataSecret::new(Secret::copy_of(reader.opaque()?))))
        })?);
    }
    let epoch = |(context, leaves, sender_data): (GroupContext, u32, SenderDataSecret)| {
        let rows = rows.remove(&context.epoch).unwrap_or_default();
        let secret_tree = SecretTree::from_rows(suite, leaves, Usage::Current, rows)?;
        Ok(Epoch { number: context.epoch, context: context.to_bytes()?, sender_data, secret_tree })
    };
    heads.into_iter().map(epoch).collect()
}

fn parse<T>(bytes: &[u8], read: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>) -> Result<T, Error> {
    let mut reader = Reader::new(bytes, DecodeLimits::default())?;
    let value = read(&mut reader)?;
    reader.finish()?;
    Ok(value)
}
