//! RFC 9420 §13.5: GREASE.
//!
//! Values that nobody supports, sent so that clients which refuse what they do not know are noticed
//! early. They are only ever sent: nothing here is used on what was received (C388).

use hushwood_crypto::Random;

use crate::error::Error;
use crate::extension::{Extension, ExtensionType, Extensions};

/// Random ones of the values reserved for GREASE in every registry, drawn together: each call of the operating system's
/// generator takes half a microsecond.
///
/// # Errors
/// [`Error::Crypto`] if the randomness fails.
pub(crate) fn values<const N: usize>(random: &mut dyn Random) -> Result<[u16; N], Error> {
    Ok(random.array()?.map(value))
}

/// The value that a random byte stands for.
fn value(byte: u8) -> u16 {
    // 0x0A0A, 0x1A1A, ... 0xEAEA: fifteen values. 256 is not a multiple of 15; nothing depends on it.
    let half = (u16::from(byte) % 15) << 4 | 0x0A;
    half << 8 | half
}

/// True for the values that [`values`] gives: to leave them out where our own leaf is read back.
pub(crate) fn is_grease(value: u16) -> bool {
    let [high, low] = value.to_be_bytes();
    high == low && high & 0x0F == 0x0A && value != 0xFAFA
}

/// An extension of a GREASE type with a few random bytes, for a KeyPackage, leaf or GroupInfo
/// (C208, C348, C386). In a group context it would be refused (C387).
///
/// # Errors
/// [`Error::Crypto`] if the randomness fails.
pub(crate) fn extension(random: &mut dyn Random) -> Result<Extension, Error> {
    let [extension_type, length, data @ ..]: [u8; 18] = random.array()?;
    let extension_data = data.into_iter().take(usize::from(length % 16)).collect();
    Ok(Extension { extension_type: ExtensionType(value(extension_type)), extension_data })
}

/// Extensions of ours without GREASE.
pub(crate) fn without(extensions: &Extensions) -> Extensions {
    extensions.iter().filter(|extension| !is_grease(extension.extension_type.0)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use hushwood_crypto::CryptoError;

    use super::*;

    struct Counter(u8);

    impl Random for Counter {
        fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CryptoError> {
            for byte in bytes {
                *byte = self.0;
                self.0 = self.0.wrapping_add(1);
            }
            Ok(())
        }
    }

    #[test]
    fn values_are_the_fifteen_of_the_rfc_and_none_for_private_use() {
        let mut random = Counter(0);
        let values: BTreeSet<u16> = values::<256>(&mut random).unwrap().into();
        let listed: BTreeSet<u16> = (0..15).map(|i| 0x0A0A + i * 0x1010).collect();
        assert_eq!(values, listed);
    }
}
