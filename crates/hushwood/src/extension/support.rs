//! RFC 9420 §13.4, §17.3: which extension belongs where, and what a group context's must hold.

use hushwood_crypto::CipherSuite;

use crate::credential::Credential;
use crate::credential::x509::check_binding;
use crate::error::{Error, Violation};
use crate::extension::{ExtensionType, Extensions};

/// A list of extensions, by what it is part of: the "Message(s)" column of RFC 9420 §17.3.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ExtensionPlace {
    /// `LeafNode.extensions`.
    LeafNode,
    /// `KeyPackage.extensions`.
    KeyPackage,
    /// `GroupContext.extensions`, also as proposed by GroupContextExtensions and ReInit.
    GroupContext,
    /// `GroupInfo.extensions`.
    GroupInfo,
}

/// Checks that no extension of RFC 9420 is where it has no meaning. Types that the RFC does not define
/// may be anywhere.
///
/// # Errors
/// [`Violation::ExtensionMisplaced`].
pub fn check_placement(extensions: &Extensions, place: ExtensionPlace) -> Result<(), Violation> {
    // C375. Q: The RFC says where each extension belongs, not what a receiver does with one that is
    // elsewhere. A: It is refused everywhere: ignored, it could mean something to another member.
    let misplaced = |extension_type| match extension_type {
        ExtensionType::APPLICATION_ID => place != ExtensionPlace::LeafNode,
        ExtensionType::RATCHET_TREE | ExtensionType::EXTERNAL_PUB => place != ExtensionPlace::GroupInfo,
        ExtensionType::REQUIRED_CAPABILITIES | ExtensionType::EXTERNAL_SENDERS => {
            place != ExtensionPlace::GroupContext
        }
        _ => false,
    };
    match extensions.iter().any(|extension| misplaced(extension.extension_type)) {
        true => Err(Violation::ExtensionMisplaced),
        false => Ok(()),
    }
}

/// Checks extensions that are, or are to become, those of a group context, as far as they can be
/// checked without the members: placement and content.
///
/// # Errors
/// [`Violation::ExtensionMisplaced`], [`Violation::SignaturePublicKey`], [`Violation::X509`];
/// [`Error::Decode`] if the content of a known extension is malformed.
pub fn check_group_context(extensions: &Extensions, suite: &dyn CipherSuite) -> Result<(), Error> {
    check_placement(extensions, ExtensionPlace::GroupContext)?;
    extensions.required_capabilities()?;
    // RFC 9420 §12.1.8.1, C256, C036: each external sender's key is one of the group's scheme.
    for sender in extensions.external_senders()? {
        if suite.signature().check_public_key(&sender.signature_key).is_err() {
            return Err(Violation::SignaturePublicKey.into());
        }
        // RFC 9420 §5.3, C043, C256: a certificate is for that key.
        if let Credential::X509 { certificates } = &sender.credential
            && check_binding(certificates, &sender.signature_key).is_err()
        {
            return Err(Violation::X509.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_of_the_rfc_are_refused_outside_their_place() {
        use ExtensionPlace::{GroupContext, GroupInfo, KeyPackage, LeafNode};

        let homes = [LeafNode, GroupInfo, GroupContext, GroupInfo, GroupContext];
        for (value, home) in (1_u16..).zip(homes) {
            let mut extensions = Extensions::new();
            extensions.set(ExtensionType(0x0A0A), vec![]);
            extensions.set(ExtensionType(value), vec![]);
            for place in [LeafNode, KeyPackage, GroupContext, GroupInfo] {
                let want = if place == home { Ok(()) } else { Err(Violation::ExtensionMisplaced) };
                assert_eq!(check_placement(&extensions, place), want, "{value} in {place:?}");
            }
        }
    }

    #[test]
    fn unknown_extensions_are_accepted_everywhere() {
        let mut extensions = Extensions::new();
        for value in [0x000A, 0x0A0A, 0x1234, 0xF000] {
            extensions.set(ExtensionType(value), vec![1]);
        }
        for place in [ExtensionPlace::LeafNode, ExtensionPlace::KeyPackage, ExtensionPlace::GroupInfo] {
            assert_eq!(check_placement(&extensions, place), Ok(()));
        }
    }
}
