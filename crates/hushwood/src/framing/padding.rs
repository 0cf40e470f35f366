//! RFC 9420 §6.3.1, §15.1: padding, so that the length of a message says less about it.

use hushwood_codec::MAX_VECTOR_LENGTH;
use hushwood_crypto::Aead;
use subtle::ConstantTimeEq;

use crate::error::{ApiMisuse, Error, Violation};
use crate::policy::Padding;

impl Padding {
    /// How long a plaintext of `length` bytes is made with zeros. The ciphertext never becomes longer
    /// than a vector can be, which is far below what the suites' AEADs encrypt at once (C091).
    ///
    /// # Errors
    /// [`ApiMisuse::TooLong`] if the plaintext alone is too long.
    pub fn padded_length(self, length: usize, aead: &dyn Aead) -> Result<usize, Error> {
        let limit = MAX_VECTOR_LENGTH.saturating_sub(aead.tag_length());
        // RFC 9420 §6.3.1, §15.1, C091, C404: within the limits, padding included.
        if length > limit {
            return Err(ApiMisuse::TooLong.into());
        }
        let padded = match self {
            Self::None => length,
            Self::Block(block) => usize::try_from(block).map_or(length, |block| multiple(length, block)),
            Self::Padme => padme(length),
        };
        Ok(padded.min(limit))
    }
}

fn multiple(length: usize, block: usize) -> usize {
    length.checked_next_multiple_of(block).unwrap_or(length)
}

/// Padmé: the length as a floating-point number whose mantissa is no longer than its exponent, rounded
/// up. (Nikitin, Barman, Lueks, Underwood, Hubaux, Ford: Reducing Metadata Leakage from Encrypted Files
/// and Communication with PURBs, 2019.)
fn padme(length: usize) -> usize {
    let Some(exponent) = length.checked_ilog2() else { return length };
    let Some(mantissa) = exponent.checked_ilog2().map(|bits| bits.saturating_add(1)) else { return length };
    let zero_bits = exponent.saturating_sub(mantissa);
    multiple(length, 1_usize.checked_shl(zero_bits).unwrap_or(1))
}

/// Checks that padding is all zeros, in time that depends on its length only.
///
/// # Errors
/// [`Violation::Padding`].
pub(super) fn check_padding(padding: &[u8]) -> Result<(), Error> {
    let bits = padding.iter().fold(0_u8, |bits, byte| bits | byte);
    // RFC 9420 §6.3.1, C084: no non-zero bytes, or padding would be a covert channel.
    if !bool::from(bits.ct_eq(&0)) {
        return Err(Violation::Padding.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padme_lengths_are_those_of_the_paper() {
        // Up to 8 bytes, and every power of two, stay as they are; then the steps grow.
        let expected = [(0, 0), (1, 1), (7, 7), (8, 8), (9, 10), (15, 16), (16, 16), (17, 18), (100, 104)];
        for (length, padded) in expected {
            assert_eq!(padme(length), padded, "length {length}");
        }
        assert_eq!(padme(1_000_000), 1_015_808);
    }

    #[test]
    fn padme_never_shrinks_and_adds_at_most_an_eighth() {
        for length in (1..100_000).chain((1 << 29)..(1 << 29) + 1000) {
            let padded = padme(length);
            assert!(padded >= length && (padded - length) * 8 <= length, "length {length}");
            assert_eq!(padme(padded), padded, "a padded length is its own padded length");
        }
    }

    #[test]
    fn blocks_are_filled_and_no_block_is_no_padding() {
        assert_eq!([0, 1, 31, 32, 33].map(|length| multiple(length, 32)), [0, 32, 32, 32, 64]);
        assert_eq!(multiple(5, 0), 5);
    }

    #[test]
    fn padding_must_be_zero_in_every_byte_and_bit() {
        assert_eq!(check_padding(&[]), Ok(()));
        assert_eq!(check_padding(&[0; 100]), Ok(()));
        for bit in 0..800 {
            let mut padding = [0; 100];
            padding[bit / 8] = 1 << (bit % 8);
            assert_eq!(check_padding(&padding), Err(Violation::Padding.into()));
        }
    }
}
