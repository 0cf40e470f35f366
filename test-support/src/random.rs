//! Sources of randomness for tests.

use hushwood_crypto::{CryptoError, Random};
use sha2::{Digest, Sha512};

/// Bytes that depend on the seed alone.
#[derive(Clone, Debug)]
pub struct SeededRandom {
    seed: u64,
    counter: u64,
}

impl SeededRandom {
    /// A source with this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, counter: 0 }
    }

    /// A source of its own, that depends on what was drawn before.
    pub fn fork(&mut self) -> Self {
        Self::new(self.number())
    }

    /// A number.
    pub fn number(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes(8).try_into().expect("eight bytes"))
    }

    /// `length` bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.write(&mut bytes);
        bytes
    }

    /// Where the bytes are to be, and nowhere else on the heap: some will be secrets.
    fn write(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(64) {
            let block = Sha512::new()
                .chain_update(self.seed.to_le_bytes())
                .chain_update(self.counter.to_le_bytes())
                .finalize();
            chunk.copy_from_slice(&block[..chunk.len()]);
            self.counter += 1;
        }
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.number() % u64::try_from(end).expect("small")).expect("small")
    }

    /// Up to `most` bytes.
    pub fn some_bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.below(most + 1);
        self.bytes(length)
    }
}

impl Random for SeededRandom {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CryptoError> {
        self.write(bytes);
        Ok(())
    }
}

/// Gives out bytes that were put in, and fails when they are used up.
#[derive(Clone, Debug)]
pub struct FixedRandom(pub Vec<u8>);

impl Random for FixedRandom {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CryptoError> {
        if bytes.len() > self.0.len() {
            return Err(CryptoError::Random);
        }
        let rest = self.0.split_off(bytes.len());
        bytes.copy_from_slice(&self.0);
        self.0 = rest;
        Ok(())
    }
}

/// Fills half of what it is asked for, then fails: what it leaves must not be used.
#[derive(Clone, Copy, Debug)]
pub struct BrokenRandom;

impl Random for BrokenRandom {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CryptoError> {
        let half = bytes.len() / 2;
        bytes[..half].fill(0xaa);
        Err(CryptoError::Random)
    }
}
