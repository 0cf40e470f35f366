//! The merged group again, with Bob's store in a file: what is handed to it, how long it takes, and how long it is
//! until a group that was read back has its first ciphertext ready.

use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Result;
use tempfile::TempDir;

use crate::library::{Change, Library, Member};
use crate::recorder::{Mode, Recorder};
use crate::scene::{Scene, Setting, TEXT, enter};

pub(super) struct Disk {
    alice: Box<dyn Member>,
    bob: Box<dyn Member>,
    folder: TempDir,
    on_disk: bool,
}

impl Disk {
    pub(super) fn set(library: &dyn Library, setting: Setting<'_>) -> Result<Self> {
        let (alice, mut bob) = enter(library, setting)?;
        let folder = tempfile::tempdir()?;
        let on_disk = bob.use_disk(folder.path())?;
        Ok(Self { alice, bob, folder, on_disk })
    }

    /// Bob has done something that was stored with it: what of the time was the store's, or the call that stores.
    fn stored(&mut self, operation: &str, recorder: &mut Recorder) -> Result<()> {
        if self.bob.stores_apart() {
            recorder.measure(operation, || self.bob.store())?;
        }
        let handed = self.bob.handed_over();
        if !self.bob.stores_apart() && self.on_disk {
            recorder.time(operation, Duration::from_nanos(handed.nanoseconds));
        }
        recorder.handed_over(operation, handed);
        self.bob.tidy()?;
        self.bob.watch();
        Ok(())
    }

    fn fsync(&mut self, recorder: &mut Recorder) -> Result<()> {
        if self.on_disk && matches!(recorder.mode(), Mode::Time) {
            let mut file = File::create(self.folder.path().join("file"))?;
            for _ in 0..10 {
                let started = Instant::now();
                file.write_all(&[0; 4096])?;
                file.sync_data()?;
                recorder.time("persist_commit.fsync", started.elapsed());
            }
        }
        Ok(())
    }
}

impl Scene for Disk {
    fn round(&mut self, recorder: &mut Recorder) -> Result<()> {
        self.bob.tidy()?;
        self.bob.watch();
        let commit = self.alice.commit(Change::Update)?;
        self.alice.apply()?;
        self.bob.process(&commit)?;
        self.stored("persist_commit", recorder)?;
        for operation in ["persist_message.first", "persist_message", "persist_message"] {
            let message = self.bob.encrypt(&TEXT)?;
            self.stored(operation, recorder)?;
            self.alice.decrypt(&message)?;
        }
        recorder.measure("open", || self.bob.open_and_encrypt(&TEXT))?;
        self.bob.watch();
        let commit = self.bob.commit(Change::Update)?;
        self.stored("persist_commit.make", recorder)?;
        self.bob.apply()?;
        self.stored("persist_commit.own", recorder)?;
        self.alice.process(&commit)?;
        self.alice.tidy()?;
        self.fsync(recorder)
    }
}
