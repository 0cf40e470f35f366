//! RFC 9420 §13.4: extensions, and the five that the RFC defines.

pub mod support;

use hushwood_codec::{
    Decode, DecodeError, DecodeErrorKind, Encode, Reader, Writer, wire_registry, wire_struct,
};
use hushwood_crypto::{HpkePublicKey, SignaturePublicKey};

use crate::credential::{Claim, Credential, CredentialType};
use crate::error::Error;
use crate::proposal::ProposalType;

wire_registry! {
    /// A value of the "MLS Extension Types" registry (RFC 9420 §17.3).
    pub struct ExtensionType {
        /// A name the application gives a member, not authenticated (§5.3.3). In leaves.
        APPLICATION_ID = 1 "application_id",
        /// The whole tree (§12.4.3.3). In a GroupInfo.
        RATCHET_TREE = 2 "ratchet_tree",
        /// What every member must support (§11.1). In the group context.
        REQUIRED_CAPABILITIES = 3 "required_capabilities",
        /// The key for external commits (§12.4.3.2). In a GroupInfo.
        EXTERNAL_PUB = 4 "external_pub",
        /// Who may propose from outside (§12.1.8.1). In the group context.
        EXTERNAL_SENDERS = 5 "external_senders",
        /// Marks a KeyPackage of last resort, as OpenMLS and mls-rs write it (draft-ietf-mls-extensions).
        LAST_RESORT_KEY_PACKAGE = 10 "last_resort_key_package",
    }
}

impl ExtensionType {
    /// True for the types that every client has and that capabilities must not list (RFC 9420 §7.2).
    #[must_use]
    pub fn is_default(self) -> bool {
        (Self::APPLICATION_ID..=Self::EXTERNAL_SENDERS).contains(&self)
    }
}

wire_struct! {
    /// `Extension`.
    #[derive(Clone, Debug, Eq, Hash, PartialEq)]
    pub struct Extension {
        /// Its type.
        pub extension_type: ExtensionType,
        /// Its content, in the format of the type.
        pub extension_data: Vec<u8>,
    }
}

/// `Extension extensions<V>`: at most one of each type (RFC 9420 §13.4, C349).
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Extensions(Vec<Extension>);

impl Extensions {
    /// No extensions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The extension of this type.
    #[must_use]
    pub fn get(&self, extension_type: ExtensionType) -> Option<&Extension> {
        self.0.iter().find(|extension| extension.extension_type == extension_type)
    }

    /// Adds an extension, in place of the one of its type if there is one.
    pub fn set(&mut self, extension_type: ExtensionType, extension_data: Vec<u8>) {
        let extension = Extension { extension_type, extension_data };
        match self.0.iter_mut().find(|e| e.extension_type == extension_type) {
            Some(old) => *old = extension,
            None => self.0.push(extension),
        }
    }

    /// Removes the extension of this type.
    pub fn remove(&mut self, extension_type: ExtensionType) {
        self.0.retain(|extension| extension.extension_type != extension_type);
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Extension> {
        self.0.iter()
    }

    /// The `required_capabilities` extension (RFC 9420 §11.1).
    ///
    /// # Errors
    /// [`Error::Decode`] if its content is malformed.
    pub fn required_capabilities(&self) -> Result<Option<RequiredCapabilities>, Error> {
        self.parse(ExtensionType::REQUIRED_CAPABILITIES)
    }

    /// The `external_senders` extension (RFC 9420 §12.1.8.1).
    ///
    /// # Errors
    /// [`Error::Decode`] if its content is malformed.
    pub fn external_senders(&self) -> Result<Vec<ExternalSender>, Error> {
        Ok(self.parse(ExtensionType::EXTERNAL_SENDERS)?.unwrap_or_default())
    }

    /// The `external_pub` extension (RFC 9420 §12.4.3.2).
    ///
    /// # Errors
    /// [`Error::Decode`] if its content is malformed.
    pub fn external_pub(&self) -> Result<Option<HpkePublicKey>, Error> {
        self.parse(ExtensionType::EXTERNAL_PUB)
    }

    // C013: bytes behind the value are refused.
    fn parse<T: Decode>(&self, extension_type: ExtensionType) -> Result<Option<T>, Error> {
        let data = self.get(extension_type).map(|extension| T::from_bytes(&extension.extension_data));
        Ok(data.transpose()?)
    }
}

impl FromIterator<Extension> for Extensions {
    /// A later extension takes the place of an earlier one of its type.
    fn from_iter<I: IntoIterator<Item = Extension>>(iter: I) -> Self {
        let mut extensions = Self::new();
        for extension in iter {
            extensions.set(extension.extension_type, extension.extension_data);
        }
        extensions
    }
}

impl Encode for Extensions {
    fn encode(&self, writer: &mut Writer) {
        self.0.encode(writer);
    }
}

impl Decode for Extensions {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut extensions = Vec::<Extension>::new();
        let mut types = std::collections::BTreeSet::new();
        reader.for_each(|reader, extension: Extension| {
            // RFC 9420 §13.4, C349: at most one extension of any type.
            if !types.insert(extension.extension_type) {
                return Err(reader.error(DecodeErrorKind::Duplicate));
            }
            extensions.push(extension);
            Ok(())
        })?;
        Ok(Self(extensions))
    }
}

wire_struct! {
    /// `RequiredCapabilities` (RFC 9420 §11.1): what every member's capabilities must list.
    #[derive(Clone, Debug, Default, Eq, PartialEq)]
    pub struct RequiredCapabilities {
        /// Extension types; the default ones are implied.
        pub extension_types: Vec<ExtensionType>,
        /// Proposal types; the default ones are implied.
        pub proposal_types: Vec<ProposalType>,
        /// Credential types; none is implied.
        pub credential_types: Vec<CredentialType>,
    }
}

wire_struct! {
    /// `ExternalSender` (RFC 9420 §12.1.8.1): somebody outside the group who may propose.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct ExternalSender {
        /// The key its proposals are signed with.
        pub signature_key: SignaturePublicKey,
        /// Who it is.
        pub credential: Credential,
    }
}

impl From<ExternalSender> for Claim {
    fn from(sender: ExternalSender) -> Self {
        Self { credential: sender.credential, signature_key: sender.signature_key }
    }
}
