//! The memory of another process, as it is while that waits.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;

use crate::needles::{Needles, PIECE};

/// What a piece of memory is for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Place {
    /// The allocator's.
    Heap,
    /// Variables of the program and its libraries.
    Data,
    /// Where functions keep their variables, also when they have returned.
    Stack,
}

/// A secret, by its number among the needles, and where a piece of it is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Sighting {
    /// The kind of memory.
    pub place: Place,
    /// The needle.
    pub needle: usize,
    /// The address.
    pub address: u64,
}

struct Region {
    begin: u64,
    end: u64,
    place: Place,
}

/// Looks through all memory that the process can write to. It has to stand still.
///
/// # Errors
/// The system does not let us: only processes of our own, and not everywhere those.
pub fn search(process: u32, needles: &Needles) -> io::Result<Vec<Sighting>> {
    let memory = File::open(format!("/proc/{process}/mem"))?;
    let mut found = Vec::new();
    let mut buffer = vec![0; CHUNK];
    for Region { begin, end, place } in regions(&fs::read_to_string(format!("/proc/{process}/maps"))?) {
        let mut at = begin;
        while at < end {
            let length = CHUNK.min(usize::try_from(end - at).unwrap());
            let chunk = &mut buffer[..length];
            // Memory that is reserved and not there reads as an error.
            if memory.read_exact_at(chunk, at).is_err() {
                break;
            }
            if chunk.iter().any(|byte| *byte != 0) {
                let pieces = needles.pieces_in(chunk);
                found.extend(pieces.into_iter().map(|(needle, offset)| Sighting {
                    place,
                    needle,
                    address: at + u64::try_from(offset).unwrap(),
                }));
            }
            if at + u64::try_from(length).unwrap() == end {
                break;
            }
            // What lies across the border is seen the second time.
            at += u64::try_from(length - PIECE + 1).unwrap();
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

const CHUNK: usize = 1 << 20;

/// The writable parts of `/proc/PID/maps`.
fn regions(maps: &str) -> Vec<Region> {
    let mut regions = Vec::new();
    let mut guard_ends = 0;
    for line in maps.lines() {
        let mut fields = line.split_ascii_whitespace();
        let (Some(range), Some(rights)) = (fields.next(), fields.next()) else { continue };
        let name = fields.nth(3).unwrap_or_default();
        let (begin, end) = range.split_once('-').unwrap();
        let [begin, end] = [begin, end].map(|address| u64::from_str_radix(address, 16).unwrap());
        if rights.starts_with("---") && end - begin <= 1 << 16 {
            guard_ends = end;
        }
        if !rights.starts_with("rw") || name.starts_with("[v") || name.ends_with("-shm") {
            continue;
        }
        let place = match name {
            "[stack]" => Place::Stack,
            // The stack of a thread lies above a page that nobody may touch.
            "" if begin == guard_ends => Place::Stack,
            "" | "[heap]" => Place::Heap,
            _ => Place::Data,
        };
        regions.push(Region { begin, end, place });
    }
    regions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_of_our_own_is_found_on_the_heap() {
        let masked: Vec<u8> = (0..32).map(|byte| (byte * 7) ^ 0x35).collect();
        let needle: Vec<u8> = masked.iter().map(|byte| byte ^ 0xff).collect();
        let needles = Needles::of([&needle[..]]);
        let on_heap: Vec<u8> = masked.iter().map(|byte| byte ^ 0xff).collect();
        let address = u64::try_from(on_heap.as_ptr().addr()).unwrap();
        let found = search(std::process::id(), &needles).unwrap();
        assert!(found.iter().any(|sighting| sighting.address == address && sighting.place == Place::Heap));
        drop(on_heap);
    }
}
