//! A device's word that another device is of the same person, for all who meet that one in groups.
//!
//! Pins know devices. Of a device that was never seen, nothing shows whose it is but its name, which anybody can write. So a
//! device that was linked carries in its leaf what the one that has linked it has signed: whoever knows that one knows
//! this one (RFC 9750 §8.4.3 leaves to applications how they come to trust).

use std::collections::BTreeMap;

use hushwood::extension::{ExtensionType, Extensions};
use hushwood::tree::LeafNode;
use hushwood_codec::{Decode, Encode, wire_struct};
use hushwood_crypto::{CipherSuite, SignaturePublicKey, Signer, sign_with_label, verify_with_label};

use crate::error::Error;

/// The extension of leaves that holds a [`Voucher`], from the range for private use. Leaves that have it list it in their
/// capabilities (RFC 9420 §7.2).
pub(crate) const VOUCHER: ExtensionType = ExtensionType(0xF0D2);

wire_struct! {
    /// What a device that is known has signed for another of the same person.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub(crate) struct Voucher {
        pub(crate) version: u8,
        /// The device that has signed.
        pub(crate) device: [u8; 16],
        /// `SignWithLabel(., "hushwood device 1", DeviceWord)` with its key for groups.
        pub(crate) signature: Vec<u8>,
    }
}

wire_struct! {
    /// What is signed: that this key is of this device of this person, with this service.
    pub(crate) struct DeviceWord {
        pub(crate) service: Vec<u8>,
        pub(crate) person: Vec<u8>,
        pub(crate) device: [u8; 16],
        pub(crate) key: Vec<u8>,
    }
}

const LABEL: &str = "hushwood device 1";

/// The vouchers of leaves that are judged, by the keys of these.
pub(crate) type Vouchers = BTreeMap<SignaturePublicKey, Voucher>;

impl DeviceWord {
    pub(crate) fn sign(&self, signer: &dyn Signer) -> Result<Vec<u8>, Error> {
        let content = self.to_bytes().map_err(hushwood::error::Error::from)?;
        Ok(sign_with_label(signer, LABEL, &content).map_err(hushwood::error::Error::from)?)
    }

    pub(crate) fn is_signed(
        &self,
        suite: &dyn CipherSuite,
        key: &SignaturePublicKey,
        signature: &[u8],
    ) -> bool {
        self.to_bytes().is_ok_and(|content| verify_with_label(suite, key, LABEL, &content, signature).is_ok())
    }
}

/// The voucher in a leaf's extensions, if there is one that can be read.
pub(crate) fn voucher_in(extensions: &Extensions) -> Option<Voucher> {
    let extension = extensions.get(VOUCHER)?;
    Voucher::from_bytes(&extension.extension_data).ok().filter(|voucher| voucher.version == 1)
}

/// The vouchers of these leaves.
pub(crate) fn vouchers<'a>(leaves: impl IntoIterator<Item = &'a LeafNode>) -> Vouchers {
    let each = leaves.into_iter().filter_map(|leaf| {
        let voucher = voucher_in(&leaf.extensions)?;
        Some((leaf.signature_key.clone(), voucher))
    });
    each.collect()
}
