//! The merged group again, with Bob's store in a file: what is handed to it, how long it takes, and how long it is
//! until a group that was read back has its first ciphertext ready.
//!
//! The file is in memory, where there is such a folder, so that the time is that of the store alone; what it takes to
//! make as many bytes durable as were written is measured beside.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::library::{Change, HandedOver, Library, Member};
use crate::recorder::{Mode, Recorder};
use crate::scene::{Scene, Setting, TEXT, enter};

pub(super) struct Disk {
    alice: Box<dyn Member>,
    bob: Box<dyn Member>,
    folder: TempDir,
}

impl Disk {
    pub(super) fn set(library: &dyn Library, setting: Setting<'_>) -> Result<Self> {
        let folder = match Path::new(IN_MEMORY).is_dir() {
            true => tempfile::tempdir_in(IN_MEMORY)?,
            false => tempfile::tempdir()?,
        };
        let (alice, bob) = enter(library, setting, Some(folder.path()))?;
        Ok(Self { alice, bob, folder })
    }

    /// Begins to note what the store is given.
    fn watch(&mut self) -> Result<()> {
        self.bob.tidy()?;
        let connection = Connection::open(self.folder.path().join("store"))?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        self.bob.watch();
        Ok(())
    }

    /// Bob has done something that was stored with it: what of the time was the store's, or the call that stores.
    fn stored(&mut self, operation: &str, recorder: &mut Recorder) -> Result<()> {
        if self.bob.stores_apart() {
            recorder.measure(operation, || self.bob.store())?;
        }
        let handed = self.bob.handed_over();
        if !self.bob.stores_apart() {
            recorder.time(operation, Duration::from_nanos(handed.nanoseconds));
        }
        recorder.handed_over(operation, handed);
        if matches!(recorder.mode(), Mode::Time) {
            self.files(operation, recorder)?;
        }
        self.watch()
    }

    /// What SQLite has written, and what it takes to make that durable.
    fn files(&self, operation: &str, recorder: &mut Recorder) -> Result<()> {
        for (name, variant) in [("store", "file"), ("store-wal", "wal")] {
            let bytes = fs::metadata(self.folder.path().join(name))?.len();
            recorder.handed_over(
                &format!("{operation}.{variant}"),
                HandedOver { bytes, ..HandedOver::default() },
            );
        }
        let written = fs::read(self.folder.path().join("store-wal"))?;
        let folder = tempfile::tempdir()?;
        let mut file = File::create(folder.path().join("file"))?;
        let started = Instant::now();
        file.write_all(&written)?;
        file.sync_data()?;
        recorder.time(&format!("{operation}.fsync"), started.elapsed());
        Ok(())
    }
}

impl Scene for Disk {
    fn round(&mut self, recorder: &mut Recorder) -> Result<()> {
        self.watch()?;
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
        self.watch()?;
        let commit = self.bob.commit(Change::Update)?;
        self.stored("persist_commit.make", recorder)?;
        self.bob.apply()?;
        self.stored("persist_commit.own", recorder)?;
        self.alice.process(&commit)?;
        self.alice.tidy()
    }
}

/// On Linux, a file system that is not on any disk.
const IN_MEMORY: &str = "/dev/shm";
