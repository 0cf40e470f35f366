//! Randomness of the operating system, or of the browser with the feature `wasm-js`.

use hushwood_crypto::{CryptoError, Random};

/// The operating system's generator. It keeps no state and may be made anywhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsRandom;

impl Random for OsRandom {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CryptoError> {
        getrandom::fill(bytes).map_err(|_| CryptoError::Random)
    }
}
