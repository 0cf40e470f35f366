//! RFC 9420 §6: protocol versions.

use hushwood_codec::wire_registry;

wire_registry! {
    /// `ProtocolVersion`.
    pub struct ProtocolVersion {
        /// MLS 1.0, the only version there is.
        MLS10 = 1 "mls10",
    }
}
