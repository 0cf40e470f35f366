//! The protocol in a browser: it and the pure-Rust provider build for wasm32-unknown-unknown.

use anyhow::{Result, bail};

/// `cargo xtask wasm`.
pub(crate) fn wasm() -> Result<bool> {
    bail!("the pure-Rust provider is not there")
}
