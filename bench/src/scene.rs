//! What members do, and which of it is measured. Every round of a scene begins in a state like the one before.

mod disk;
mod flat;
mod many;
mod merged;
mod small;

use std::path::Path;

use anyhow::{Context, Result, ensure};
use hushwood_crypto::{CipherSuite, CipherSuiteId};

use crate::fixture;
use crate::library::{Change, Library, Member};
use crate::recorder::Recorder;

/// What a scene needs to know.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// The suite.
    pub suite: CipherSuiteId,
    /// How many members the group has.
    pub members: u32,
    /// The group that is not grown, if it is large enough.
    pub group: Option<&'a fixture::Group>,
    /// KeyPackages of those who never come: all but two of a new group.
    pub key_packages: &'a [Vec<u8>],
}

/// A scene, set for one implementation.
pub trait Scene {
    /// Plays it once.
    ///
    /// # Errors
    /// Those of the implementation and of the recorder.
    fn round(&mut self, recorder: &mut Recorder) -> Result<()>;
}

/// The scenes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    /// KeyPackages.
    KeyPackages,
    /// A group made by one commit, in which only the creator's path is populated.
    Flat,
    /// A group in which everybody has committed.
    Merged,
    /// The same, with some more members who speak.
    Many,
    /// The same, with a member whose store is on disk.
    Disk,
}

impl Kind {
    /// Every scene.
    pub const ALL: [Self; 5] = [Self::KeyPackages, Self::Flat, Self::Merged, Self::Many, Self::Disk];

    /// The operations that it measures.
    #[must_use]
    pub fn operations(self) -> &'static [&'static str] {
        match self {
            Self::KeyPackages => &["key_package"],
            Self::Flat => &["create_commit", "join_flat"],
            Self::Merged => &[
                "join_merged",
                "external_commit",
                "update_commit",
                "add_commit",
                "remove_commit",
                "update_process",
                "add_process",
                "remove_process",
                "apply_own",
                "encrypt_1k",
                "decrypt_1k",
                "rate",
                "observe",
                "memory",
                "past_epochs",
            ],
            Self::Many => &["rate"],
            Self::Disk => &["persist_commit", "persist_message", "open"],
        }
    }

    /// Sets the scene.
    ///
    /// # Errors
    /// Those of the implementation.
    pub fn set<'a>(
        self,
        library: &'a dyn Library,
        setting: Setting<'a>,
        recorder: &Recorder,
    ) -> Result<Box<dyn Scene + 'a>> {
        Ok(match self {
            Self::KeyPackages => Box::new(small::KeyPackages::set(library, setting)?),
            Self::Flat => Box::new(flat::Flat::new(library, setting)),
            Self::Merged => Box::new(merged::Merged::set(library, setting, recorder.wants(&["observe"]))?),
            Self::Many => Box::new(many::Many::set(library, setting)?),
            Self::Disk => Box::new(disk::Disk::set(library, setting)?),
        })
    }
}

/// KeyPackages of those who never come to a group of so many.
///
/// # Errors
/// None with a provider that keeps its contract.
pub fn key_packages(suite: &'static dyn CipherSuite, members: u32, now: u64) -> Result<Vec<Vec<u8>>> {
    (0..members.saturating_sub(2)).map(|number| fixture::key_package(suite, number, now)).collect()
}

/// What members say.
const TEXT: [u8; 1024] = [0x68; 1024];

/// Alice and Bob, whose store is in this folder if there is one, in a group in which everybody has committed.
fn enter(
    library: &dyn Library,
    setting: Setting<'_>,
    folder: Option<&Path>,
) -> Result<(Box<dyn Member>, Box<dyn Member>)> {
    let mut alice = library.member(setting.suite, "alice", None)?;
    let mut bob = library.member(setting.suite, "bob", folder)?;
    let mut joining = match setting.group {
        Some(group) => {
            alice.external_commit(&group.group_info)?;
            Vec::new()
        }
        None => {
            alice.create()?;
            setting.key_packages.to_vec()
        }
    };
    joining.insert(0, bob.key_package()?);
    alice.commit(Change::Add(&joining))?;
    bob.join(&alice.apply()?.context("no Welcome")?, None)?;
    for _ in 0..2 {
        let commit = bob.commit(Change::Update)?;
        bob.apply()?;
        alice.process(&commit)?;
        alice.tidy()?;
        bob.tidy()?;
        std::mem::swap(&mut alice, &mut bob);
    }
    agree(&*alice, &*bob)?;
    Ok((alice, bob))
}

/// Fails unless both are in one epoch and see the same group.
fn agree(one: &dyn Member, other: &dyn Member) -> Result<()> {
    ensure!(one.epoch_authenticator()? == other.epoch_authenticator()?, "members do not agree");
    Ok(())
}
