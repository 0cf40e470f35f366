//! Where a server listens and what it takes at most.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Where a server listens and what it takes at most.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Where clients connect; port 0 for one that is free.
    pub listen: SocketAddr,
    /// Where the operator looks at metrics and health, without TLS and without any check of who asks: an address that
    /// nobody else reaches. None by default.
    pub admin: Option<SocketAddr>,
    /// What protects connections.
    pub protection: Protection,
    /// What it takes at most.
    pub limits: Limits,
}

/// What protects connections.
#[derive(Clone, Debug)]
pub enum Protection {
    /// TLS with a certificate of our own making, kept in this folder. Clients know it by its fingerprint.
    OwnCertificate(PathBuf),
    /// TLS with a certificate chain and its key, as PEM files. They are read at the start.
    Files {
        /// The chain, the server's certificate first.
        certificates: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// None: a proxy in front has it.
    Plain {
        /// The proxy writes the client's address into `X-Forwarded-For`, as the last of those that stand there. Without
        /// that there are no limits by address.
        forwarded: bool,
    },
}

/// What a server takes at most. Whatever is beyond is refused with the time after which to ask again; nothing waits in
/// memory without a bound.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections.
    pub connections: usize,
    /// Connections of one address (of IPv6, of one /64).
    pub connections_of_address: usize,
    /// Requests of one address in a second, over time; a connection, a subscription and each 256 KiB of a body count as one
    /// each.
    pub requests_per_second: u32,
    /// Requests of one address at once.
    pub requests_at_once: u32,
    /// Accounts that one address may make in an hour, over time.
    pub registrations_per_hour: u32,
    /// Accounts that one address may make at once.
    pub registrations_at_once: u32,
    /// KiB to be kept that one address may bring in an hour, over time: groups, commits, messages, proposals, KeyPackages.
    pub kept_kib_per_hour: u32,
    /// KiB to be kept that one address may bring at once.
    pub kept_kib_at_once: u32,
    /// Requests of one address that are worked on at once, of those that may take long to check: groups, commits, KeyPackages,
    /// proposals from outside.
    pub checks_of_address: usize,
    /// Whether this machine's own addresses are limited as well. They are not by default: a proxy may be there.
    pub limit_loopback: bool,
    /// How long a connection may take for its TLS handshake, and for its first request's head.
    pub greeting: Duration,
    /// How long a connection may be silent: then it is closed. An answer that nobody takes counts as silence.
    pub silence: Duration,
    /// How long each piece of a request's body may take; over time it must come at [`body_rate`](Self::body_rate).
    pub body_pause: Duration,
    /// Bytes in a second.
    pub body_rate: u32,
    /// Bytes of requests that are being read or answered, all together.
    pub request_bytes: usize,
    /// Of these, those of one address: at least as many as the largest request has.
    pub request_bytes_of_address: usize,
    /// Bytes of answers on their way, all together.
    pub answer_bytes: usize,
    /// Of these, those of one address; an answer that is larger has to be the only one.
    pub answer_bytes_of_address: usize,
    /// Subscriptions of one WebSocket.
    pub subscriptions: usize,
    /// How long a WebSocket may be open without a subscription or a device.
    pub idle_stream: Duration,
    /// How long a WebSocket may take to take what is written to it.
    pub stalled_write: Duration,
    /// Bytes of log entries on their way to WebSockets, all together.
    pub stream_bytes: usize,
    /// Of these, those of one address.
    pub stream_bytes_of_address: usize,
    /// How long a server that stops waits for what it has begun.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            connections_of_address: 512,
            requests_per_second: 100,
            requests_at_once: 400,
            registrations_per_hour: 20,
            registrations_at_once: 100,
            kept_kib_per_hour: 1 << 20,
            kept_kib_at_once: 4 << 20,
            checks_of_address: 4,
            limit_loopback: false,
            greeting: Duration::from_secs(10),
            silence: Duration::from_secs(120),
            body_pause: Duration::from_secs(10),
            body_rate: 8 << 10,
            request_bytes: 512 << 20,
            request_bytes_of_address: 72 << 20,
            answer_bytes: 512 << 20,
            answer_bytes_of_address: 64 << 20,
            subscriptions: 1000,
            idle_stream: Duration::from_secs(30),
            stalled_write: Duration::from_secs(20),
            stream_bytes: 256 << 20,
            stream_bytes_of_address: 32 << 20,
            drain: Duration::from_secs(20),
        }
    }
}
