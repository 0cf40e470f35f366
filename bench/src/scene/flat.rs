//! A group made by one commit, in which only the creator's path is populated, and somebody who joins it.

use anyhow::{Context, Result};

use crate::library::{Change, Library};
use crate::recorder::Recorder;
use crate::scene::{Scene, Setting, agree};

pub(super) struct Flat<'a> {
    library: &'a dyn Library,
    setting: Setting<'a>,
}

impl<'a> Flat<'a> {
    pub(super) fn new(library: &'a dyn Library, setting: Setting<'a>) -> Self {
        Self { library, setting }
    }
}

impl Scene for Flat<'_> {
    fn round(&mut self, recorder: &mut Recorder) -> Result<()> {
        let places =
            [(true, "create_commit", "join_flat"), (false, "create_commit.beside", "join_flat.beside")];
        for (inside, create, join) in places {
            let mut creator = self.library.member(self.setting.suite, "alice", None)?;
            let mut joiner = self.library.member(self.setting.suite, "bob", None)?;
            creator.tree_in_welcome(inside)?;
            let mut key_packages = self.setting.key_packages.to_vec();
            key_packages.push(joiner.key_package()?);
            let commit = recorder.measure(create, || {
                creator.create()?;
                creator.commit(Change::Add(&key_packages))
            })?;
            let welcome = creator.apply()?.context("no Welcome")?;
            let tree = if inside { None } else { Some(creator.ratchet_tree()?) };
            let beside = tree.as_ref().map_or(0, Vec::len);
            recorder.wire(create, commit.len() + welcome.len() + beside);
            recorder.wire(join, welcome.len() + beside);
            recorder.measure(join, || joiner.join(&welcome, tree.as_deref()))?;
            agree(&*creator, &*joiner)?;
        }
        Ok(())
    }
}
