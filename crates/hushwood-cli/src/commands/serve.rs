//! `hushwood serve`: a delivery service.

mod database;
mod invites;

use std::fs::{File, OpenOptions, TryLockError};
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use hushwood_crypto::Random;
use hushwood_delivery::backend::{SelfCheckError, self_check};
use hushwood_delivery::server::{Limits, Protection, Server, ServerSettings, StartError};
use hushwood_delivery::service::{NewAccounts, Rate, Service, ServiceSettings};
use hushwood_delivery::wire::InviteToken;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::commands::serve::database::{Database, failed, refused};
use crate::commands::serve::invites::Tokens;
use crate::failure::{Class, Failure};
use crate::files;
use crate::output::{Output, Report};
use crate::system::{self, OsRandom};

/// Run a delivery service, which keeps the logs of groups, key packages and inboxes
///
/// Without any option it serves this machine, with a database and a certificate of its own in your data folder.
/// What it cannot read, it does not need to: messages are encrypted, and what it knows of a group is sealed under a
/// key that only the group's members have. It stops on Ctrl-C or SIGTERM, when all that it has taken is answered.
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  hushwood serve\n  hushwood serve --listen 0.0.0.0:7443 --name chat.example --data /var/lib/hushwood\n  hushwood serve --plain --forwarded --name chat.example    # behind a proxy on this machine\n  hushwood serve invite --uses 5                                    # a token for five new accounts"
)]
pub(crate) struct Serve {
    #[command(subcommand)]
    tokens: Option<Tokens>,
    #[command(flatten)]
    database: Database,
    /// Where clients connect
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7443")]
    listen: SocketAddr,
    /// Another port of that address; 0 for one that is free, which is printed
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// A certificate chain (PEM) instead of a certificate of our own
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// No TLS: for a proxy that has it
    #[arg(long, conflicts_with_all = ["tls_cert", "tls_key"])]
    plain: bool,
    /// The proxy writes clients' addresses into X-Forwarded-For: limit each of them
    #[arg(long, requires = "plain")]
    forwarded: bool,
    /// The service's name, best that under which clients reach it. What they sign is for this name: once it is in use, it stays
    /// [default: localhost, for this machine's own addresses]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Where metrics and health are shown, to whoever reaches this address
    #[arg(long, value_name = "ADDR")]
    admin: Option<SocketAddr>,
    /// How many connections there may be at once
    #[arg(long, value_name = "N", default_value_t = Limits::default().connections)]
    connections: usize,
    /// How many requests a second an address may make
    #[arg(long, value_name = "N", default_value_t = Limits::default().requests_per_second)]
    rate: u32,
    /// How many accounts an address may make in an hour, five times as many at once; and all addresses together fifty times as
    /// many
    #[arg(long, value_name = "N", default_value_t = Limits::default().registrations_per_hour)]
    registrations: u32,
    /// Who may make an account [default: open, or invited with --invite-token-file]
    #[arg(long, value_name = "WHO")]
    registration: Option<Registration>,
    /// A file with a word of 16 characters or more, with which all who know it may make an account, beside those who have a token of
    /// `hushwood serve invite`
    #[arg(long, value_name = "FILE")]
    invite_token_file: Option<PathBuf>,
    /// The largest log of a group, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 2048)]
    max_log: u32,
    /// The largest tree of a group that comes here from elsewhere, in MiB: about 1 for 3,000 members
    #[arg(long, value_name = "MIB", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    max_tree: u32,
    /// What is told on standard error; with --json as JSON
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log: Log,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Log {
    /// Faults
    Error,
    /// What may become one
    Warn,
    /// Beginning and end
    Info,
    /// Each request: what it was and how it ended, not by whom or about what
    Debug,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Registration {
    /// Everybody
    Open,
    /// Those who show a token of `hushwood serve invite`, or the word of --invite-token-file
    Invited,
    /// Nobody; who has an account keeps it
    Closed,
}

impl Serve {
    pub(crate) fn run(mut self, output: Output) -> Result<u8, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::stream("can't start threads", &error))?;
        if let Some(tokens) = self.tokens.take() {
            return runtime.block_on(tokens.run(output));
        }
        self.log.start(output);
        runtime.block_on(self.serve(output))
    }

    async fn serve(self, output: Output) -> Result<u8, Failure> {
        let stop = signals()?;
        let name = self.name()?;
        let data = self.database.folder()?;
        let _lock = lock(&data)?;
        let open_files = system::raise_open_files();
        let (backend, bus) = self.database.open(&data).await?;
        let mut check = [0; 32];
        OsRandom.fill(&mut check).map_err(hushwood::error::Error::from)?;
        /// Enough to see a database that lets two win.
        const EPOCHS: u64 = 16;
        self_check(&*backend, &check, EPOCHS).await.map_err(unfit)?;
        let service = Service::new(backend, self.rules(&name)?).await.map_err(refused)?;
        let server = Server::bind(Arc::new(service), bus, self.settings(&data)).await.map_err(not_started)?;
        self.tell(output, &server, (&name, &data))?;
        if let Some(most) = open_files
            && most < u64::try_from(self.connections).unwrap_or(u64::MAX)
        {
            tracing::warn!(
                open_files = most,
                "there may be fewer open files than connections: see `ulimit -n`"
            );
        }
        server.run(stop).await;
        tracing::info!("stopped");
        Ok(0)
    }

    /// Clients may connect: where, and how they know that it is us.
    fn tell(&self, output: Output, server: &Server, (name, data): (&str, &Path)) -> Result<(), Failure> {
        let address = server.address();
        let fingerprint = server.fingerprint().map(|fingerprint| fingerprint.to_string());
        let scheme = if fingerprint.is_some() { "https" } else { "http" };
        let shown = fingerprint.as_deref().unwrap_or("none");
        output.remark(format!("{name} is served on {scheme}://{address}; its data is in {}", data.display()));
        output.remark(match self.plain {
            true => "there is no TLS here: only a proxy in front of it may be reached by clients".to_owned(),
            false => format!("the certificate's SHA-256, which clients pin: {shown}"),
        });
        let report = Report::new()
            .line(format!("ready address={address} name={name} fingerprint={shown}"))
            .fact("address", address.to_string())
            .fact("url", format!("{scheme}://{address}"))
            .fact("name", name)
            .fact("fingerprint", fingerprint)
            .fact("admin", server.admin_address().map(|admin| admin.to_string()))
            .fact("data", data.display().to_string());
        output.finish("serve", &report).map(|_| ())
    }

    fn rules(&self, name: &str) -> Result<ServiceSettings, Failure> {
        let mut rules = ServiceSettings::new(name);
        let all = self.registrations.saturating_mul(50).max(1);
        rules.rates.registrations = Rate { burst: all, every: Duration::from_secs(60 * 60) / all };
        rules.max_log = u64::from(self.max_log) << 20;
        rules.max_tree = usize::try_from(u64::from(self.max_tree) << 20).unwrap_or(usize::MAX);
        rules.new_accounts = self.new_accounts()?;
        Ok(rules)
    }

    fn settings(&self, data: &Path) -> ServerSettings {
        let protection = match (&self.tls_cert, &self.tls_key) {
            _ if self.plain => Protection::Plain { forwarded: self.forwarded },
            (Some(certificates), Some(key)) => {
                Protection::Files { certificates: certificates.clone(), key: key.clone() }
            }
            _ => Protection::OwnCertificate(data.to_path_buf()),
        };
        let limits = Limits {
            connections: self.connections,
            requests_per_second: self.rate,
            requests_at_once: self.rate.saturating_mul(4),
            registrations_per_hour: self.registrations,
            registrations_at_once: self.registrations.saturating_mul(5),
            ..Limits::default()
        };
        ServerSettings { listen: self.listen(), admin: self.admin, protection, limits }
    }

    fn listen(&self) -> SocketAddr {
        let mut listen = self.listen;
        if let Some(port) = self.port {
            listen.set_port(port);
        }
        listen
    }

    fn name(&self) -> Result<String, Failure> {
        let fits = |name: &str| {
            !name.is_empty() && name.len() <= 253 && name.chars().all(|one| one.is_ascii_graphic())
        };
        match &self.name {
            Some(name) if fits(name) => Ok(name.clone()),
            Some(_) => Err(Failure::usage("a service's name is short and of visible ASCII characters")
                .advise("choose the name under which clients reach it, as in `--name chat.example`")),
            None if self.listen.ip().is_loopback() => Ok("localhost".to_owned()),
            None => Err(Failure::usage("a service that others reach needs a name")
                .advise("choose the name under which clients reach it, as in `--name chat.example`")),
        }
    }

    fn new_accounts(&self) -> Result<NewAccounts, Failure> {
        let word = self.invite_token_file.as_deref().map(invite_token).transpose()?;
        match (self.registration, word) {
            (None | Some(Registration::Open), None) => Ok(NewAccounts::Open),
            (Some(Registration::Invited), word) | (None, word @ Some(_)) => Ok(NewAccounts::Invited { word }),
            (Some(Registration::Closed), None) => Ok(NewAccounts::Closed),
            (Some(Registration::Open | Registration::Closed), Some(_)) => {
                Err(Failure::usage("a word is for those who are invited")
                    .advise("choose `--registration invited`, or leave `--invite-token-file` out"))
            }
        }
    }
}

/// What stands in a file, without the end of its line.
pub(crate) fn invite_token(path: &Path) -> Result<InviteToken, Failure> {
    /// What nobody guesses.
    const SHORTEST: usize = 16;
    let text = files::read(Some(path))?;
    let word = text.trim_ascii();
    match word.len() >= SHORTEST {
        true => Ok(InviteToken::new(word.to_vec())),
        false => Err(Failure::usage("an invite token has 16 characters or more")
            .advise("`openssl rand -hex 16` makes one")),
    }
}

/// Two servers on one folder would not hear of each other.
fn lock(data: &Path) -> Result<File, Failure> {
    let path = data.join("server.lock");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    system::owner_only(&mut options);
    let file = options.open(&path).map_err(|error| Failure::path("can't write", &path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Failure::refused(format!("another server has its data in {}", data.display()))
                .advise("stop that one, or give this one a folder of its own with `--data DIR`"))
        }
        Err(TryLockError::Error(error)) => Err(Failure::path("can't lock", &path, &error)),
    }
}

/// Ready at the first signal to stop; at the second the program ends as it is.
#[cfg(unix)]
fn signals() -> Result<impl Future<Output = ()> + Send, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| signal(kind).map_err(|error| Failure::stream("can't listen for signals", &error));
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            std::process::exit(i32::from(crate::failure::EXIT_REFUSED));
        });
    })
}

/// Ready at Ctrl-C.
#[cfg(not(unix))]
fn signals() -> Result<impl Future<Output = ()> + Send, Failure> {
    Ok(async { drop(tokio::signal::ctrl_c().await) })
}

impl Log {
    fn start(self, output: Output) {
        let level = match self {
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
        };
        // Ours alone: what the libraries below have to say may name addresses.
        let ours = Targets::new().with_target("hushwood", level).with_target("hushwood_delivery", level);
        let lines = tracing_subscriber::registry().with(ours);
        // It is set once in a process.
        let _ = match output.json {
            true => lines.with(fmt::layer().json().with_writer(std::io::stderr)).try_init(),
            false => lines.with(fmt::layer().with_target(false).with_writer(std::io::stderr)).try_init(),
        };
    }
}

fn unfit(error: SelfCheckError) -> Failure {
    match error {
        SelfCheckError::Backend(error) => failed(error),
        error => Failure::new(Class::Store, error.to_string())
            .advise("two halves of a group would never come together again: use another database or version"),
    }
}

fn not_started(error: StartError) -> Failure {
    match &error {
        StartError::Listen(_, cause) => {
            let failure = Failure::new(Class::Io, error.to_string());
            match cause.kind() {
                std::io::ErrorKind::AddrInUse => {
                    failure.advise("another program is there: choose another with `--listen`, or `--port 0`")
                }
                _ => {
                    failure.advise("see that the address is this machine's; ports below 1024 may need rights")
                }
            }
        }
        StartError::File(path, cause) => Failure::path("can't use", path, cause),
        _ => Failure::refused(error.to_string()).advise("see `--tls-cert` and `--tls-key`"),
    }
}
