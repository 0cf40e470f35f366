//! RFC 6234: SHA-2.

use std::marker::PhantomData;

use hushwood_crypto::{Digest, Hash};
use sha2::digest::Output;

/// A hash function of `N` bytes of output.
pub struct Sha2<D, const N: usize>(PhantomData<fn() -> D>);

/// SHA-256.
pub static SHA256: Sha2<sha2::Sha256, 32> = Sha2(PhantomData);
/// SHA-384.
pub static SHA384: Sha2<sha2::Sha384, 48> = Sha2(PhantomData);
/// SHA-512.
pub static SHA512: Sha2<sha2::Sha512, 64> = Sha2(PhantomData);

impl<D, const N: usize> Hash for Sha2<D, N>
where
    D: sha2::Digest,
    Output<D>: Into<[u8; N]>,
    Digest: From<[u8; N]>,
{
    fn length(&self) -> usize {
        N
    }

    fn hash(&self, parts: &[&[u8]]) -> Digest {
        let mut hasher = D::new();
        parts.iter().for_each(|part| hasher.update(part));
        Digest::from(hasher.finalize().into())
    }
}
