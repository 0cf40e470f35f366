//! Reading what comes in and writing what goes out: files or pipes, binary or armoured.
//!
//! A file is written beside its place and moved there when it is whole and on the disk; nothing is
//! overwritten unless asked for.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use base64ct::{Base64, Encoding};
use hushwood_codec::{Decode, DecodeLimits, Reader};
use hushwood_crypto::Random;

use crate::failure::{Class, Failure};
use crate::system::OsRandom;

/// The longest input: what the protocol library reads at most by default.
const MAX_INPUT: u64 = 256 << 20;

/// Reads a file, or standard input for none and for `-`.
pub(crate) fn read(path: Option<&Path>) -> Result<Vec<u8>, Failure> {
    match path.filter(|path| *path != Path::new("-")) {
        Some(path) => read_file(path),
        None => read_stdin(),
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let fail = |error| Failure::path("can't read", path, &error);
    let file = File::open(path).map_err(fail)?;
    read_limited(file).map_err(fail)?.ok_or_else(|| too_long().about(path.display()))
}

fn read_stdin() -> Result<Vec<u8>, Failure> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        eprintln!("reading from the terminal; end with Ctrl-D on a line of its own");
    }
    let fail = |error| Failure::stream("can't read standard input", &error);
    read_limited(stdin.lock()).map_err(fail)?.ok_or_else(|| too_long().about("standard input"))
}

fn read_limited(from: impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let length = from.take(MAX_INPUT + 1).read_to_end(&mut bytes)?;
    Ok(u64::try_from(length).is_ok_and(|length| length <= MAX_INPUT).then_some(bytes))
}

fn too_long() -> Failure {
    Failure::refused("longer than 256 MiB, the most that is read")
}

/// Reads a file (or standard input) that holds an MLS object, taking the armour off if it has one.
pub(crate) fn read_object(path: Option<&Path>) -> Result<Vec<u8>, Failure> {
    let bytes = read(path)?;
    let about = |failure: Failure| failure.about(shown(path));
    match dearmour(&bytes).map_err(about)? {
        Some(object) => Ok(object),
        None if bytes.is_empty() => Err(about(Failure::new(Class::Decode, "it is empty"))),
        None => Ok(bytes),
    }
}

/// The name of an input, for sentences about it.
pub(crate) fn shown(path: Option<&Path>) -> String {
    match path.filter(|path| *path != Path::new("-")) {
        Some(path) => path.display().to_string(),
        None => "standard input".to_owned(),
    }
}

/// The encoded objects in `bytes`, which may hold several in a row.
pub(crate) fn split<T: Decode>(bytes: &[u8]) -> Result<Vec<&[u8]>, Failure> {
    let mut objects = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let mut reader = Reader::new(rest, DecodeLimits::default()).map_err(hushwood::error::Error::from)?;
        T::decode(&mut reader).map_err(hushwood::error::Error::from)?;
        let (object, after) = rest.split_at_checked(reader.position()).unwrap_or((rest, &[]));
        objects.push(object);
        rest = after;
    }
    Ok(objects)
}

const BEGIN: &str = "-----BEGIN MLS MESSAGE-----";
const END: &str = "-----END MLS MESSAGE-----";

/// The object as lines of text, for transports that carry only such.
pub(crate) fn armour(object: &[u8]) -> String {
    let mut text = format!("{BEGIN}\n");
    // 48 bytes are 64 characters.
    for line in object.chunks(48) {
        text.push_str(&Base64::encode_string(line));
        text.push('\n');
    }
    text.push_str(END);
    text.push('\n');
    text
}

/// Takes the armour off, in whatever text it stands; several in a row give their objects in a row.
/// `None` if there is none.
fn dearmour(bytes: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(None) };
    let broken = || Failure::new(Class::Decode, "its armour is broken").advise("ask for the whole file");
    let mut objects = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(BEGIN) {
        let (lines, after) = after.split_once(END).ok_or_else(broken)?;
        let characters: String = lines.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        objects.extend(Base64::decode_vec(&characters).map_err(|_| broken())?);
        rest = after;
    }
    Ok((rest.len() < text.len()).then_some(objects))
}

/// Who may read a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Readers {
    /// Whoever the user lets read other files: what was sealed anyway.
    Everybody,
    /// The user: plaintexts, keys.
    Owner,
}

/// Writes a file whole or not at all.
pub(crate) fn write(path: &Path, bytes: &[u8], readers: Readers, force: bool) -> Result<(), Failure> {
    let fail = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => Failure::refused(format!("{} exists", path.display()))
            .advise("choose another name, or overwrite it with `--force`"),
        _ => Failure::path("can't write", path, &error),
    };
    if !force && path.symlink_metadata().is_ok() {
        return Err(fail(io::ErrorKind::AlreadyExists.into()));
    }
    // A device or a link would be replaced by a file, which nobody means.
    if path.symlink_metadata().is_ok_and(|found| !found.is_file()) {
        return Err(Failure::refused(format!("{} is no file that could be overwritten", path.display()))
            .advise("name a file, or leave it out and redirect standard output"));
    }
    let temporary = beside(path)?;
    let written = create(&temporary, readers).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        place(&temporary, path, force)
    });
    if written.is_err() {
        // It may not even have been created; the first error is the one to tell.
        let _ = fs::remove_file(&temporary);
    }
    written.map_err(fail)?;
    sync_folder(path);
    Ok(())
}

fn create(path: &Path, readers: Readers) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    if readers == Readers::Owner {
        crate::system::owner_only(&mut options);
    }
    options.open(path)
}

/// Moves a file to its place. A link fails if the place is taken, even by a file of this moment; where
/// the file system has no links, the check before has to do.
pub(crate) fn place(temporary: &Path, path: &Path, force: bool) -> io::Result<()> {
    if force {
        return fs::rename(temporary, path);
    }
    match fs::hard_link(temporary, path) {
        Ok(()) => fs::remove_file(temporary),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        Err(_) => fs::rename(temporary, path),
    }
}

/// An unused name in the same folder.
fn beside(path: &Path) -> Result<PathBuf, Failure> {
    let random: &mut dyn Random = &mut OsRandom;
    let tag = random.array::<8>().map_err(hushwood::error::Error::from)?;
    Ok(path.with_file_name(format!(".hushwood-{}.tmp", crate::text::hex(&tag))))
}

/// Makes the new name durable, where the system lets a folder be synced.
pub(crate) fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Ok(folder) = File::open(folder.unwrap_or(Path::new("."))) {
        let _ = folder.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn armour_comes_off_whatever_stands_around_it() {
        let object: Vec<u8> = (0..=255).collect();
        let mail = format!("Hello,\r\n{}\r\nbye", armour(&object).replace('\n', "\r\n"));
        assert_eq!(dearmour(mail.as_bytes()).unwrap(), Some(object.clone()));
        let two = format!("{}{}", armour(b"one"), armour(b"two"));
        assert_eq!(dearmour(two.as_bytes()).unwrap(), Some(b"onetwo".to_vec()));
        assert_eq!(dearmour(b"\x00\x01\x00\x05").unwrap(), None);
        assert_eq!(dearmour(b"no armour").unwrap(), None);
    }

    #[test]
    fn broken_armour_is_told_and_not_guessed() {
        let whole = armour(&[7; 100]);
        for broken in [&whole[..60], &whole.replace("Bw", "B!"), &whole.replace("BwcHBw==", "BwcHBw=")] {
            assert_eq!(dearmour(broken.as_bytes()).unwrap_err().class(), Class::Decode, "{broken}");
        }
    }

    #[test]
    fn objects_in_a_row_are_told_apart() {
        assert_eq!(split::<Vec<u8>>(&[1, 9, 0, 2, 8, 7]).unwrap(), [&[1, 9][..], &[0], &[2, 8, 7]]);
        assert_eq!(split::<Vec<u8>>(&[1, 9, 2, 8]).unwrap_err().class(), Class::Decode);
    }
}
