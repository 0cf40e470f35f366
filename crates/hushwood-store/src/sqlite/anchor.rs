//! A count of steps in a file outside of the store: what shows that an old copy of the store was put back.
//!
//! The file has two places. A step writes its number into one of them, odd numbers into the one and even numbers into the
//! other, so that a write that is cut short leaves the number before it:
//!
//! ```text
//! place  = u64 generation || HMAC-SHA-256(anchor key, store id || generation)
//! ```

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

use hmac::{Hmac, Mac};
use hushwood_crypto::{CryptoError, Secret};
use sha2::Sha256;

use crate::sqlite::{OpenError, file, seal};

/// The anchor of one store.
pub(super) struct Anchor {
    file: File,
    /// With the store's id in it already.
    mac: Hmac<Sha256>,
}

impl Anchor {
    /// The file, made if there is none.
    pub(super) fn at(path: &Path, id: &[u8; 16], store_key: &Secret) -> Result<Self, OpenError> {
        file::create(path)?;
        file::restrict_file(path)?;
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Self { file, mac: mac(id, store_key)? })
    }

    /// The greatest number in it; `None` if there is none that this store has written.
    pub(super) fn generation(&self) -> io::Result<Option<u64>> {
        self.locked(Self::read)
    }

    /// Moves on to a number, if it is not there or further already. It has reached the disk when this returns.
    pub(super) fn advance(&self, generation: u64) -> io::Result<()> {
        self.locked(|anchor| {
            if anchor.read()?.is_none_or(|known| known < generation) {
                anchor.write(generation)?;
            }
            // Also if another process has written it: it may have been killed before this.
            anchor.file.sync_data()
        })
    }

    /// Begins anew at a number, whatever was there.
    pub(super) fn reset(&self, generation: u64) -> io::Result<()> {
        self.locked(|anchor| {
            anchor.file.set_len(0)?;
            anchor.write(generation)?;
            anchor.file.sync_all()
        })
    }

    /// From now on it can't be written.
    #[cfg(test)]
    pub(super) fn break_down(&mut self, path: &Path) {
        self.file = File::open(path).unwrap();
    }

    /// Processes that share a store take turns, or the slower one would put its number over a greater one.
    fn locked<T>(&self, what: impl FnOnce(&Self) -> io::Result<T>) -> io::Result<T> {
        self.file.lock()?;
        let done = what(self);
        self.file.unlock()?;
        done
    }

    fn read(&self) -> io::Result<Option<u64>> {
        let mut greatest = None;
        for place in [0, PLACE] {
            let mut entry = [0; ENTRY];
            (&self.file).seek(SeekFrom::Start(place))?;
            match (&self.file).read_exact(&mut entry) {
                Ok(()) => greatest = greatest.max(self.open(&entry)),
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
                Err(error) => return Err(error),
            }
        }
        Ok(greatest)
    }

    fn open(&self, entry: &[u8; ENTRY]) -> Option<u64> {
        let (generation, tag) = entry.split_first_chunk::<8>()?;
        let mac = self.mac.clone().chain_update(generation);
        mac.verify_slice(tag).ok().map(|()| u64::from_be_bytes(*generation))
    }

    fn write(&self, generation: u64) -> io::Result<()> {
        let bytes = generation.to_be_bytes();
        let tag = self.mac.clone().chain_update(bytes).finalize().into_bytes();
        let entry = [bytes.as_slice(), &tag].concat();
        let place = if generation.is_multiple_of(2) { 0 } else { PLACE };
        (&self.file).seek(SeekFrom::Start(place))?;
        (&self.file).write_all(&entry)
    }
}

fn mac(id: &[u8; 16], store_key: &Secret) -> Result<Hmac<Sha256>, CryptoError> {
    let key = seal::derive(store_key, b"hushwood store anchor")?;
    Ok(seal::hmac(&*key)?.chain_update(id))
}

/// Where the second place is: no sector and no page has both.
const PLACE: u64 = 4096;
/// A number and its tag.
const ENTRY: usize = 8 + 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn anchor(path: &Path, byte: u8) -> Anchor {
        Anchor::at(path, &[byte; 16], &Secret::new(vec![7; 32])).unwrap()
    }

    #[test]
    fn it_moves_on_and_never_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("anchor");
        let anchor = anchor(&path, 1);
        assert_eq!(anchor.generation().unwrap(), None);
        for (to, then) in [(1, 1), (2, 2), (1, 2), (9, 9), (8, 9)] {
            anchor.advance(to).unwrap();
            assert_eq!(anchor.generation().unwrap(), Some(then));
        }
        anchor.reset(4).unwrap();
        assert_eq!(anchor.generation().unwrap(), Some(4));
    }

    #[test]
    fn a_write_that_is_cut_short_leaves_the_number_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("anchor");
        anchor(&path, 1).advance(6).unwrap();
        let before = std::fs::read(&path).unwrap();
        anchor(&path, 1).advance(7).unwrap();
        let after = std::fs::read(&path).unwrap();
        for cut in before.len()..after.len() {
            std::fs::write(&path, &after[..cut]).unwrap();
            assert_eq!(anchor(&path, 1).generation().unwrap(), Some(6));
        }
        for byte in usize::try_from(PLACE).unwrap()..after.len() {
            let mut torn = after.clone();
            torn[byte] ^= 1;
            std::fs::write(&path, torn).unwrap();
            assert_eq!(anchor(&path, 1).generation().unwrap(), Some(6));
        }
    }

    #[test]
    fn that_of_another_store_counts_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("anchor");
        anchor(&path, 1).advance(6).unwrap();
        assert_eq!(anchor(&path, 2).generation().unwrap(), None);
        let other = Anchor::at(&path, &[1; 16], &Secret::new(vec![8; 32])).unwrap();
        assert_eq!(other.generation().unwrap(), None);
    }
}
