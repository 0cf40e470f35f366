//! FIPS 186-5, SP 800-56A: ECDSA and ECDH over the NIST curves.

use hushwood_crypto::dhkem::DiffieHellman;
use hushwood_crypto::ecdsa::EcdsaArithmetic;
use hushwood_crypto::{CryptoError, Secret};
use p256::ecdsa::signature::{Signer, Verifier};

/// The crates of the three curves have the same API; with types in place of traits it stays readable.
macro_rules! nist_curve {
    ($(#[$doc:meta])* $name:ident, $curve:ident) => {
        $(#[$doc])*
        pub(crate) struct $name;

        impl $name {
            fn private(bytes: &[u8]) -> Result<$curve::SecretKey, CryptoError> {
                $curve::SecretKey::from_slice(bytes).map_err(|_| CryptoError::PrivateKey)
            }

            fn public(bytes: &[u8]) -> Result<$curve::PublicKey, CryptoError> {
                $curve::PublicKey::from_sec1_bytes(bytes).map_err(|_| CryptoError::PublicKey)
            }
        }

        impl DiffieHellman for $name {
            fn public_key(&self, private: &[u8]) -> Result<Vec<u8>, CryptoError> {
                let public = Self::private(private)?.public_key();
                Ok($curve::Sec1Point::from(public).as_bytes().to_vec())
            }

            fn agree(&self, private: &[u8], public: &[u8]) -> Result<Secret, CryptoError> {
                let public = Self::public(public)?;
                let shared = Self::private(private)?.diffie_hellman(&public);
                Ok(Secret::copy_of(shared.raw_secret_bytes()))
            }

            fn check_point(&self, public: &[u8]) -> Result<(), CryptoError> {
                Self::public(public).map(|_| ())
            }
        }

        impl EcdsaArithmetic for $name {
            /// The nonce is derived from key and message (RFC 6979).
            fn sign(&self, private: &[u8], message: &[u8]) -> Result<Vec<u8>, CryptoError> {
                let key = $curve::ecdsa::SigningKey::from(Self::private(private)?);
                let signature: $curve::ecdsa::DerSignature =
                    key.try_sign(message).map_err(|_| CryptoError::Provider)?;
                Ok(signature.as_bytes().to_vec())
            }

            fn verify(&self, public: &[u8], message: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
                let key = $curve::ecdsa::VerifyingKey::from(Self::public(public)?);
                let signature = $curve::ecdsa::DerSignature::from_bytes(signature);
                let signature = signature.map_err(|_| CryptoError::Signature)?;
                key.verify(message, &signature).map_err(|_| CryptoError::Signature)
            }
        }
    };
}

nist_curve! {
    /// P-256, ECDSA with SHA-256.
    P256, p256
}

nist_curve! {
    /// P-384, ECDSA with SHA-384.
    P384, p384
}

nist_curve! {
    /// P-521, ECDSA with SHA-512.
    P521, p521
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6979, A.2.5 to A.2.7, message "sample": a nonce that is off by anything shows here.
    #[test]
    fn nonces_are_those_of_rfc_6979() {
        let cases: [(&dyn EcdsaArithmetic, [&str; 3]); 3] = [
            (
                &P256,
                [
                    "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
                    "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716",
                    "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
                ],
            ),
            (
                &P384,
                [
                    "6b9d3dad2e1b8c1c05b19875b6659f4de23c3b667bf297ba9aa47740787137d896d5724e4c70a825f872c9ea60d2edf5",
                    "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe46",
                    "99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8",
                ],
            ),
            (
                &P521,
                [
                    "00fad06daa62ba3b25d2fb40133da757205de67f5bb0018fee8c86e1b68c7e75caa896eb32f1f47c70855836a6d16fcc1466f6d8fbec67db89ec0c08b0e996b83538",
                    "00c328fafcbd79dd77850370c46325d987cb525569fb63c5d3bc53950e6d4c5f174e25a1ee9017b5d450606add152b534931d7d4e8455cc91f9b15bf05ec36e377fa",
                    "00617cce7cf5064806c467f678d3b4080d6f1cc50af26ca209417308281b68af282623eaa63e5b5c0723d8b8c37ff0777b1a20f8ccb1dccc43997f1ee0e44da4a67a",
                ],
            ),
        ];
        for (curve, case) in cases {
            let [private, r, s] = case.map(|digits| hex::decode(digits).unwrap());
            let signature = curve.sign(&private, b"sample").unwrap();
            assert_eq!(signature, der_sequence(&[der_integer(&r), der_integer(&s)].concat()));
        }
    }

    fn der_sequence(content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).unwrap();
        let header: &[u8] = if length < 0x80 { &[0x30, length] } else { &[0x30, 0x81, length] };
        [header, content].concat()
    }

    fn der_integer(number: &[u8]) -> Vec<u8> {
        let digits = &number[number.iter().position(|byte| *byte != 0).unwrap()..];
        let sign: &[u8] = if digits[0] < 0x80 { &[] } else { &[0] };
        let length = u8::try_from(sign.len() + digits.len()).unwrap();
        [&[0x02, length], sign, digits].concat()
    }
}
