//! Somebody with a copy of a member's disk and its passphrase.
//!
//! The thief does not ask the library to decrypt: that would refuse what it has read already, or what it
//! sent itself, whatever keys are there. It takes every secret of the stolen store and tries them all
//! with the bare primitives of the protocol (RFC 9420 §6.3, §9).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use hushwood::error::Error;
use hushwood::framing::{Content, ContentType, MlsMessage};
use hushwood::group::Group;
use hushwood::policy::Policy;
use hushwood::schedule::{EpochSecrets, GroupContext, SenderDataSecret};
use hushwood::secret_tree::{SecretTree, SecretTreeRow, Usage};
use hushwood::transition::{InstanceId, RecordKind, Records};
use hushwood_codec::{Decode, DecodeError, DecodeLimits, Encode, Reader};
use hushwood_crypto::{CipherSuite, Secret};

use crate::commands::demo::member::passphrase;
use crate::failure::Failure;
use crate::home::Home;
use crate::system::PROVIDER;

/// Copies a home, file by file.
pub(super) fn steal(home: &Path, copy: &Path) -> Result<(), Failure> {
    let fail = |error| Failure::path("can't copy", home, &error);
    fs::create_dir(copy).map_err(fail)?;
    for entry in home.read_dir().map_err(fail)? {
        let entry = entry.map_err(fail)?;
        fs::copy(entry.path(), copy.join(entry.file_name())).map_err(fail)?;
    }
    Ok(())
}

/// All message keys that are on the stolen disk.
pub(super) struct Loot {
    group: Group,
    epochs: Vec<Epoch>,
}

/// What is there of one epoch.
struct Epoch {
    context: Vec<u8>,
    sender_data: SenderDataSecret,
    secret_tree: SecretTree,
}

impl Loot {
    /// Opens the stolen home and takes what is in it.
    pub(super) fn open_home(copy: &Path, name: &str) -> Result<Self, Failure> {
        let home = Home::open_in(copy, &passphrase(name))?;
        let store = &home.store;
        let mut epochs = Vec::new();
        let mut found = None;
        for (_, instance) in Group::list(store)? {
            let group = Group::open(store, PROVIDER, instance)?;
            epochs.extend(read_epochs(store, instance, group.suite(), group.tree().leaf_count())?);
            found = Some(group);
        }
        let group = found.ok_or_else(|| Failure::refused("there is no group on the stolen disk"))?;
        Ok(Self { group, epochs })
    }

    /// What a message says, if any key that was found opens it.
    pub(super) fn open(&self, message: &[u8]) -> Option<String> {
        let suite = self.group.suite();
        let Ok(MlsMessage::PrivateMessage(message)) = MlsMessage::from_bytes(message) else { return None };
        // As far ahead as it takes.
        let policy = Policy { max_forward: 1 << 16, ..Policy::default() };
        self.epochs.iter().find_map(|epoch| {
            let sender = message.open_sender_data(suite, &epoch.sender_data).ok()?;
            let leaf = sender.leaf_index;
            let tree = &epoch.secret_tree;
            let (key, _) = tree.open_key(leaf, ContentType::Application, sender.generation, &policy).ok()?;
            let opened =
                message.clone().open(suite, sender, key, &epoch.context, DecodeLimits::default()).ok()?;
            let signature_key = self.group.member(leaf).ok()??.leaf.signature_key.clone();
            // Whoever has the key reads it, signature or not.
            let Ok(verified) = opened.verify_signature(suite, &signature_key) else {
                return Some(String::new());
            };
            match &verified.content().content {
                Content::Application(text) => Some(String::from_utf8_lossy(text).into_owned()),
                Content::Proposal(_) | Content::Commit(_) => None,
            }
        })
    }
}

/// The epochs whose secrets are in the store, in the layout that ARCHITECTURE.md describes.
fn read_epochs(
    store: &dyn Records,
    instance: InstanceId,
    suite: &'static dyn CipherSuite,
    leaves: u32,
) -> Result<Vec<Epoch>, Failure> {
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
        Ok(Epoch { context: context.to_bytes().map_err(Error::from)?, sender_data, secret_tree })
    };
    heads.into_iter().map(epoch).collect()
}

fn parse<T>(
    bytes: &[u8],
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<T, Failure> {
    let parsed = Reader::new(bytes, DecodeLimits::default()).and_then(|mut reader| {
        let value = read(&mut reader)?;
        reader.finish()?;
        Ok(value)
    });
    parsed.map_err(|error| Failure::from(Error::from(error)).about("the stolen store"))
}
