//! Many secrets at once, looked for in many bytes.

use std::collections::HashMap;

/// Secrets to look for. They are found by pieces of [`PIECE`] bytes, so half a secret is found as well.
#[derive(Debug)]
pub struct Needles {
    /// Which secrets have a piece that begins with these bits: most bytes are told apart by this alone.
    filter: Vec<u64>,
    /// Pieces, with the numbers of the secret that has it and of the first byte in it.
    pieces: HashMap<u64, (u32, usize)>,
    secrets: Vec<Vec<u8>>,
}

/// How many bytes of a secret in a row are taken for the secret: among 2^34 bytes and 2^17 pieces one is found that
/// is none with a probability of 2^-13.
pub const PIECE: usize = 8;

const FILTER_BITS: u32 = 22;

impl Default for Needles {
    fn default() -> Self {
        Self { filter: vec![0; 1 << (FILTER_BITS - 6)], pieces: HashMap::new(), secrets: Vec::new() }
    }
}

impl Needles {
    /// Looks for these, each of which has a place in the list.
    #[must_use]
    pub fn of<'a>(secrets: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut needles = Self::default();
        secrets.into_iter().for_each(|secret| needles.add(secret));
        needles
    }

    /// Looks for one more.
    ///
    /// # Panics
    /// If it is shorter than a piece.
    pub fn add(&mut self, secret: &[u8]) {
        let number = u32::try_from(self.secrets.len()).unwrap();
        // The last piece may overlap the one before it.
        let last = secret.len().checked_sub(PIECE).expect("no secret is that short");
        for at in (0..last).step_by(PIECE).chain([last]) {
            let piece = word(&secret[at..]);
            if piece != 0 {
                let bit = hash(piece);
                self.filter[bit >> 6] |= 1 << (bit & 63);
                self.pieces.entry(piece).or_insert((number, at));
            }
        }
        self.secrets.push(secret.to_vec());
    }

    /// The secrets of which a piece is somewhere in these bytes: number, and where the piece is. A secret may come several
    /// times.
    #[must_use]
    pub fn pieces_in(&self, bytes: &[u8]) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        self.each_piece(bytes, |number, _, at| found.push((number, at)));
        found
    }

    /// The secrets that are somewhere in these bytes, whole.
    #[must_use]
    pub fn whole_in(&self, bytes: &[u8]) -> Vec<usize> {
        let mut found = Vec::new();
        self.each_piece(bytes, |number, offset, at| {
            let secret = &self.secrets[number];
            let begin = at.checked_sub(offset);
            if begin.and_then(|begin| bytes.get(begin..begin + secret.len())) == Some(secret) {
                found.push(number);
            }
        });
        found.sort_unstable();
        found.dedup();
        found
    }

    fn each_piece(&self, bytes: &[u8], mut found: impl FnMut(usize, usize, usize)) {
        for (at, window) in bytes.windows(PIECE).enumerate() {
            let piece = word(window);
            let bit = hash(piece);
            if piece != 0
                && self.filter[bit >> 6] >> (bit & 63) & 1 == 1
                && let Some((number, offset)) = self.pieces.get(&piece)
            {
                found(usize::try_from(*number).unwrap(), *offset, at);
            }
        }
    }
}

fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(*bytes.first_chunk().unwrap())
}

fn hash(piece: u64) -> usize {
    usize::try_from(piece.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - FILTER_BITS)).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_secrets_and_pieces_of_them_are_found_wherever_they_are() {
        let secrets: Vec<Vec<u8>> = [12, 16, 32, 66]
            .map(|length: u8| -> Vec<u8> { (1..=length).map(|byte| byte ^ length).collect() })
            .into();
        let needles = Needles::of(secrets.iter().map(Vec::as_slice));
        for (number, secret) in secrets.iter().enumerate() {
            for before in [0, 1, 7, 1000] {
                let mut bytes = vec![0xee; before];
                bytes.extend_from_slice(secret);
                bytes.push(0xee);
                assert_eq!(needles.whole_in(&bytes), [number]);
                // What an allocator leaves of a block.
                let kept = before + secret.len() - PIECE;
                bytes[..kept].fill(0);
                assert_eq!(needles.pieces_in(&bytes), [(number, kept)]);
                assert!(needles.whole_in(&bytes).is_empty());
            }
        }
        assert!(needles.pieces_in(&[0; 100]).is_empty() && needles.pieces_in(&[1; 100]).is_empty());
    }
}
