//! Numbers that two people compare: those of every Hushwood client.

pub(crate) use hushwood_client::SafetyNumber as Number;
