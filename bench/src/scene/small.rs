//! KeyPackages, one by one.

use anyhow::Result;

use crate::library::{Library, Member};
use crate::recorder::Recorder;
use crate::scene::{Scene, Setting};

pub(super) struct KeyPackages(Box<dyn Member>);

impl KeyPackages {
    pub(super) fn set(library: &dyn Library, setting: Setting<'_>) -> Result<Self> {
        Ok(Self(library.member(setting.suite, "alice", None)?))
    }
}

impl Scene for KeyPackages {
    fn round(&mut self, recorder: &mut Recorder) -> Result<()> {
        for _ in 0..recorder.repetitions(10) {
            let key_package = recorder.measure("key_package", || self.0.key_package())?;
            recorder.wire("key_package", key_package.len());
        }
        Ok(())
    }
}
