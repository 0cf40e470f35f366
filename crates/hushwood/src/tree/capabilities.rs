//! RFC 9420 §7.2, §11.1, §13: what clients support and what groups ask for.
//!
//! Three things that are easily mixed up have a type each: what this client really supports
//! ([`Supported`]), what a leaf says it supports ([`Capabilities`], with GREASE in it), and what a group
//! asks of every leaf ([`GroupParameters`]).

use std::collections::BTreeSet;

use hushwood_crypto::{CipherSuiteId, CryptoProvider, Random};

use crate::credential::CredentialType;
use crate::error::{ApiMisuse, Error, Unsupported, Violation};
use crate::extension::{ExtensionType, Extensions, RequiredCapabilities};
use crate::grease;
use crate::proposal::ProposalType;
use crate::tree::{Capabilities, RatchetTree};
use crate::version::ProtocolVersion;

/// What this client supports, and nothing else: no GREASE is ever in it (RFC 9420 §13.5, C390), so two
/// clients can't agree on a value that neither has.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Supported {
    /// Cipher suites, best first.
    pub suites: Vec<CipherSuiteId>,
    /// Extension types; the default ones are implied.
    pub extensions: Vec<ExtensionType>,
    /// Proposal types; the default ones are implied.
    pub proposals: Vec<ProposalType>,
    /// Credential types; none is implied.
    pub credentials: Vec<CredentialType>,
}

impl Supported {
    /// What the library supports with this provider: its suites, the last-resort marker, and basic
    /// credentials. Add what the application supports beyond that, such as [`CredentialType::X509`].
    #[must_use]
    pub fn new(provider: &CryptoProvider) -> Self {
        Self {
            suites: provider.suites.iter().map(|suite| suite.id()).collect(),
            extensions: vec![ExtensionType::LAST_RESORT_KEY_PACKAGE],
            proposals: Vec::new(),
            credentials: vec![CredentialType::BASIC],
        }
    }

    /// The same with this suite as the best: a group whose members could all have a better one is not created (C220).
    #[must_use]
    pub fn preferring(mut self, suite: CipherSuiteId) -> Self {
        self.suites.retain(|other| *other != suite);
        self.suites.insert(0, suite);
        self
    }

    /// True for an extension type that this client knows; the default types always are.
    #[must_use]
    pub fn supports_extension(&self, extension_type: ExtensionType) -> bool {
        self.capabilities().supports_extension(extension_type)
    }

    /// What a leaf of our own says that we support, without the GREASE that was put into it (C390).
    #[must_use]
    pub fn of(capabilities: &Capabilities) -> Self {
        let keep = |value: &u16| !grease::is_grease(*value);
        Self {
            suites: capabilities.cipher_suites.iter().copied().filter(|v| keep(&v.0)).collect(),
            extensions: capabilities.extensions.iter().copied().filter(|v| keep(&v.0)).collect(),
            proposals: capabilities.proposals.iter().copied().filter(|v| keep(&v.0)).collect(),
            credentials: capabilities.credentials.iter().copied().filter(|v| keep(&v.0)).collect(),
        }
    }

    /// True for a proposal type that this client knows; the default types always are.
    #[must_use]
    pub fn supports_proposal(&self, proposal_type: ProposalType) -> bool {
        self.capabilities().supports_proposal(proposal_type)
    }

    /// True for a credential type that this client can judge.
    #[must_use]
    pub fn supports_credential(&self, credential_type: CredentialType) -> bool {
        self.capabilities().supports_credential(credential_type)
    }

    /// The capabilities to put in a leaf: all that is supported (C104), without default types (C102),
    /// without GREASE, and without the reserved 0, which stands for nothing (RFC 9420 §17, C023).
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        Capabilities {
            versions: vec![ProtocolVersion::MLS10],
            cipher_suites: distinct(&self.suites, |value| value.0 == RESERVED),
            extensions: distinct(&self.extensions, |value| value.is_default() || value.0 == RESERVED),
            proposals: distinct(&self.proposals, |value| value.is_default() || value.0 == RESERVED),
            credentials: distinct(&self.credentials, |value| value.0 == RESERVED),
        }
    }

    /// The suite to create a group with: of those that this client and all these clients list, the one
    /// that this client prefers (RFC 9420 §11). `None` if they have none in common.
    pub fn best_suite<'a>(
        &self,
        clients: impl IntoIterator<Item = &'a Capabilities>,
    ) -> Option<CipherSuiteId> {
        let mut common: BTreeSet<CipherSuiteId> = self.suites.iter().copied().collect();
        for client in clients {
            let listed: BTreeSet<CipherSuiteId> = client.cipher_suites.iter().copied().collect();
            common.retain(|suite| listed.contains(suite));
        }
        self.suites.iter().copied().find(|suite| common.contains(suite))
    }

    /// Checks, when a group with these clients is created, that its suite is the best they could have:
    /// a KeyPackage shows one suite only, but its capabilities show whether somebody withheld a better.
    ///
    /// # Errors
    /// [`ApiMisuse::SuiteNotBest`].
    pub fn check_best_suite<'a>(
        &self,
        chosen: CipherSuiteId,
        clients: impl IntoIterator<Item = &'a Capabilities>,
    ) -> Result<(), ApiMisuse> {
        // RFC 9420 §10, §11, C220: version and suite are the most preferred that all clients support.
        match self.best_suite(clients) == Some(chosen) {
            true => Ok(()),
            false => Err(ApiMisuse::SuiteNotBest),
        }
    }

    /// Checks that this client can take part in a group with these parameters.
    ///
    /// # Errors
    /// [`Unsupported::ProtocolVersion`], [`Unsupported::CipherSuite`], [`Unsupported::GroupExtension`],
    /// [`Unsupported::RequiredCapability`].
    pub fn check_group(&self, group: &GroupParameters) -> Result<(), Unsupported> {
        // RFC 9420 §8.1, C162: version and suite are ones we have.
        if group.version != ProtocolVersion::MLS10 {
            return Err(Unsupported::ProtocolVersion);
        }
        if !self.suites.contains(&group.cipher_suite) {
            return Err(Unsupported::CipherSuite);
        }
        let own = self.capabilities();
        // RFC 9420 §13.4, C321, C363, C385: a client joins only if it supports every extension of the
        // group context. §17, C023: nobody supports one of the reserved type 0.
        if !lists_all(&own.extensions, &group.extension_types) {
            return Err(Unsupported::GroupExtension);
        }
        // RFC 9420 §11.1, C347, C363: and every required capability.
        let required = &group.required;
        let supported = lists_all(&own.extensions, &required.extension_types)
            && lists_all(&own.proposals, &required.proposal_types)
            && lists_all(&own.credentials, &required.credential_types);
        if !supported {
            return Err(Unsupported::RequiredCapability);
        }
        Ok(())
    }
}

impl GroupParameters {
    /// Checks that a change of the group asks for nothing that we lack ourselves. `own` is our leaf's
    /// capabilities: what others may take for support in them can be GREASE.
    ///
    /// # Errors
    /// [`Violation::CapabilitiesLackRequired`], [`Violation::ExtensionUnsupportedByMember`].
    pub(crate) fn check_own(&self, own: &Capabilities) -> Result<(), Violation> {
        // RFC 9420 §13.5, C388, C390: our own capabilities are those without GREASE.
        match Supported::of(own).check_group(self) {
            Ok(()) => Ok(()),
            Err(Unsupported::RequiredCapability) => Err(Violation::CapabilitiesLackRequired),
            Err(_) => Err(Violation::ExtensionUnsupportedByMember),
        }
    }
}

impl Capabilities {
    /// True if the leaf lists this protocol version.
    #[must_use]
    pub fn supports_version(&self, version: ProtocolVersion) -> bool {
        self.versions.contains(&version)
    }

    /// True if the leaf lists this suite.
    #[must_use]
    pub fn supports_suite(&self, suite: CipherSuiteId) -> bool {
        self.cipher_suites.contains(&suite)
    }

    /// True if the leaf lists this extension type, or if it is a default one.
    #[must_use]
    pub fn supports_extension(&self, extension_type: ExtensionType) -> bool {
        extension_type.is_default() || self.extensions.contains(&extension_type)
    }

    /// True if the leaf lists this proposal type, or if it is a default one.
    #[must_use]
    pub fn supports_proposal(&self, proposal_type: ProposalType) -> bool {
        proposal_type.is_default() || self.proposals.contains(&proposal_type)
    }

    /// True if the leaf lists this credential type.
    #[must_use]
    pub fn supports_credential(&self, credential_type: CredentialType) -> bool {
        self.credentials.contains(&credential_type)
    }

    /// True if a default type is listed, which no creator may do (C102).
    #[must_use]
    pub fn lists_default(&self) -> bool {
        self.extensions.iter().any(|value| value.is_default())
            || self.proposals.iter().any(|value| value.is_default())
    }

    /// Adds a random GREASE value to each list (RFC 9420 §7.2, §13.5; C109, C386).
    pub(crate) fn grease(&mut self, random: &mut dyn Random) -> Result<(), Error> {
        let [cipher_suite, extension, proposal, credential] = grease::values(random)?;
        self.cipher_suites.push(CipherSuiteId(cipher_suite));
        self.extensions.push(ExtensionType(extension));
        self.proposals.push(ProposalType(proposal));
        self.credentials.push(CredentialType(credential));
        Ok(())
    }

    /// Lists an extension type, unless it is there or need not be.
    pub(crate) fn list_extension(&mut self, extension_type: ExtensionType) {
        if !self.supports_extension(extension_type) {
            self.extensions.push(extension_type);
        }
    }

    /// True if every one of these extensions is of a default type or listed.
    pub(crate) fn lists_extensions(&self, extensions: &Extensions) -> bool {
        lists_all(&self.extensions, &non_default_types(extensions))
    }
}

/// What a group asks of every leaf, read once from its context (RFC 9420 §7.3, §11.1, §13.4).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GroupParameters {
    version: ProtocolVersion,
    cipher_suite: CipherSuiteId,
    required: RequiredCapabilities,
    /// The non-default types among the group's extensions.
    extension_types: Vec<ExtensionType>,
}

impl GroupParameters {
    /// Reads the parameters of a group with this version, suite and list of extensions.
    ///
    /// # Errors
    /// [`Error::Decode`] if the `required_capabilities` are malformed.
    pub fn new(
        version: ProtocolVersion,
        cipher_suite: CipherSuiteId,
        extensions: &Extensions,
    ) -> Result<Self, Error> {
        let required = extensions.required_capabilities()?.unwrap_or_default();
        // Default types are supported by all (C116, C117); doubles would only cost time.
        let required = RequiredCapabilities {
            extension_types: distinct(&required.extension_types, |value| value.is_default()),
            proposal_types: distinct(&required.proposal_types, |value| value.is_default()),
            credential_types: distinct(&required.credential_types, |_| false),
        };
        Ok(Self { version, cipher_suite, required, extension_types: non_default_types(extensions) })
    }

    /// The group's version.
    #[must_use]
    pub fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// The group's suite.
    #[must_use]
    pub fn cipher_suite(&self) -> CipherSuiteId {
        self.cipher_suite
    }

    /// What every member must list, without default types.
    #[must_use]
    pub fn required(&self) -> &RequiredCapabilities {
        &self.required
    }

    /// The non-default types among the group's extensions.
    #[must_use]
    pub fn extension_types(&self) -> &[ExtensionType] {
        &self.extension_types
    }

    /// Checks, in time that does not depend on how many members there are, that all of them support what
    /// the group has and requires, and each other's credentials. Version and suite are checked with each
    /// leaf, once.
    ///
    /// # Errors
    /// [`Violation::CapabilitiesLackRequired`], [`Violation::ExtensionUnsupportedByMember`],
    /// [`Violation::CapabilitiesLackCredential`].
    pub fn check_members(&self, tree: &RatchetTree) -> Result<(), Violation> {
        // RFC 9420 §11.1, §12.1.7, C116 to C118, C223, C251: required capabilities.
        let required =
            self.required.extension_types.iter().all(|value| tree.members_support_extension(*value))
                && self.required.proposal_types.iter().all(|value| tree.members_support_proposal(*value))
                && self.required.credential_types.iter().all(|value| tree.members_support_credential(*value));
        if !required {
            return Err(Violation::CapabilitiesLackRequired);
        }
        // RFC 9420 §13.4, C252, C384: the extensions of the group context.
        if !self.extension_types.iter().all(|value| tree.members_support_extension(*value)) {
            return Err(Violation::ExtensionUnsupportedByMember);
        }
        tree.check_credentials()
    }

    /// Checks a leaf's capabilities against the group.
    ///
    /// # Errors
    /// [`Violation::CapabilitiesLackGroup`], [`Violation::CapabilitiesLackRequired`],
    /// [`Violation::CapabilitiesLackExtension`].
    pub fn check(&self, capabilities: &Capabilities) -> Result<(), Violation> {
        // RFC 9420 §11.1, C105: at a minimum, all members support the group's version and suite.
        if !capabilities.supports_version(self.version) || !capabilities.supports_suite(self.cipher_suite) {
            return Err(Violation::CapabilitiesLackGroup);
        }
        // RFC 9420 §7.3, C116 to C118, C224: required capabilities are listed.
        let listed = lists_all(&capabilities.extensions, &self.required.extension_types)
            && lists_all(&capabilities.proposals, &self.required.proposal_types)
            && lists_all(&capabilities.credentials, &self.required.credential_types);
        if !listed {
            return Err(Violation::CapabilitiesLackRequired);
        }
        // RFC 9420 §13.4, C384: the extensions of the group context are listed.
        if !lists_all(&capabilities.extensions, &self.extension_types) {
            return Err(Violation::CapabilitiesLackExtension);
        }
        Ok(())
    }
}

impl RatchetTree {
    /// Checks that every member supports the credential types of all others.
    ///
    /// # Errors
    /// [`Violation::CapabilitiesLackCredential`].
    pub fn check_credentials(&self) -> Result<(), Violation> {
        // RFC 9420 §7.3, §13.3, C119, C120, C381: as both sides of a pair are members, it is the same
        // to ask of each type in use whether all support it.
        match self.credential_types_in_use().all(|value| self.members_support_credential(value)) {
            true => Ok(()),
            false => Err(Violation::CapabilitiesLackCredential),
        }
    }
}

/// The value 0 of every registry (RFC 9420 §17).
const RESERVED: u16 = 0;

/// The non-default types of these extensions. Each is there once: doubles are refused by the decoder.
fn non_default_types(extensions: &Extensions) -> Vec<ExtensionType> {
    extensions.iter().map(|extension| extension.extension_type).filter(|value| !value.is_default()).collect()
}

/// The values in their order, each once, without those that `is_implied`.
fn distinct<T: Copy + Ord>(values: &[T], is_implied: impl Fn(T) -> bool) -> Vec<T> {
    let mut seen = BTreeSet::new();
    values.iter().copied().filter(|value| !is_implied(*value) && seen.insert(*value)).collect()
}

/// True if `listed` has all of `wanted`, in time that two long lists from outside can't drive up.
fn lists_all<T: Copy + Ord>(listed: &[T], wanted: &[T]) -> bool {
    const SHORT: usize = 8;
    if listed.len() <= SHORT || wanted.len() <= SHORT {
        return wanted.iter().all(|value| listed.contains(value));
    }
    let listed: BTreeSet<T> = listed.iter().copied().collect();
    wanted.iter().all(|value| listed.contains(value))
}

#[cfg(test)]
mod tests {
    use test_support::assert_breaks;

    use super::*;

    const A: ExtensionType = ExtensionType(0xF001);
    const B: ExtensionType = ExtensionType(0xF002);
    const P: ProposalType = ProposalType(0xF003);
    const SUITE: CipherSuiteId = CipherSuiteId::MLS_128_DHKEMX25519_AES128GCM_SHA256_ED25519;

    fn supported() -> Supported {
        Supported {
            suites: vec![SUITE],
            extensions: vec![A],
            proposals: vec![P],
            credentials: vec![CredentialType::BASIC],
        }
    }

    fn required() -> RequiredCapabilities {
        RequiredCapabilities {
            extension_types: vec![ExtensionType::EXTERNAL_SENDERS, A],
            proposal_types: vec![ProposalType::ADD, P],
            credential_types: vec![CredentialType::BASIC],
        }
    }

    fn parameters(required: &RequiredCapabilities, extensions: &[ExtensionType]) -> GroupParameters {
        use hushwood_codec::Encode;

        let mut list = Extensions::new();
        list.set(ExtensionType::REQUIRED_CAPABILITIES, required.to_bytes().unwrap());
        extensions.iter().for_each(|extension| list.set(*extension, vec![]));
        GroupParameters::new(ProtocolVersion::MLS10, SUITE, &list).unwrap()
    }

    #[test]
    fn own_capabilities_list_no_default_and_nothing_twice() {
        let mut supported = supported();
        supported.extensions = vec![ExtensionType::APPLICATION_ID, A, ExtensionType::EXTERNAL_SENDERS, A, B];
        supported.proposals = vec![ProposalType::REMOVE, P];
        let capabilities = supported.capabilities();
        assert_eq!(capabilities.extensions, [A, B]);
        assert_eq!(capabilities.proposals, [P]);
        assert_eq!(capabilities.versions, [ProtocolVersion::MLS10]);
        assert!(!capabilities.lists_default());
    }

    #[test]
    fn the_reserved_value_is_neither_listed_nor_supported() {
        let reserved = Supported {
            suites: vec![CipherSuiteId(0), SUITE],
            extensions: vec![ExtensionType(0), A],
            proposals: vec![ProposalType(0), P],
            credentials: vec![CredentialType(0), CredentialType::BASIC],
        };
        assert_eq!(reserved.capabilities(), supported().capabilities());
        assert!(!reserved.supports_extension(ExtensionType(0)) && reserved.supports_extension(A));
        assert!(!reserved.supports_proposal(ProposalType(0)) && reserved.supports_proposal(P));
        assert!(!reserved.supports_credential(CredentialType(0)));
        // C023: a group that uses it is not joined, whatever the application says it supports.
        let group = parameters(&RequiredCapabilities::default(), &[ExtensionType(0)]);
        assert_breaks!(reserved.check_group(&group).unwrap_err(), Unsupported::GroupExtension, "C023");
        for kind in 0..3 {
            let mut required = RequiredCapabilities::default();
            match kind {
                0 => required.extension_types.push(ExtensionType(0)),
                1 => required.proposal_types.push(ProposalType(0)),
                _ => required.credential_types.push(CredentialType(0)),
            }
            let group = parameters(&required, &[]);
            assert_breaks!(
                reserved.check_group(&group).unwrap_err(),
                Unsupported::RequiredCapability,
                "C347"
            );
        }
    }

    #[test]
    fn the_best_suite_is_the_one_preferred_among_the_common_ones() {
        let suites = |ids: &[u16]| ids.iter().copied().map(CipherSuiteId).collect::<Vec<_>>();
        let client = |ids| Capabilities { cipher_suites: suites(ids), ..Capabilities::default() };
        let own = Supported { suites: suites(&[7, 1, 3]), ..Supported::default() };
        let clients = [client(&[1, 2, 3, 7, 0x0A0A]), client(&[3, 1, 0x0A0A])];
        assert_eq!(own.best_suite(&clients), Some(CipherSuiteId(1)));
        assert_eq!(own.check_best_suite(CipherSuiteId(1), &clients), Ok(()));
        assert_eq!(own.check_best_suite(CipherSuiteId(3), &clients), Err(ApiMisuse::SuiteNotBest));
        assert_eq!(own.best_suite(&clients[..1]), Some(CipherSuiteId(7)));
        assert_eq!(own.best_suite(&[client(&[2])]), None);
        // GREASE that all others share is not ours (C390).
        assert_eq!(own.best_suite(&[client(&[0x0A0A])]), None);
    }

    #[test]
    fn capabilities_that_have_all_a_group_asks_for_are_accepted() {
        let group = parameters(&required(), &[A, ExtensionType::EXTERNAL_SENDERS]);
        assert_eq!(group.check(&supported().capabilities()), Ok(()));
        assert_eq!(supported().check_group(&group), Ok(()));
    }

    #[test]
    fn a_leaf_without_the_groups_version_or_suite_is_refused() {
        let group = parameters(&RequiredCapabilities::default(), &[]);
        let mut capabilities = supported().capabilities();
        capabilities.cipher_suites.clear();
        assert_breaks!(group.check(&capabilities).unwrap_err(), Violation::CapabilitiesLackGroup, "C105");
        let mut capabilities = supported().capabilities();
        capabilities.versions = vec![ProtocolVersion(2)];
        assert_breaks!(group.check(&capabilities).unwrap_err(), Violation::CapabilitiesLackGroup, "C105");
    }

    #[test]
    fn a_leaf_without_a_required_extension_proposal_or_credential_is_refused() {
        let group = parameters(&required(), &[]);
        for drop in 0..3 {
            let mut lacking = supported();
            match drop {
                0 => lacking.extensions.clear(),
                1 => lacking.proposals.clear(),
                _ => lacking.credentials.clear(),
            }
            assert_breaks!(
                group.check(&lacking.capabilities()).unwrap_err(),
                Violation::CapabilitiesLackRequired,
                "C116",
                "C117",
                "C118"
            );
            assert_breaks!(
                lacking.check_group(&group).unwrap_err(),
                Unsupported::RequiredCapability,
                "C347",
                "C363"
            );
        }
    }

    #[test]
    fn a_leaf_without_an_extension_of_the_group_is_refused() {
        let group = parameters(&RequiredCapabilities::default(), &[A, B]);
        assert_breaks!(
            group.check(&supported().capabilities()).unwrap_err(),
            Violation::CapabilitiesLackExtension,
            "C384"
        );
        assert_breaks!(
            supported().check_group(&group).unwrap_err(),
            Unsupported::GroupExtension,
            "C321",
            "C363",
            "C385"
        );
    }

    #[test]
    fn long_lists_are_compared_like_short_ones() {
        let listed: Vec<u16> = (0..1000).rev().collect();
        let wanted: Vec<u16> = (0..1000).step_by(7).collect();
        assert!(lists_all(&listed, &wanted));
        assert!(!lists_all(&listed, &[&wanted[..], &[1000]].concat()));
        assert!(!lists_all(&listed[1..], &listed));
    }
}
