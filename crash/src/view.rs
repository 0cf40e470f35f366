//! What is on a client's disk, read from there.

use hushwood::error::{Error, StoreReadError};
use hushwood::framing::MlsMessage;
use hushwood::group::{Group, Status, Unacknowledged, client};
use hushwood::transition::{InstanceId, RecordKey, RecordKind};
use hushwood::unverified::Unverified;
use hushwood_codec::Encode;
use hushwood_crypto::CryptoProvider;
use sha2::{Digest, Sha256};

use crate::command::{Bytes, GroupView, Text, View};
use crate::disk::Disk;

/// The instance of this name.
pub(crate) fn instance(bytes: &Bytes) -> Option<InstanceId> {
    Some(InstanceId::new(bytes.0.as_slice().try_into().ok()?))
}

/// Everything on a disk: all groups opened, all records read.
pub(crate) fn of<D: Disk>(disk: &D, provider: &CryptoProvider, progress: &RecordKey) -> Result<View, Error> {
    let current: Vec<_> = Group::list(disk)?.into_iter().map(|(_, instance)| instance).collect();
    let superseded: Vec<_> = Group::superseded(disk)?.into_iter().map(|(_, instance)| instance).collect();
    let open = |instances: &[InstanceId]| {
        let read = |instance: &InstanceId| group(disk, &Group::open(disk, provider, *instance)?);
        instances.iter().map(read).collect::<Result<Vec<_>, Error>>()
    };
    let progress = match disk.get(progress)? {
        Some(value) => u64::from_be_bytes(value.expose().try_into().map_err(|_| StoreReadError::Corrupt)?),
        None => 0,
    };
    let key_packages = client::key_packages(disk)?.into_iter().map(|(reference, private)| {
        let message =
            MlsMessage::KeyPackage(Box::new(Unverified::new(private.key_package().clone()))).to_bytes();
        Ok((Bytes(reference.0), Bytes(message?)))
    });
    Ok(View {
        progress,
        unlock: disk.unlock(),
        records: records(disk, current.iter().chain(&superseded))?,
        generation: disk.generation()?,
        groups: open(&current)?,
        superseded: open(&superseded)?,
        key_packages: key_packages.collect::<Result<_, Error>>()?,
    })
}

/// A hash of all records, and how many there are.
fn records<'i, D: Disk>(
    disk: &D,
    instances: impl Iterator<Item = &'i InstanceId>,
) -> Result<(Bytes, u64), Error> {
    let (mut hash, mut count) = (Sha256::new(), 0);
    for instance in [&InstanceId::CLIENT].into_iter().chain(instances) {
        hash.update(instance.as_bytes());
        hash.update(disk.version(*instance)?.to_be_bytes());
        for kind in RecordKind::ALL {
            for (id, value) in disk.list(*instance, *kind)? {
                hash.update([kind.number()]);
                for part in [id.as_slice(), value.expose()] {
                    hash.update(u64::try_from(part.len()).expect("a length").to_be_bytes());
                    hash.update(part);
                }
                count += 1;
            }
        }
    }
    Ok((Bytes(hash.finalize().to_vec()), count))
}

/// A group, and what of its messages waits on the disk.
pub(crate) fn group<D: Disk>(disk: &D, group: &Group) -> Result<GroupView, Error> {
    let (mut outbox, mut inbox) = (Vec::new(), Vec::new());
    for message in group.unacknowledged(disk)? {
        match message {
            Unacknowledged::Outgoing(outgoing) => {
                outbox.push((outgoing.id.as_bytes().into(), outgoing.message.into()));
            }
            Unacknowledged::Incoming(message) => inbox.push(Text {
                id: message.id.as_bytes().into(),
                from: message.credential.to_bytes()?.into(),
                epoch: message.epoch,
                text: message.plaintext.expose().into(),
            }),
        }
    }
    let (authenticator, exported) = match group.status() {
        Status::Removed => (Bytes::default(), Bytes::default()),
        Status::Active | Status::Reinitialised(_) => {
            (group.epoch_authenticator()?.into(), group.export("crash", b"agreement", 16)?.expose().into())
        }
    };
    let status = match group.status() {
        Status::Active => "active",
        Status::Reinitialised(_) => "reinitialised",
        Status::Removed => "removed",
    };
    Ok(GroupView {
        instance: group.instance().as_bytes().into(),
        group_id: group.group_id().into(),
        epoch: group.epoch(),
        status: status.into(),
        own_leaf: group.own_leaf().number(),
        authenticator,
        exported,
        transcript: group.context().confirmed_transcript_hash.as_slice().into(),
        tree: Sha256::digest(group.ratchet_tree()?).to_vec().into(),
        pending: group.pending_proposals().map(|pending| pending.reference.0.as_slice().into()).collect(),
        staged: group.staged_commits().map(|id| id.as_bytes().into()).collect(),
        outbox,
        inbox,
    })
}
