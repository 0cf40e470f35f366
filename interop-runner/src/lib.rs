//! A runner for the MLS working group's interop interface: gRPC service `MLSClient`, package `mls_client`.
//!
//! It plays conversations between any clients that serve the interface, ours and others', and checks that they agree
//! (RFC 9420). The program `interop-runner` is made of these parts:
//!
//! - [`script`]: what a conversation is; [`scenarios`]: the working group's; [`random`]: long ones from a seed.
//! - [`cast`]: which cases there are, that is, who plays whom in which suite.
//! - [`client`]: a client under test; [`rpc`]: the calls of the interface; [`own`]: processes of Hushwood.
//! - [`play`]: a case, step by step; [`run`]: all of them; [`report`]: what came of it.

pub mod cast;
#[cfg(test)]
mod check;
pub mod client;
pub mod dice;
pub mod options;
pub mod own;
pub mod play;
pub mod random;
pub mod report;
pub mod rpc;
pub mod run;
pub mod scenarios;
pub mod script;
