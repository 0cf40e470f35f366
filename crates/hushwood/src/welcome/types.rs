//! RFC 9420 §12.4.3: the structures that let a client join.

use hushwood_codec::{Decode, DecodeError, Encode, EncodeError, Reader, Writer, wire_struct};
use hushwood_crypto::hpke::HpkeCiphertext;
use hushwood_crypto::{CipherSuiteId, HashReference, Secret};

use crate::extension::Extensions;
use crate::schedule::{GroupContext, PreSharedKeyId};
use crate::tree::LeafIndex;

wire_struct! {
    /// `GroupInfo`: the public state of a group in one epoch, signed by a member.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct GroupInfo {
        /// The group context.
        pub group_context: GroupContext,
        /// What helps a joiner: the tree, the external key.
        pub extensions: Extensions,
        /// The confirmation tag of the commit that began the epoch.
        pub confirmation_tag: Vec<u8>,
        /// The member that signed.
        pub signer: LeafIndex,
        /// `SignWithLabel(., "GroupInfoTBS", GroupInfoTBS)`.
        pub signature: Vec<u8>,
    }
}

impl GroupInfo {
    /// Bytes in which its encoding fits, or mostly: a tree makes it megabytes long.
    pub(crate) fn room(&self) -> usize {
        let extensions = self.extensions.iter().chain(self.group_context.extensions.iter());
        extensions.fold(1024, |room, extension| room.saturating_add(extension.extension_data.len()))
    }

    /// The encoded `GroupInfoTBS`.
    pub(crate) fn encode_tbs(&self, writer: &mut Writer) {
        writer.value(&self.group_context).value(&self.extensions);
        writer.opaque(&self.confirmation_tag).value(&self.signer);
    }
}

wire_struct! {
    /// `EncryptedGroupSecrets`: the secrets for one joiner.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct EncryptedGroupSecrets {
        /// The joiner's KeyPackage.
        pub new_member: HashReference,
        /// `GroupSecrets`, encrypted to its init key.
        pub encrypted_group_secrets: HpkeCiphertext,
    }
}

wire_struct! {
    /// `Welcome`: the state of a group for one or many joiners.
    #[derive(Clone, Debug, Eq, PartialEq)]
    pub struct Welcome {
        /// The group's suite.
        pub cipher_suite: CipherSuiteId,
        /// One entry for each joiner.
        pub secrets: Vec<EncryptedGroupSecrets>,
        /// The `GroupInfo`, encrypted under the welcome key.
        pub encrypted_group_info: Vec<u8>,
    }
}

/// `GroupSecrets`: what a joiner needs to compute the epoch's keys. Erased when dropped.
#[derive(Debug)]
pub struct GroupSecrets {
    /// What the epoch's secrets come from.
    pub joiner_secret: Secret,
    /// The path secret of the lowest common ancestor of joiner and committer; present iff the commit
    /// had a path.
    pub path_secret: Option<Secret>,
    /// The pre-shared keys that the commit injects, in their order.
    pub psks: Vec<PreSharedKeyId>,
}

impl GroupSecrets {
    /// The encoding, to be encrypted; erased when dropped.
    pub(crate) fn to_secret(&self) -> Result<Secret, EncodeError> {
        let psks = self.psks.to_bytes()?;
        let path_secret = self.path_secret.as_ref().map_or(0, Secret::len);
        // With room for all, nothing is left behind where a growing buffer was.
        let length = self.joiner_secret.len().saturating_add(path_secret).saturating_add(psks.len());
        let mut writer = Writer::with_capacity(length.saturating_add(16));
        self.encode(&mut writer);
        Ok(Secret::new(writer.finish()?))
    }
}

impl Encode for GroupSecrets {
    fn encode(&self, writer: &mut Writer) {
        writer.value(&self.joiner_secret).value(&self.path_secret).value(&self.psks);
    }
}

impl Decode for GroupSecrets {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let joiner_secret = Secret::copy_of(reader.field("GroupSecrets.joiner_secret").opaque()?);
        let path_secret = match u8::decode(reader.field("GroupSecrets.path_secret"))? {
            0 => None,
            1 => Some(Secret::copy_of(reader.opaque()?)),
            _ => return Err(reader.error(hushwood_codec::DecodeErrorKind::PresenceOctet)),
        };
        let psks = Vec::decode(reader.field("GroupSecrets.psks"))?;
        Ok(Self { joiner_secret, path_secret, psks })
    }
}
