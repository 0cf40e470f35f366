//! RFC 7748 §5: X448.

use crrl::x448::{x448, x448_base};
use hushwood_crypto::dhkem::DiffieHellman;
use hushwood_crypto::{CryptoError, Secret};
use zeroize::Zeroizing;

pub(crate) struct X448;

impl DiffieHellman for X448 {
    fn public_key(&self, private: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Ok(x448_base(&*scalar(private)?).to_vec())
    }

    fn agree(&self, private: &[u8], public: &[u8]) -> Result<Secret, CryptoError> {
        let public = <&[u8; 56]>::try_from(public).map_err(|_| CryptoError::PublicKey)?;
        let shared = Zeroizing::new(x448(public, &*scalar(private)?));
        Ok(Secret::copy_of(shared.as_slice()))
    }

    fn check_point(&self, _: &[u8]) -> Result<(), CryptoError> {
        Ok(())
    }
}

fn scalar(private: &[u8]) -> Result<Zeroizing<[u8; 56]>, CryptoError> {
    <[u8; 56]>::try_from(private).map(Zeroizing::new).map_err(|_| CryptoError::PrivateKey)
}
