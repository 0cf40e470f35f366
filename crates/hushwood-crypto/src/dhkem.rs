//! RFC 9180 §4.1, §7.1: a KEM made from a Diffie-Hellman group.
//!
//! Everything around the group's arithmetic is the same for all providers, so it is written once: which
//! encodings are allowed, how keys are derived, the shared secret that must not be zero. A provider gives
//! the arithmetic ([`DiffieHellman`]) and gets a [`Kem`].

use crate::ed25519::little_endian;
use crate::hpke::{dhkem_derive, dhkem_extract_and_expand};
use crate::{CryptoError, HpkePrivateKey, HpkePublicKey, Kdf, Kem, Random, Secret, ct_eq};

/// The arithmetic of one [`Group`].
///
/// Lengths of keys, the form of public keys, points of small order and results of zero are looked at by
/// [`Dhkem`], before or after.
pub trait DiffieHellman: Send + Sync {
    /// The serialised public key of a private key of the right length.
    ///
    /// # Errors
    /// [`CryptoError::PrivateKey`] if the scalar is zero or not below the group's order (NIST curves).
    fn public_key(&self, private: &[u8]) -> Result<Vec<u8>, CryptoError>;
    /// The Diffie-Hellman result, as RFC 9180 §7.1 has it: the x coordinate alone for NIST curves.
    ///
    /// # Errors
    /// [`CryptoError::PrivateKey`]; [`CryptoError::PublicKey`] for a point that is not on the curve.
    fn agree(&self, private: &[u8], public: &[u8]) -> Result<Secret, CryptoError>;
    /// [`public_key`](Self::public_key) and [`agree`](Self::agree) with the same private key, for those who can
    /// do both for less than each.
    ///
    /// # Errors
    /// Those of both.
    fn exchange(&self, private: &[u8], public: &[u8]) -> Result<(Vec<u8>, Secret), CryptoError> {
        Ok((self.public_key(private)?, self.agree(private, public)?))
    }
    /// Refuses points that are not on the curve. Every input is a point on X25519 and X448.
    ///
    /// # Errors
    /// [`CryptoError::PublicKey`].
    fn check_point(&self, public: &[u8]) -> Result<(), CryptoError>;
}

/// A Diffie-Hellman group of RFC 9180 §7.1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Group {
    /// DHKEM(P-256, HKDF-SHA256).
    P256,
    /// DHKEM(P-384, HKDF-SHA384).
    P384,
    /// DHKEM(P-521, HKDF-SHA512).
    P521,
    /// DHKEM(X25519, HKDF-SHA256).
    X25519,
    /// DHKEM(X448, HKDF-SHA512).
    X448,
}

/// A [`Kem`] over a Diffie-Hellman group.
pub struct Dhkem {
    group: Group,
    kdf: &'static dyn Kdf,
    arithmetic: &'static dyn DiffieHellman,
}

impl Dhkem {
    /// The KEM of `group` with the `kdf` that RFC 9180 §7.1 gives it.
    #[must_use]
    pub const fn new(group: Group, kdf: &'static dyn Kdf, arithmetic: &'static dyn DiffieHellman) -> Self {
        Self { group, kdf, arithmetic }
    }

    /// The group.
    #[must_use]
    pub fn group(&self) -> Group {
        self.group
    }

    /// The arithmetic it was made with.
    #[must_use]
    pub fn arithmetic(&self) -> &'static dyn DiffieHellman {
        self.arithmetic
    }

    /// `GenerateKeyPair()`, as RFC 9180 §4 suggests it: derived from fresh randomness of Nsk bytes.
    ///
    /// # Errors
    /// [`CryptoError::Random`].
    pub fn generate_key_pair(
        &self,
        random: &mut dyn Random,
    ) -> Result<(HpkePrivateKey, HpkePublicKey), CryptoError> {
        self.derive_key_pair(random.secret(self.private_key_length())?.expose())
    }

    /// `pk(skX)` and `DH(skX, pkY)`, for keys whose form has been checked.
    fn exchange(&self, private: &Secret, public: &[u8]) -> Result<(Vec<u8>, Secret), CryptoError> {
        let (own, dh) = self.arithmetic.exchange(private.expose(), public)?;
        // RFC 9180 §7.1.4, C034: a shared secret of zero aborts. (The NIST curves have no point that
        // would give the identity.)
        if self.group.is_montgomery() && ct_eq(dh.expose(), Secret::zero(dh.len()).expose()) {
            return Err(CryptoError::PublicKey);
        }
        Ok((own, dh))
    }

    fn extract_and_expand(&self, dh: &Secret, enc: &[u8], pk_rm: &[u8]) -> Result<Secret, CryptoError> {
        dhkem_extract_and_expand(self.kdf, self.id(), dh, &[enc, pk_rm], self.secret_length())
    }

    fn derive(&self, ikm: &[u8], label: &[u8], counter: &[u8]) -> Result<Secret, CryptoError> {
        dhkem_derive(self.kdf, self.id(), ikm, (label, counter), self.private_key_length())
    }

    /// The candidates of `DeriveKeyPair` for NIST curves (§7.1.3), until one is a private key.
    fn derive_by_rejection(&self, ikm: &[u8]) -> Result<(Secret, Vec<u8>), CryptoError> {
        for counter in 0..=u8::MAX {
            let mut candidate = self.derive(ikm, b"candidate", &[counter])?;
            if let Some(first) = candidate.expose_mut().first_mut() {
                *first &= self.group.bitmask();
            }
            match self.arithmetic.public_key(candidate.expose()) {
                Ok(public) => return Ok((candidate, public)),
                Err(CryptoError::PrivateKey) => {}
                Err(error) => return Err(error),
            }
        }
        Err(CryptoError::Provider)
    }
}

impl Kem for Dhkem {
    fn id(&self) -> u16 {
        self.group.row().0
    }

    fn secret_length(&self) -> usize {
        self.group.row().1
    }

    fn encapsulation_length(&self) -> usize {
        self.group.row().2
    }

    fn public_key_length(&self) -> usize {
        self.group.row().2
    }

    fn private_key_length(&self) -> usize {
        self.group.row().3
    }

    fn derive_key_pair(&self, ikm: &[u8]) -> Result<(HpkePrivateKey, HpkePublicKey), CryptoError> {
        let (private, public) = if self.group.is_montgomery() {
            let private = self.derive(ikm, b"sk", b"")?;
            let public = self.arithmetic.public_key(private.expose())?;
            (private, public)
        } else {
            self.derive_by_rejection(ikm)?
        };
        Ok((HpkePrivateKey(private), HpkePublicKey(public)))
    }

    fn encap(&self, key: &HpkePublicKey, random: &mut dyn Random) -> Result<(Secret, Vec<u8>), CryptoError> {
        self.group.check_form(&key.0)?;
        let ikm = random.secret(self.private_key_length())?;
        let ephemeral = match self.group.is_montgomery() {
            true => self.derive(ikm.expose(), b"sk", b"")?,
            false => self.derive_by_rejection(ikm.expose())?.0,
        };
        let (enc, dh) = self.exchange(&ephemeral, &key.0)?;
        Ok((self.extract_and_expand(&dh, &enc, &key.0)?, enc))
    }

    fn decap(&self, encapsulation: &[u8], key: &HpkePrivateKey) -> Result<Secret, CryptoError> {
        if key.0.len() != self.private_key_length() {
            return Err(CryptoError::PrivateKey);
        }
        // C034, C169: an encapsulation that is not allowed is no other error than a bad ciphertext.
        self.group.check_form(encapsulation).map_err(|_| CryptoError::Open)?;
        let (pk_rm, dh) = self.exchange(&key.0, encapsulation).map_err(|error| match error {
            CryptoError::PublicKey => CryptoError::Open,
            other => other,
        })?;
        self.extract_and_expand(&dh, encapsulation, &pk_rm)
    }

    fn public_key(&self, key: &HpkePrivateKey) -> Result<HpkePublicKey, CryptoError> {
        if key.0.len() != self.private_key_length() {
            return Err(CryptoError::PrivateKey);
        }
        self.arithmetic.public_key(key.0.expose()).map(HpkePublicKey)
    }

    fn check_public_key(&self, key: &HpkePublicKey) -> Result<(), CryptoError> {
        self.group.check_form(&key.0)?;
        self.arithmetic.check_point(&key.0)
    }
}

impl Group {
    /// The row of RFC 9180 §7.1, table 2: identifier, Nsecret, Npk (which is Nenc), Nsk.
    fn row(self) -> (u16, usize, usize, usize) {
        match self {
            Self::P256 => (0x0010, 32, 65, 32),
            Self::P384 => (0x0011, 48, 97, 48),
            Self::P521 => (0x0012, 64, 133, 66),
            Self::X25519 => (0x0020, 32, 32, 32),
            Self::X448 => (0x0021, 64, 56, 56),
        }
    }

    fn is_montgomery(self) -> bool {
        match self {
            Self::P256 | Self::P384 | Self::P521 => false,
            Self::X25519 | Self::X448 => true,
        }
    }

    /// The bits of a candidate's first byte that are kept (§7.1.3).
    fn bitmask(self) -> u8 {
        match self {
            Self::P521 => 0x01,
            Self::P256 | Self::P384 | Self::X25519 | Self::X448 => 0xff,
        }
    }

    /// Refuses public keys that are not uncompressed points (C032, C033), or that have small order, for
    /// which each shared secret would be zero (C034). Whether a point is on the curve is not looked at.
    ///
    /// # Errors
    /// [`CryptoError::PublicKey`].
    pub fn check_form(self, key: &[u8]) -> Result<(), CryptoError> {
        if key.len() != self.row().2 {
            return Err(CryptoError::PublicKey);
        }
        let allowed = match self {
            Self::P256 | Self::P384 | Self::P521 => key.first() == Some(&UNCOMPRESSED),
            Self::X25519 => !X25519_SMALL_ORDER.iter().any(|u| same_u(u, key, 0x7f)),
            Self::X448 => !X448_SMALL_ORDER.iter().any(|u| same_u(u, key, 0xff)),
        };
        if allowed { Ok(()) } else { Err(CryptoError::PublicKey) }
    }
}

/// Whether two u coordinates have the same bytes; of the last byte, the bits in `mask` count (RFC 7748
/// §5: X25519 ignores the top bit).
fn same_u(u: &[u8], key: &[u8], mask: u8) -> bool {
    match (u.split_last(), key.split_last()) {
        (Some((u_last, u)), Some((key_last, key))) => u == key && *u_last == key_last & mask,
        _ => false,
    }
}

/// First byte of an uncompressed point (SEC 1 §2.3.3).
const UNCOMPRESSED: u8 = 0x04;

/// The u coordinates of order 1, 2, 4 and 8 on Curve25519 and its twist: 0, 1, -1, two of order 8, and the
/// second encodings of 0 and 1.
const X25519_SMALL_ORDER: [[u8; 32]; 7] = [
    little_endian(0x00, 0x00, 0x00),
    little_endian(0x01, 0x00, 0x00),
    little_endian(0xec, 0xff, 0x7f),
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4,
        0x6a, //
        0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef,
        0x5b, //
        0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
    little_endian(0xed, 0xff, 0x7f),
    little_endian(0xee, 0xff, 0x7f),
];

/// The u coordinates of order 1, 2 and 4 on Curve448 and its twist: 0, 1, -1, and the second encodings of
/// 0 and 1. `p = 2^448 - 2^224 - 1`.
const X448_SMALL_ORDER: [[u8; 56]; 5] = [
    [0; 56],
    X448_ONE,
    X448_MINUS_ONE,
    X448_P,
    [
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, //
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, //
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, //
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    ],
];

const X448_ONE: [u8; 56] = {
    let mut bytes = [0; 56];
    bytes[0] = 1;
    bytes
};

const X448_P: [u8; 56] = {
    let mut bytes = [0xff; 56];
    bytes[28] = 0xfe;
    bytes
};

const X448_MINUS_ONE: [u8; 56] = {
    let mut bytes = X448_P;
    bytes[0] = 0xfe;
    bytes
};

#[cfg(test)]
mod tests {
    use curve25519_dalek::MontgomeryPoint;
    use curve25519_dalek::constants::EIGHT_TORSION;

    use super::*;

    #[test]
    fn the_small_order_list_of_x25519_is_what_eight_times_a_point_says() {
        for u in X25519_SMALL_ORDER {
            for top_bit in [0, 0x80] {
                let mut u = u;
                u[31] |= top_bit;
                let eight_times = MontgomeryPoint(u).mul_bits_be([true, false, false, false].into_iter());
                assert_eq!(eight_times.to_bytes(), [0; 32]);
                assert_eq!(Group::X25519.check_form(&u), Err(CryptoError::PublicKey));
            }
        }
        for torsion in EIGHT_TORSION {
            let u = torsion.to_montgomery().to_bytes();
            assert_eq!(Group::X25519.check_form(&u), Err(CryptoError::PublicKey));
        }
        assert_eq!(Group::X25519.check_form(&little_endian(9, 0, 0)), Ok(()));
    }

    #[test]
    fn public_keys_of_other_forms_are_refused() {
        for group in [Group::P256, Group::P384, Group::P521, Group::X25519, Group::X448] {
            let length = group.row().2;
            let mut key = vec![0x04; length];
            assert_eq!(group.check_form(&key), Ok(()));
            for other in [0, 1, length / 2, length - 1, length + 1, 2 * length] {
                assert_eq!(group.check_form(&vec![0x04; other]), Err(CryptoError::PublicKey));
            }
            if !group.is_montgomery() {
                // The identity, compressed and hybrid points.
                for first in [0, 2, 3, 5, 6, 7] {
                    key[0] = first;
                    assert_eq!(group.check_form(&key), Err(CryptoError::PublicKey));
                }
            }
        }
    }
}
