//! OpenMLS's published stores, in memory and in a file, behind a count of what is handed to them.

use std::cell::Cell;
use std::fmt;
use std::path::Path;
use std::rc::Rc;
use std::time::Instant;

use anyhow::Result;
use openmls_rust_crypto::MemoryStorage;
use openmls_sqlite_storage::{Codec, Connection, SqliteStorageProvider};
use openmls_traits::storage::{StorageProvider, traits};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::library::HandedOver;

/// A store whose errors can be passed on.
pub trait Store: StorageProvider<1, Error: std::error::Error + Send + Sync + 'static> {}

impl<S: StorageProvider<1, Error: std::error::Error + Send + Sync + 'static>> Store for S {}

/// A file, written as durably as those of the others.
pub type Disk = SqliteStorageProvider<Json, Rc<Connection>>;

/// A store, watched.
pub struct Measured<S> {
    store: S,
    connection: Option<Rc<Connection>>,
    watching: Cell<bool>,
    handed: Cell<HandedOver>,
}

impl Measured<MemoryStorage> {
    /// In memory.
    #[must_use]
    pub fn memory() -> Self {
        Self::new(MemoryStorage::default(), None)
    }
}

impl Measured<Disk> {
    /// In a new file.
    ///
    /// # Errors
    /// What the disk says.
    pub fn disk(path: &Path) -> Result<Self> {
        let mut connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        SqliteStorageProvider::<Json, _>::new(&mut connection).run_migrations()?;
        let connection = Rc::new(connection);
        Ok(Self::new(SqliteStorageProvider::new(connection.clone()), Some(connection)))
    }
}

impl<S> Measured<S> {
    fn new(store: S, connection: Option<Rc<Connection>>) -> Self {
        Self { store, connection, watching: Cell::new(false), handed: Cell::new(HandedOver::default()) }
    }

    /// Begins to count: what is handed over is encoded once more for it.
    pub fn watch(&self) {
        self.watching.set(true);
        self.handed.take();
    }

    /// What was handed over since [`watch`](Self::watch).
    pub fn take(&self) -> HandedOver {
        self.watching.set(false);
        self.handed.take()
    }

    fn timed<T>(&self, write: impl FnOnce() -> T, what: impl FnOnce() -> (u64, u64)) -> T {
        if !self.watching.get() {
            return write();
        }
        let started = Instant::now();
        let output = write();
        let taken = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let (bytes, rows) = what();
        let mut handed = self.handed.take();
        handed.nanoseconds += taken;
        handed.bytes += bytes;
        handed.rows += rows;
        self.handed.set(handed);
        output
    }
}

impl<S: Store> Measured<S> {
    /// Runs what changes a group as one transaction, if the store has such a thing.
    ///
    /// # Errors
    /// Its own.
    pub fn together<T>(&self, run: impl FnOnce() -> Result<T>) -> Result<T> {
        let Some(connection) = &self.connection else { return run() };
        self.timed(|| connection.execute_batch("BEGIN IMMEDIATE"), || (0, 0))?;
        let output = run();
        self.timed(|| connection.execute_batch("COMMIT"), || (0, 0))?;
        output
    }
}

impl<S> fmt::Debug for Measured<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measured").field("handed", &self.handed.get()).finish_non_exhaustive()
    }
}

/// What the store in memory encodes with as well.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json;

impl Codec for Json {
    type Error = serde_json::Error;

    fn to_vec<T: Serialize>(value: &T) -> Result<Vec<u8>, Self::Error> {
        serde_json::to_vec(value)
    }

    fn from_slice<T: DeserializeOwned>(slice: &[u8]) -> Result<T, Self::Error> {
        serde_json::from_slice(slice)
    }
}

fn length<T: Serialize + ?Sized>(value: &T) -> u64 {
    serde_json::to_vec(value).map_or(0, |encoded| encoded.len() as u64)
}

/// Passes on what is written and counts its keys and values, and what is read.
macro_rules! pass_on {
    ($(write $name:ident<$($T:ident),*>($($arg:ident: $type:ty),*);)*
     $(read $got:ident<$($U:ident),*>($($at:ident: $place:ty),*) -> $out:ty;)*) => {
        $(fn $name<$($T: traits::$T<1>),*>(&self, $($arg: $type),*) -> Result<(), Self::Error> {
            self.timed(
                || self.store.$name::<$($T),*>($($arg),*),
                || ([$(length(&$arg)),*].into_iter().sum(), 1),
            )
        })*
        $(fn $got<$($U: traits::$U<1>),*>(&self, $($at: $place),*) -> Result<$out, Self::Error> {
            self.store.$got::<$($U),*>($($at),*)
        })*
    };
}

impl<S: Store> StorageProvider<1> for Measured<S> {
    type Error = S::Error;

    pass_on! {
        write write_mls_join_config<GroupId, MlsGroupJoinConfig>(id: &GroupId, value: &MlsGroupJoinConfig);
        write append_own_leaf_node<GroupId, LeafNode>(id: &GroupId, value: &LeafNode);
        write queue_proposal<GroupId, ProposalRef, QueuedProposal>(id: &GroupId, at: &ProposalRef, value: &QueuedProposal);
        write write_tree<GroupId, TreeSync>(id: &GroupId, value: &TreeSync);
        write write_interim_transcript_hash<GroupId, InterimTranscriptHash>(id: &GroupId, value: &InterimTranscriptHash);
        write write_context<GroupId, GroupContext>(id: &GroupId, value: &GroupContext);
        write write_confirmation_tag<GroupId, ConfirmationTag>(id: &GroupId, value: &ConfirmationTag);
        write write_group_state<GroupState, GroupId>(id: &GroupId, value: &GroupState);
        write write_message_secrets<GroupId, MessageSecrets>(id: &GroupId, value: &MessageSecrets);
        write write_resumption_psk_store<GroupId, ResumptionPskStore>(id: &GroupId, value: &ResumptionPskStore);
        write write_own_leaf_index<GroupId, LeafNodeIndex>(id: &GroupId, value: &LeafNodeIndex);
        write write_group_epoch_secrets<GroupId, GroupEpochSecrets>(id: &GroupId, value: &GroupEpochSecrets);
        write write_signature_key_pair<SignaturePublicKey, SignatureKeyPair>(key: &SignaturePublicKey, value: &SignatureKeyPair);
        write write_encryption_key_pair<EncryptionKey, HpkeKeyPair>(key: &EncryptionKey, value: &HpkeKeyPair);
        write write_encryption_epoch_key_pairs<GroupId, EpochKey, HpkeKeyPair>(id: &GroupId, epoch: &EpochKey, leaf: u32, value: &[HpkeKeyPair]);
        write write_key_package<HashReference, KeyPackage>(at: &HashReference, value: &KeyPackage);
        write write_psk<PskId, PskBundle>(id: &PskId, value: &PskBundle);
        write remove_proposal<GroupId, ProposalRef>(id: &GroupId, at: &ProposalRef);
        write delete_own_leaf_nodes<GroupId>(id: &GroupId);
        write delete_group_config<GroupId>(id: &GroupId);
        write delete_tree<GroupId>(id: &GroupId);
        write delete_confirmation_tag<GroupId>(id: &GroupId);
        write delete_group_state<GroupId>(id: &GroupId);
        write delete_context<GroupId>(id: &GroupId);
        write delete_interim_transcript_hash<GroupId>(id: &GroupId);
        write delete_message_secrets<GroupId>(id: &GroupId);
        write delete_all_resumption_psk_secrets<GroupId>(id: &GroupId);
        write delete_own_leaf_index<GroupId>(id: &GroupId);
        write delete_group_epoch_secrets<GroupId>(id: &GroupId);
        write clear_proposal_queue<GroupId, ProposalRef>(id: &GroupId);
        write delete_signature_key_pair<SignaturePublicKey>(key: &SignaturePublicKey);
        write delete_encryption_key_pair<EncryptionKey>(key: &EncryptionKey);
        write delete_encryption_epoch_key_pairs<GroupId, EpochKey>(id: &GroupId, epoch: &EpochKey, leaf: u32);
        write delete_key_package<HashReference>(at: &HashReference);
        write delete_psk<PskId>(id: &PskId);
        read mls_group_join_config<GroupId, MlsGroupJoinConfig>(id: &GroupId) -> Option<MlsGroupJoinConfig>;
        read own_leaf_nodes<GroupId, LeafNode>(id: &GroupId) -> Vec<LeafNode>;
        read queued_proposal_refs<GroupId, ProposalRef>(id: &GroupId) -> Vec<ProposalRef>;
        read queued_proposals<GroupId, ProposalRef, QueuedProposal>(id: &GroupId) -> Vec<(ProposalRef, QueuedProposal)>;
        read tree<GroupId, TreeSync>(id: &GroupId) -> Option<TreeSync>;
        read group_context<GroupId, GroupContext>(id: &GroupId) -> Option<GroupContext>;
        read interim_transcript_hash<GroupId, InterimTranscriptHash>(id: &GroupId) -> Option<InterimTranscriptHash>;
        read confirmation_tag<GroupId, ConfirmationTag>(id: &GroupId) -> Option<ConfirmationTag>;
        read group_state<GroupState, GroupId>(id: &GroupId) -> Option<GroupState>;
        read message_secrets<GroupId, MessageSecrets>(id: &GroupId) -> Option<MessageSecrets>;
        read resumption_psk_store<GroupId, ResumptionPskStore>(id: &GroupId) -> Option<ResumptionPskStore>;
        read own_leaf_index<GroupId, LeafNodeIndex>(id: &GroupId) -> Option<LeafNodeIndex>;
        read group_epoch_secrets<GroupId, GroupEpochSecrets>(id: &GroupId) -> Option<GroupEpochSecrets>;
        read signature_key_pair<SignaturePublicKey, SignatureKeyPair>(key: &SignaturePublicKey) -> Option<SignatureKeyPair>;
        read encryption_key_pair<HpkeKeyPair, EncryptionKey>(key: &EncryptionKey) -> Option<HpkeKeyPair>;
        read encryption_epoch_key_pairs<GroupId, EpochKey, HpkeKeyPair>(id: &GroupId, epoch: &EpochKey, leaf: u32) -> Vec<HpkeKeyPair>;
        read key_package<HashReference, KeyPackage>(at: &HashReference) -> Option<KeyPackage>;
        read psk<PskBundle, PskId>(id: &PskId) -> Option<PskBundle>;
    }
}
