//! The MLS working group's interop interface: what its test runner and the clients under test say to each other.

pub mod proto;
