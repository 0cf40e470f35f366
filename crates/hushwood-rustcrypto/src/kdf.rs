//! RFC 5869, RFC 2104: HKDF and HMAC.

use std::marker::PhantomData;

use hmac::digest::Output;
use hmac::digest::common::Key;
use hmac::{EagerHash, Hmac, KeyInit, Mac};
use hushwood_crypto::{CryptoError, Digest, Kdf, Secret};
use zeroize::Zeroizing;

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
    Output<Hmac<D>>: Into<[u8; N]>,
    Digest: From<[u8; N]>,
{
    fn id(&self) -> u16 {
        self.id
    }

    fn length(&self) -> usize {
        N
    }

    fn extract(&self, salt: &[u8], ikm: &[&[u8]]) -> Secret {
        Secret::copy_of(finish(keyed::<D>(salt), ikm).as_slice())
    }

    fn expand(&self, prk: &[u8], info: &[&[u8]], length: usize) -> Result<Secret, CryptoError> {
        expand::<D, N>(&keyed(prk), info, length)
    }

    fn expand_all(&self, prk: &[u8], outputs: &[(&[u8], usize)]) -> Result<Vec<Secret>, CryptoError> {
        let keyed = keyed::<D>(prk);
        outputs.iter().map(|(info, length)| expand::<D, N>(&keyed, &[info], *length)).collect()
    }

    fn mac(&self, key: &[u8], data: &[&[u8]]) -> Digest {
        Digest::from(*finish(keyed::<D>(key), data))
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
) -> Result<Secret, CryptoError>
where
    Output<Hmac<D>>: Into<[u8; N]>,
{
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
        previous = finish(mac, &[&[counter]]);
        block.iter_mut().zip(previous.iter()).for_each(|(to, from)| *to = *from);
    }
    Ok(okm)
}

fn finish<D: EagerHash, const N: usize>(mut mac: Hmac<D>, data: &[&[u8]]) -> Zeroizing<[u8; N]>
where
    Output<Hmac<D>>: Into<[u8; N]>,
{
    data.iter().for_each(|part| mac.update(part));
    Zeroizing::new(mac.finalize().into_bytes().into())
}
