//! Messaging Layer Security (RFC 9420), whole, without I/O.
//!
//! A group of two or of many agrees on keys that the server between them does not learn, and agrees on new ones
//! with every change: who leaves reads nothing that comes after, who joins nothing that was before, and who has
//! stolen a device's keys loses them with its next update. This crate is the protocol. It opens no socket, writes
//! no file and reads no clock: what it needs are arguments, what it wants done is returned.
//!
//! # Two clients, a group, a message
//!
//! ```
#![doc = include_str!("../examples/talk.rs")]
//! ```
//!
//! # What an application brings
//!
//! - Cryptography: a [`CryptoProvider`](crypto::CryptoProvider), that of `hushwood-aws-lc` or of
//!   `hushwood-rustcrypto`, and a source of [`Random`](crypto::Random) bytes.
//! - A store: whatever implements [`Records`](transition::Records) and [`Persist`](transition::Persist);
//!   `hushwood-store` has one in memory and one in a sealed SQLite file.
//! - Keys that sign: a [`Signer`](crypto::Signer), which may be hardware.
//! - Judgement: whatever shows new credentials lists them as [`CredentialCheck`](credential::CredentialCheck)s, and
//!   goes on with a verdict on each. [`CredentialValidator`](credential::CredentialValidator) is the interface, [`BasicPins`](credential::BasicPins) and [`X509Validator`](credential::X509Validator) are two that judge.
//! - The [time](policy::Timestamp), and a transport that carries bytes and puts commits into one order.
//!
//! # How everything goes
//!
//! **What changes state is a [`Step`](transition::Step).** It is made from the group without changing it, and
//! [`commit`](transition::Step::commit) writes it, changes the group, and gives the output, in this order. A message
//! can't be sent before what it used up is on the disk; a step that is dropped never happened.
//!
//! **A commit of ours waits** until the transport has taken it: [`Group::commit`](group::Group::commit) gives the
//! message, then [`apply`](group::Group::apply) begins the epoch and gives the Welcomes, or
//! [`discard`](group::Group::discard) drops it. If somebody else's came first, receive that one.
//!
//! **What arrives is looked at first.** [`Group::receive`](group::Group::receive) says what it is and what it would
//! do; accepting it is a step of its own.
//!
//! **Errors say whose fault it is,** and [`disposition`](error::Error::disposition) what to do about it: ignore,
//! keep for later, bring what is missing, rejoin, report.
//!
//! # Where to go on
//!
//! | to | see |
//! |---|---|
//! | make KeyPackages, and keep their private keys | [`key_package`], [`group::client`] |
//! | validate KeyPackages of others, one or many | [`validate`](key_package::validate()), [`validate_many`](key_package::validate_many) |
//! | create a group, or open it from its store | [`Group::create`](group::Group::create), [`Group::open`](group::Group::open) |
//! | add, remove, update, change the group's extensions | [`CommitPlan`](group::CommitPlan) |
//! | propose what others commit | [`Group::propose`](group::Group::propose), [`NewProposal`](group::NewProposal) |
//! | join by a Welcome | [`OpenedWelcome`](group::OpenedWelcome) |
//! | hand out the tree beside the Welcome | [`Policy::ratchet_tree_extension`](policy::Policy::ratchet_tree_extension), [`Group::ratchet_tree_after`](group::Group::ratchet_tree_after) |
//! | give a delivery service all that belongs to a commit, with it | [`Group::welcomes_after`](group::Group::welcomes_after), [`Group::group_info_after`](group::Group::group_info_after) |
//! | know which tree to bring for a Welcome | [`OpenedWelcome::group_info`](group::OpenedWelcome::group_info) |
//! | join, or rejoin, by an external commit | [`StagedExternalJoin`](group::StagedExternalJoin) |
//! | propose from outside the group | [`GroupView`](group::GroupView) |
//! | send and receive | [`Group::encrypt`](group::Group::encrypt), [`Group::receive`](group::Group::receive) |
//! | get proposals that a commit refers to | [`Group::missing_proposals`](group::Group::missing_proposals) |
//! | catch up with much at once | [`Batch`](group::Batch) |
//! | mix in pre-shared keys | [`Answers`](commit::Answers), [`client::keep_psk`](group::client::keep_psk) |
//! | start a group out of another | [`Group::branch`](group::Group::branch), [`Group::reinit`](group::Group::reinit) |
//! | forget a group, or a state of it that another has replaced | [`Group::forget`](group::Group::forget), [`Group::superseded`](group::Group::superseded) |
//! | take keys for other uses | [`Group::export`](group::Group::export) |
//! | follow a group without its secrets | [`public_group`] |
//! | set limits, padding, how long things are kept | [`policy`] |
//! | write a store | [`transition`] |
//!
//! # Features
//!
//! `parallel`, on by default: work on many members at once is shared by the threads of rayon's pool. Nothing else
//! changes by it. Without it there are no threads, as for WebAssembly.

pub mod commit;
pub mod credential;
pub mod error;
pub mod extension;
pub mod framing;
mod grease;
pub mod group;
pub mod key_package;
mod parallel;
pub mod policy;
pub mod proposal;
pub mod public_group;
pub mod schedule;
pub mod secret_tree;
#[cfg(test)]
mod testing;
pub mod transition;
pub mod tree;
pub mod unverified;
pub mod version;
pub mod welcome;

pub use hushwood_codec as codec;
pub use hushwood_crypto as crypto;
