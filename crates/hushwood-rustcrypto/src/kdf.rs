//! RFC 5869, RFC 2104: HKDF and HMAC.

use std::marker::PhantomData;

use hmac::digest::common::Key;
use hmac::digest::{FixedOutput, Output};
use hmac::{EagerHash, Hmac, KeyInit, Mac};
use hushwood_crypto::{CryptoError, Digest, Kdf, Secret};
use zeroize::Zeroizing;

use crate::stack::wipe_stack;

/// HKDF and HMAC over a hash of `N` bytes of output.
pub struct Hkdf<D, const N: usize> {
    id: u16,
    hash: PhantomData<fn() -> D>,
}

/// HKDF-SHA256 and HMAC-SHA256.
pub static HKDF_SHA256: Hkdf<sha2::Sha256, 32> = Hkdf { id: 0x0001, hash: PhantomData };
/// HKDF-SHA384 and HMAC-SHA384.
pub static HKDF_SHA384: Hkdf<sha2::Sha384, 48> = Hkdf { id: 0x0002, hash: PhantomData };
/// HKDF-SHA512 and HMAC-SHA512.
pub static HKDF_SHA512: Hkdf<sha2::Sha512, 64> = Hkdf { id: 0x0003, hash: PhantomData };

impl<D, const N: usize> Kdf for Hkdf<D, N>
where
    D: EagerHash + sha2::Digest,
    Digest: From<[u8; N]>,
{
    fn id(&self) -> u16 {
        self.id
    }

    fn length(&self) -> usize {
        N
    }

    fn extract(&self, salt: &[u8], ikm: &[&[u8]]) -> Secret {
        let mut secret = Secret::zero(N);
        finish(keyed::<D>(salt), ikm, secret.expose_mut());
        secret
    }

    fn expand(&self, prk: &[u8], info: &[&[u8]], length: usize) -> Result<Secret, CryptoError> {
        expand::<D, N>(&keyed(prk), info, length)
    }

    fn expand_all(&self, prk: &[u8], outputs: &[(&[u8], usize)]) -> Result<Vec<Secret>, CryptoError> {
        let keyed = keyed::<D>(prk);
        outputs.iter().map(|(info, length)| expand::<D, N>(&keyed, &[info], *length)).collect()
    }

    fn mac(&self, key: &[u8], data: &[&[u8]]) -> Digest {
        let mut digest = [0; N];
        finish(keyed::<D>(key), data, &mut digest);
        Digest::from(digest)
    }
}

/// HMAC with its key: padded to the hash's block, or hashed if longer (RFC 2104 §2). Unlike
/// `new_from_slice`, this has no error that can't occur.
fn keyed<D: EagerHash + sha2::Digest>(key: &[u8]) -> Hmac<D> {
    let mut block = Zeroizing::new(Key::<Hmac<D>>::default());
    if key.len() <= block.len() {
        block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    } else {
        block.iter_mut().zip(D::digest(key)).for_each(|(to, from)| *to = from);
    }
    Hmac::new(&block)
}

/// RFC 5869 §2.3: `T(i) = HMAC(PRK, T(i - 1) || info || i)`.
fn expand<D: EagerHash, const N: usize>(
    keyed: &Hmac<D>,
    info: &[&[u8]],
    length: usize,
) -> Result<Secret, CryptoError> {
    if length.div_ceil(N) > 255 {
        return Err(CryptoError::Length);
    }
    let mut okm = Secret::zero(length);
    let mut previous = Zeroizing::new([0; N]);
    for (counter, block) in (1..=u8::MAX).zip(okm.expose_mut().chunks_mut(N)) {
        let mut mac = keyed.clone();
        if counter > 1 {
            mac.update(previous.as_slice());
        }
        info.iter().for_each(|part| mac.update(part));
        finish(mac, &[&[counter]], previous.as_mut_slice());
        block.iter_mut().zip(previous.iter()).for_each(|(to, from)| *to = *from);
    }
    Ok(okm)
}

/// Into the place where it is to be: a result that is returned leaves copies on the stack, and what is built there next may
/// carry them on to the heap, in the gaps between its fields.
fn finish<D: EagerHash>(mut mac: Hmac<D>, data: &[&[u8]], to: &mut [u8]) {
    data.iter().for_each(|part| mac.update(part));
    let mut output = Zeroizing::new(Output::<Hmac<D>>::default());
    mac.finalize_into(&mut output);
    to.iter_mut().zip(output.iter()).for_each(|(to, from)| *to = *from);
    wipe_stack::<1024>();
}
