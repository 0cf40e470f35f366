//! Values that must be erased (RFC 9420 §9.2) and values that must not be.

use std::fmt;

use hushwood_codec::{Encode, Writer};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Secret bytes: erased when dropped, not printable, not comparable but by [`ct_eq`](Self::ct_eq).
///
/// Types with a meaning (`PathSecret`, `JoinerSecret`) wrap it. It can't be cloned by accident: a copy
/// has to be asked for by [`duplicate`](Self::duplicate), whose uses can be searched for.
pub struct Secret(Vec<u8>);

impl Secret {
    /// Takes over bytes, in the memory they are in. That is never given back before it is erased whole: a `Vec` that
    /// grows or shrinks would leave a copy behind.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Copies bytes that somebody else erases.
    #[must_use]
    pub fn copy_of(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// `length` zero bytes: the `0` of RFC 9420 §8.
    #[must_use]
    pub fn zero(length: usize) -> Self {
        Self(vec![0; length])
    }

    /// The bytes. Keep the borrow short and copy nothing out of it.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, to be filled in place.
    #[must_use]
    pub fn expose_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// A second copy, for the few cases where two owners need one.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }

    /// Number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True for no bytes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Equality in time that depends on the lengths only (C415).
    #[must_use]
    pub fn ct_eq(&self, other: &Self) -> bool {
        ct_eq(&self.0, &other.0)
    }
}

/// As slices, which are erased many bytes at a time; a `Vec` is erased byte by byte.
impl Zeroize for Secret {
    fn zeroize(&mut self) {
        self.0.as_mut_slice().zeroize();
        self.0.spare_capacity_mut().zeroize();
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.zeroize();
    }
}

impl ZeroizeOnDrop for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Encoded as `opaque secret<V>`. Only for plaintexts that are erased after they have been sealed.
impl Encode for Secret {
    fn encode(&self, writer: &mut Writer) {
        writer.opaque(&self.0);
    }
}

/// The one comparison of secrets, tags and MACs: false for different lengths, and in time that depends
/// on the lengths only (C082, C415).
#[must_use]
pub fn ct_eq(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && bool::from(left.ct_eq(right))
}

/// The output of a hash or MAC: up to 64 bytes, kept inline.
///
/// Digests of public data compare with `==`; MACs are compared by [`ct_eq`].
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Digest {
    bytes: [u8; Self::MAX_LENGTH],
    length: u8,
}

impl Digest {
    /// The longest output of any suite's hash (SHA-512).
    pub const MAX_LENGTH: usize = 64;

    /// Copies a digest; `None` if it is longer than [`MAX_LENGTH`](Self::MAX_LENGTH).
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut digest = Self { bytes: [0; Self::MAX_LENGTH], length: u8::try_from(bytes.len()).ok()? };
        digest.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(digest)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

/// The digest of a hash whose output length is known to fit.
macro_rules! from_array {
    ($($length:literal),*) => {$(
        impl From<[u8; $length]> for Digest {
            fn from(array: [u8; $length]) -> Self {
                let mut bytes = [0; Self::MAX_LENGTH];
                bytes.iter_mut().zip(array).for_each(|(to, from)| *to = from);
                Self { bytes, length: $length }
            }
        }
    )*};
}

from_array!(32, 48, 64);

impl AsRef<[u8]> for Digest {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.as_bytes() {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// Encoded as `opaque digest<V>`.
impl Encode for Digest {
    fn encode(&self, writer: &mut Writer) {
        writer.opaque(self.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparison_is_false_for_every_other_length_and_every_flipped_bit() {
        let tag = [7_u8; 32];
        assert!(ct_eq(&tag, &tag));
        for length in [0, 1, 31, 33, 64] {
            assert!(!ct_eq(&tag, &vec![7; length]));
        }
        for bit in 0..256 {
            let mut other = tag;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!ct_eq(&tag, &other));
        }
    }

    #[test]
    fn secrets_print_nothing() {
        assert_eq!(format!("{:?}", Secret::new(vec![0xab; 4])), "Secret(..)");
    }

    #[test]
    fn digests_of_arrays_are_those_of_their_bytes() {
        assert_eq!(Digest::from([3; 32]), Digest::new(&[3; 32]).unwrap());
        assert_eq!(Digest::from([4; 48]), Digest::new(&[4; 48]).unwrap());
        assert_eq!(Digest::from([5; 64]), Digest::new(&[5; 64]).unwrap());
    }

    #[test]
    fn digests_longer_than_any_hash_are_refused() {
        assert_eq!(Digest::new(&[1; 64]).unwrap().as_bytes(), [1; 64]);
        assert!(Digest::new(&[1; 65]).is_none());
    }
}
