//! The delivery service: one ordered log for each group (RFC 9750 §5).
//!
//! Being written. So far there is [`backend`]: what the service stores, and how it stays in order.

pub mod backend;
