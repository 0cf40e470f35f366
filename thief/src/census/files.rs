//! The files of a store, byte by byte, and the keys of rows that are erased.
//!
//! A row that may hold secrets is sealed under a key of its own, which is made from a salt (`hushwood-store`,
//! `sqlite/seal.rs`). Pieces of the row may stay where SQLite has moved it from; without the salt nobody opens them. So
//! when the log is emptied, no salt of an erased row may be in any file.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use rusqlite::{Connection, OpenFlags};

use crate::needles::Needles;
use crate::theft;

pub(super) struct Files {
    store: PathBuf,
    contents: Vec<Vec<u8>>,
    /// All salts that were ever seen.
    salts: BTreeSet<Vec<u8>>,
    live: BTreeSet<Vec<u8>>,
}

impl Files {
    pub(super) fn new(store: PathBuf) -> Self {
        Self { store, contents: Vec::new(), salts: BTreeSet::new(), live: BTreeSet::new() }
    }

    /// Reads all files of the folder, and the salts of the rows that are there.
    pub(super) fn read(&mut self) {
        let files = fs::read_dir(self.store.parent().unwrap()).unwrap().map(|entry| entry.unwrap());
        // Not the socket.
        let files = files.filter(|entry| entry.file_type().unwrap().is_file());
        self.contents = files.map(|entry| fs::read(entry.path()).unwrap()).collect();
        let copies = tempfile::tempdir().unwrap();
        let copy = theft::copy(&self.store, copies.path());
        let connection = Connection::open_with_flags(copy, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
        let mut select = connection.prepare("SELECT salt FROM salts WHERE free = 0").unwrap();
        let salts = select.query_map([], |row| row.get(0)).unwrap();
        self.live = salts.map(Result::unwrap).collect();
        self.salts.extend(self.live.iter().cloned());
    }

    /// The needles of which a piece is in a file.
    pub(super) fn pieces(&self, needles: &Needles) -> Vec<usize> {
        self.contents.iter().flat_map(|file| needles.pieces_in(file)).map(|(needle, _)| needle).collect()
    }

    /// The salts of erased rows.
    pub(super) fn erased_rows(&self) -> Vec<&[u8]> {
        self.salts.difference(&self.live).map(Vec::as_slice).collect()
    }
}
