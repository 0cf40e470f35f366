//! What the caller can't have.

use super::error_class;

error_class! {
    /// A call that can't succeed, whoever is in the group. Nothing has changed.
    pub enum ApiMisuse {
        BranchFromOther ["C233"] "a branch must be made from members of the group",
        CapabilitiesInsufficient ["C102" "C104" "C215" "C225"] "the configured capabilities do not support the group's own settings",
        CommitRepeated [] "the same commit was made before in this epoch: apply that one, or commit with a path",
        EpochOverflow ["C163"] "the group has reached its last epoch",
        ExportTooLong ["C160" "C176"] "more was asked of the exporter than it can give",
        ExtensionMisplaced ["C375" "C387"] "an extension is where it has no meaning",
        GenerationOverflow ["C183"] "this epoch's sending keys are used up: commit first",
        KeyPackageExpired ["C121"] "a key package is outside its lifetime",
        KeyPackageUsed ["C236"] "a key package was used before: its member is in the old group",
        LeafAbsent [] "there is no member at this leaf",
        NodeAbsent [] "the tree has no such node",
        NotReinitialised ["C304"] "the group has not been reinitialised",
        NoSuchRecord [] "the store has nothing under this name",
        PrivateKeyMismatch [] "a private key does not belong to the public key it is to serve",
        PskTooMany ["C173"] "more than 65,535 pre-shared keys",
        SignerMismatch [] "the signer's key is not the one this leaf is signed with",
        SuiteNotBest ["C220"] "all members support a suite that is preferred to the chosen one",
        TooLong ["C007" "C091" "C404"] "a message or a field would be longer than the limits allow",
        TooMuchEncrypted ["C405"] "this epoch has encrypted as much as its AEAD allows: commit first",
        TypeNotPrivate ["C023" "C391"] "a credential or proposal of the application's own is of a type that is not for private use",
        UpdateByValue ["C262"] "a committer renews its keys by the commit's path, not by an update",
        VerdictMissing ["C046" "C047" "C048" "C049" "C050" "C051"] "a credential was left without a verdict",
    }
}
