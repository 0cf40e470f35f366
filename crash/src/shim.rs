//! The library between a process and its files, and what it has written down.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Its source.
const SOURCE: &str = include_str!("../shim/shim.c");

/// Builds the library with the C compiler, into a folder, if it is not there yet.
///
/// # Errors
/// There is no compiler, or it fails.
pub fn built(folder: &Path) -> io::Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    SOURCE.hash(&mut hasher);
    let library = folder.join(format!("shim-{:016x}.so", hasher.finish()));
    if library.exists() {
        return Ok(library);
    }
    fs::create_dir_all(folder)?;
    // Others may build it at the same time.
    let work = tempfile::tempdir_in(folder)?;
    let (source, made) = (work.path().join("shim.c"), work.path().join("shim.so"));
    fs::write(&source, SOURCE)?;
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut command = Command::new(compiler);
    command.args(["-O2", "-Wall", "-shared", "-fPIC", "-o"]).arg(&made).arg(&source).arg("-ldl");
    if !command.status()?.success() {
        return Err(io::Error::other("the C compiler does not build shim.c"));
    }
    fs::rename(made, &library)?;
    Ok(library)
}

/// What happened to a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// It was made.
    Created(String),
    /// It was written to, at an offset.
    Written(String, u64, Vec<u8>),
    /// It was cut or made longer.
    Cut(String, u64),
    /// It was synced; the folder itself has no name. False if that failed.
    Synced(String, bool),
    /// It is gone.
    Removed(String),
    /// It has another name.
    Renamed(String, String),
    /// A lock was asked for.
    Lock,
    /// An answer was given.
    Told,
}

impl Event {
    /// Whether the library counts it as a call that changes something.
    #[must_use]
    pub fn is_call(&self) -> bool {
        !matches!(self, Self::Lock | Self::Told)
    }
}

/// Reads what the library has written down.
///
/// # Panics
/// If that is not what it has written.
#[must_use]
pub fn read_log(bytes: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    let mut rest = bytes;
    while let Some((head, after)) = rest.split_first_chunk::<16>() {
        let number = |from: usize, length: usize| {
            let mut number = [0; 8];
            number[..length].copy_from_slice(&head[from..from + length]);
            u64::from_le_bytes(number)
        };
        let size = |from, length| usize::try_from(number(from, length)).expect("a size");
        let (name, after) = after.split_at(size(2, 2));
        let (data, after) = after.split_at(size(4, 4));
        let name = String::from_utf8(name.to_vec()).expect("a name");
        events.push(match head[0] {
            b'C' => Event::Created(name),
            b'W' => Event::Written(name, number(8, 8), data.to_vec()),
            b'T' => Event::Cut(name, number(8, 8)),
            b'S' => Event::Synced(name, head[1] == 0),
            b'U' => Event::Removed(name),
            b'R' => Event::Renamed(name, String::from_utf8(data.to_vec()).expect("a name")),
            b'L' => Event::Lock,
            b'O' => Event::Told,
            other => panic!("no such event: {other}"),
        });
        rest = after;
    }
    events
}
