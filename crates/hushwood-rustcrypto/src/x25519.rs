//! RFC 7748 §5: X25519.

use hushwood_crypto::dhkem::DiffieHellman;
use hushwood_crypto::{CryptoError, Secret};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

pub(crate) struct X25519;

impl DiffieHellman for X25519 {
    fn public_key(&self, private: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Ok(PublicKey::from(&secret(private)?).as_bytes().to_vec())
    }

    fn agree(&self, private: &[u8], public: &[u8]) -> Result<Secret, CryptoError> {
        let public = <[u8; 32]>::try_from(public).map_err(|_| CryptoError::PublicKey)?;
        let shared = secret(private)?.diffie_hellman(&PublicKey::from(public));
        Ok(Secret::copy_of(shared.as_bytes()))
    }

    fn check_point(&self, _: &[u8]) -> Result<(), CryptoError> {
        Ok(())
    }
}

fn secret(private: &[u8]) -> Result<StaticSecret, CryptoError> {
    let private = <[u8; 32]>::try_from(private).map(Zeroizing::new).map_err(|_| CryptoError::PrivateKey)?;
    Ok(StaticSecret::from(*private))
}
