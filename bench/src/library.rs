//! What an implementation has to do to take part: the same for all, from bytes to bytes.

use std::path::Path;

use anyhow::Result;
use hushwood_crypto::CipherSuiteId;

use crate::prices::Primitive;

/// An implementation with a cryptographic provider.
pub trait Library {
    /// As in the results, such as `hushwood/aws-lc`.
    fn name(&self) -> &str;
    /// A client with fresh keys and a store of its own: in memory, or in the file `store` in this folder.
    ///
    /// # Errors
    /// If the suite is not there.
    fn member(&self, suite: CipherSuiteId, identity: &str, folder: Option<&Path>) -> Result<Box<dyn Member>>;
    /// Its primitives, to be timed by themselves.
    ///
    /// # Errors
    /// If the suite is not there.
    fn primitives(&self, suite: CipherSuiteId) -> Result<Vec<Primitive>>;
}

/// A client, in one group at most. Unless said otherwise what it does is stored when it returns.
pub trait Member {
    /// Makes and keeps a KeyPackage: an MLSMessage.
    ///
    /// # Errors
    /// The implementation's.
    fn key_package(&mut self) -> Result<Vec<u8>>;
    /// Creates a group of one.
    ///
    /// # Errors
    /// The implementation's.
    fn create(&mut self) -> Result<()>;
    /// Joins by a Welcome; the tree is in it or beside it.
    ///
    /// # Errors
    /// The implementation's.
    fn join(&mut self, welcome: &[u8], tree: Option<&[u8]>) -> Result<()>;
    /// Joins by a GroupInfo that has the tree: the commit.
    ///
    /// # Errors
    /// The implementation's.
    fn external_commit(&mut self, group_info: &[u8]) -> Result<Vec<u8>>;
    /// Whether Welcomes from now on hold the tree. Not timed.
    ///
    /// # Errors
    /// The implementation's.
    fn tree_in_welcome(&mut self, inside: bool) -> Result<()>;
    /// Makes a commit with a path and, where it adds, its Welcome.
    ///
    /// # Errors
    /// The implementation's.
    fn commit(&mut self, change: Change<'_>) -> Result<Vec<u8>>;
    /// Applies the commit made last: the Welcome, if it adds.
    ///
    /// # Errors
    /// The implementation's.
    fn apply(&mut self) -> Result<Option<Vec<u8>>>;
    /// The tree, as it is given to those whose Welcome has none. Not timed.
    ///
    /// # Errors
    /// The implementation's.
    fn ratchet_tree(&mut self) -> Result<Vec<u8>>;
    /// Forgets the commit made last.
    ///
    /// # Errors
    /// The implementation's.
    fn discard(&mut self) -> Result<()>;
    /// Follows somebody's commit.
    ///
    /// # Errors
    /// The implementation's.
    fn process(&mut self, commit: &[u8]) -> Result<()>;
    /// Encrypts a message.
    ///
    /// # Errors
    /// The implementation's.
    fn encrypt(&mut self, plaintext: &[u8]) -> Result<Vec<u8>>;
    /// Decrypts a message.
    ///
    /// # Errors
    /// The implementation's.
    fn decrypt(&mut self, message: &[u8]) -> Result<Vec<u8>>;
    /// A GroupInfo with the tree, for an external commit.
    ///
    /// # Errors
    /// The implementation's.
    fn group_info(&mut self) -> Result<Vec<u8>>;
    /// Its leaf.
    ///
    /// # Errors
    /// Without a group.
    fn leaf(&self) -> Result<u32>;
    /// What all members of an epoch have in common.
    ///
    /// # Errors
    /// Without a group.
    fn epoch_authenticator(&self) -> Result<Vec<u8>>;
    /// Tells the store that messages given out have been dealt with, and stores what [`store`](Self::store) has yet to.
    /// Not timed.
    ///
    /// # Errors
    /// The implementation's.
    fn tidy(&mut self) -> Result<()>;
    /// Whether storing is not part of the operations but the call [`store`](Self::store).
    fn stores_apart(&self) -> bool;
    /// Stores the group, where that is a call of its own.
    ///
    /// # Errors
    /// The implementation's.
    fn store(&mut self) -> Result<()>;
    /// Begins to note what is handed to the store. Not timed.
    fn watch(&mut self);
    /// What was handed to the store since [`watch`](Self::watch).
    fn handed_over(&mut self) -> HandedOver;
    /// How many past epochs' messages it can still read.
    fn past_epochs(&self) -> usize;
    /// Drops the group and leaves what is stored.
    fn close(&mut self);
    /// Reads the group from the store.
    ///
    /// # Errors
    /// The implementation's.
    fn open(&mut self) -> Result<()>;
    /// Reads the group from the store, as far as it takes to encrypt a message. The message is not stored.
    ///
    /// # Errors
    /// The implementation's.
    fn open_and_encrypt(&mut self, plaintext: &[u8]) -> Result<Vec<u8>>;
    /// Somebody outside who follows the group from here. `None` if the implementation has no such thing.
    ///
    /// # Errors
    /// The implementation's.
    fn observer(&mut self) -> Result<Option<Box<dyn Observer>>>;
}

/// Somebody outside who follows a group by its public commits.
pub trait Observer {
    /// Follows a commit.
    ///
    /// # Errors
    /// The implementation's.
    fn follow(&mut self, commit: &[u8]) -> Result<()>;
}

/// What a commit does besides renewing the committer's keys.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// Nothing.
    Update,
    /// Adds clients, by KeyPackages as they came.
    Add(&'a [Vec<u8>]),
    /// Removes a member.
    Remove(u32),
}

/// What was handed to a store: keys and values, without messages that wait for the application or the transport and
/// without skipped message keys.
#[derive(Clone, Copy, Debug, Default)]
pub struct HandedOver {
    /// Their bytes.
    pub bytes: u64,
    /// How many: put, or erased.
    pub rows: u64,
    /// How long the store took.
    pub nanoseconds: u64,
}
