//! What a client keeps beside its groups: its KeyPackages and its pre-shared keys.

use hushwood_codec::Decode;
use hushwood_crypto::{HashReference, Secret};

use crate::commit::Answers;
use crate::error::Error;
use crate::framing::MlsMessage;
use crate::group::record::{read, record};
use crate::group::{Group, encode};
use crate::key_package::{KeyPackagePrivate, NewKeyPackage};
use crate::schedule::Psk;
use crate::transition::{InstanceId, RecordKey, RecordKind, Records, Step, WriteSet};
use crate::unverified::Unverified;

/// Keeps a new KeyPackage's private keys. The KeyPackage itself, an MLSMessage, is the output: it is not
/// to be published before its keys are safe.
///
/// # Errors
/// [`ApiMisuse::TooLong`](crate::error::ApiMisuse::TooLong): none in practice.
pub fn keep_key_package(new: NewKeyPackage) -> Result<Step<'static, Vec<u8>>, Error> {
    let message = MlsMessage::KeyPackage(Box::new(Unverified::new(new.key_package)));
    let message = encode(&message)?;
    let value = record(message.len().saturating_add(256), |writer| {
        writer.value(&new.private);
    })?;
    let mut writes = WriteSet::new();
    writes.put(key_package_key(&new.reference), value);
    Ok(Step::new(writes, None, message))
}

/// A KeyPackage of ours, if it is kept.
///
/// # Errors
/// [`Error::StoreRead`].
pub fn key_package(
    store: &dyn Records,
    reference: &HashReference,
) -> Result<Option<KeyPackagePrivate>, Error> {
    let value = store.get(&key_package_key(reference))?;
    value.map(|value| read(&value, KeyPackagePrivate::decode)).transpose()
}

/// All KeyPackages of ours that are kept, by reference.
///
/// # Errors
/// [`Error::StoreRead`].
pub fn key_packages(store: &dyn Records) -> Result<Vec<(HashReference, KeyPackagePrivate)>, Error> {
    let rows = store.list(InstanceId::CLIENT, RecordKind::KeyPackage)?;
    let row =
        |(id, value): (Vec<u8>, Secret)| Ok((HashReference(id), read(&value, KeyPackagePrivate::decode)?));
    rows.into_iter().map(row).collect()
}

/// Erases a KeyPackage of ours: it has expired, or was replaced. Who invites us with it is not joined.
pub fn forget_key_package(reference: &HashReference) -> Step<'static, ()> {
    let mut writes = WriteSet::new();
    writes.erase(key_package_key(reference));
    Step::new(writes, None, ())
}

/// Keeps an external pre-shared key (RFC 9420 §8.4) under the application's name for it.
///
/// # Errors
/// [`ApiMisuse::TooLong`](crate::error::ApiMisuse::TooLong).
pub fn keep_psk(psk_id: &[u8], key: &Secret) -> Result<Step<'static, ()>, Error> {
    let value = record(key.len(), |writer| {
        writer.value(key);
    })?;
    let mut writes = WriteSet::new();
    writes.put(psk_key(psk_id), value);
    Ok(Step::new(writes, None, ()))
}

/// Erases an external pre-shared key.
pub fn forget_psk(psk_id: &[u8]) -> Step<'static, ()> {
    let mut writes = WriteSet::new();
    writes.erase(psk_key(psk_id));
    Step::new(writes, None, ())
}

/// The pre-shared key of this name, if the store has it: an external one, or the resumption key of a
/// group that this client is or was in, if the group's current state has it.
///
/// # Errors
/// [`Error::StoreRead`].
pub fn psk(store: &dyn Records, psk: &Psk) -> Result<Option<Secret>, Error> {
    let value = match psk {
        Psk::External { psk_id } => store.get(&psk_key(psk_id))?,
        Psk::Resumption { psk_group_id, psk_epoch, .. } => {
            let Some(instance) = Group::instance_of(store, psk_group_id)? else { return Ok(None) };
            let id = psk_epoch.to_be_bytes();
            match store.get(&RecordKey::new(instance, RecordKind::ResumptionPsk, id))? {
                Some(value) => Some(value),
                None => return crate::group::open::current_resumption_psk(store, instance, *psk_epoch),
            }
        }
    };
    let key = |value| read(&value, |reader| Ok(Secret::copy_of(reader.opaque()?)));
    value.map(key).transpose()
}

impl Answers {
    /// Answers from a store: those of the keys that it has.
    ///
    /// # Errors
    /// [`Error::StoreRead`].
    pub fn from_store<'p>(
        store: &dyn Records,
        asked: impl IntoIterator<Item = &'p Psk>,
    ) -> Result<Self, Error> {
        let mut answers = Self::none();
        for asked in asked {
            if let Some(key) = psk(store, asked)? {
                answers.add_psk(asked.clone(), key);
            }
        }
        Ok(answers)
    }
}

/// The row of a KeyPackage of ours.
pub(crate) fn key_package_key(reference: &HashReference) -> RecordKey {
    RecordKey::new(InstanceId::CLIENT, RecordKind::KeyPackage, reference.0.clone())
}

fn psk_key(psk_id: &[u8]) -> RecordKey {
    RecordKey::new(InstanceId::CLIENT, RecordKind::ExternalPsk, psk_id)
}
