//! Where the database is and how it is used.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use crate::backend::BackendError;

/// How a [`PostgresBackend`](crate::backend::PostgresBackend) works.
#[derive(Clone)]
pub struct PostgresSettings {
    /// What the driver connects with.
    pub(super) config: tokio_postgres::Config,
    /// Certificates that the server's must come from, as PEM; the system's if none is named (`sslrootcert`).
    pub roots: Option<PathBuf>,
    /// The most writes that share one transaction.
    pub batch: usize,
    /// How long a transaction waits, at most, until it has as many writes as the one before it. What comes while one is on its
    /// way is gathered for the next in any case.
    pub linger: Duration,
    /// The most writes that wait for one task before more are [`BackendError::Busy`].
    pub waiting: usize,
    /// Tasks that append, each with a connection. A group always has the same one.
    pub lanes: usize,
    /// Whether a transaction may be of several groups. A distributed database that locks rows on one of its
    /// machines at a time needs `false`.
    pub mix_groups: bool,
    /// Connections for everything else.
    pub connections: usize,
    /// How long to wait for the database before it counts as not answering.
    pub patience: Duration,
    /// How long wake-ups for other nodes are gathered before they are sent.
    pub gather_hints: Duration,
}

impl PostgresSettings {
    /// What fits most, for the database of a URL: `postgres://user:password@host:port/database?sslmode=verify-full`, with the
    /// parameters of libpq that [`tokio_postgres::Config`] knows, `sslrootcert`, and `lanes`, `connections` and `mix_groups` of these
    /// settings.
    ///
    /// TLS is required, and the server's certificate and name are checked, for every host that is not this machine, unless
    /// `sslmode` says `disable` or `prefer`.
    ///
    /// # Errors
    /// [`BackendError::Unavailable`] if it is not such a URL.
    ///
    /// # Examples
    /// ```
    /// use hushwood_delivery::backend::PostgresSettings;
    ///
    /// let settings = PostgresSettings::new("postgres://hushwood@db.example/hushwood?sslrootcert=/etc/ca.pem")?;
    /// assert_eq!(settings.roots.as_deref(), Some("/etc/ca.pem".as_ref()));
    /// # Ok::<_, hushwood_delivery::backend::BackendError>(())
    /// ```
    pub fn new(url: &str) -> Result<Self, BackendError> {
        let Url { rest, mode, roots, lanes, connections, mix_groups } = Url::split(url)?;
        let mut config: tokio_postgres::Config =
            rest.parse().map_err(|error: tokio_postgres::Error| wrong(&error.to_string()))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(wrong("it names no host"));
        }
        config.ssl_mode(match mode {
            Some(mode) => mode,
            None if is_here(&config) => SslMode::Prefer,
            None => SslMode::Require,
        });
        // Of several servers one can be written to.
        if config.get_hosts().len().max(config.get_hostaddrs().len()) > 1 {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        if config.get_application_name().is_none() {
            config.application_name("hushwood");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(5));
        }
        // A machine that is gone says nothing; the default is to notice after two hours.
        config.keepalives_idle(Duration::from_secs(20));
        config.keepalives_interval(Duration::from_secs(5));
        config.keepalives_retries(3);
        Ok(Self {
            config,
            roots,
            batch: 64,
            linger: Duration::from_millis(2),
            waiting: 4096,
            lanes: lanes.unwrap_or(4),
            mix_groups: mix_groups.unwrap_or(true),
            connections: connections.unwrap_or(8),
            patience: Duration::from_secs(15),
            gather_hints: Duration::from_millis(5),
        })
    }
}

impl fmt::Debug for PostgresSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The driver's configuration does not show its password.
        f.debug_struct("PostgresSettings")
            .field("config", &self.config)
            .field("batch", &self.batch)
            .field("lanes", &self.lanes)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

/// A URL, and the parameters in it that the driver does not know.
#[derive(Default)]
struct Url {
    rest: String,
    mode: Option<SslMode>,
    roots: Option<PathBuf>,
    lanes: Option<usize>,
    connections: Option<usize>,
    mix_groups: Option<bool>,
}

impl Url {
    fn split(url: &str) -> Result<Self, BackendError> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(wrong("it begins with postgres://"));
        }
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut this, mut others) = (Self::default(), Vec::new());
        let count = |value: &str| match value.parse::<usize>() {
            Ok(count @ 1..=1000) => Ok(Some(count)),
            Ok(_) | Err(_) => Err(wrong("lanes and connections are numbers from 1 to 1000")),
        };
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=').unwrap_or((parameter, "")) {
                ("sslmode", "disable") => this.mode = Some(SslMode::Disable),
                ("sslmode", "prefer") => this.mode = Some(SslMode::Prefer),
                // Whoever requires TLS gets certificates checked: without that it protects from nobody who matters.
                ("sslmode", "require" | "verify-full") => this.mode = Some(SslMode::Require),
                ("sslmode", _) => return Err(wrong("sslmode is disable, prefer, require or verify-full")),
                ("sslrootcert", path) => {
                    this.roots = Some(PathBuf::from(path.replace("%2F", "/").replace("%2f", "/")));
                }
                ("lanes", value) => this.lanes = count(value)?,
                ("connections", value) => this.connections = count(value)?,
                ("mix_groups", value) => {
                    let value = value.parse::<bool>();
                    this.mix_groups = Some(value.or(Err(wrong("mix_groups is true or false")))?);
                }
                _ => others.push(parameter),
            }
        }
        this.rest = if others.is_empty() { base.to_owned() } else { format!("{base}?{}", others.join("&")) };
        Ok(this)
    }
}

/// Whether the servers are this machine, by their names alone.
fn is_here(config: &tokio_postgres::Config) -> bool {
    let named = config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        Host::Unix(_) => true,
    });
    named && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
}

fn wrong(why: &str) -> BackendError {
    BackendError::Unavailable(format!("this is no address of a PostgreSQL database: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> SslMode {
        PostgresSettings::new(url).unwrap().config.get_ssl_mode()
    }

    #[test]
    fn tls_is_required_for_hosts_elsewhere() {
        assert_eq!(mode("postgres://a@db.example/x"), SslMode::Require);
        assert_eq!(mode("postgres://a@localhost,db.example/x"), SslMode::Require);
        assert_eq!(mode("postgres://a@db.example/x?sslmode=disable"), SslMode::Disable);
        assert_eq!(mode("postgres://a@localhost/x?hostaddr=203.0.113.5"), SslMode::Require);
        assert_eq!(mode("postgres://a@127.0.0.1/x"), SslMode::Prefer);
        assert_eq!(mode("postgres://a@127.0.0.1/x?sslmode=verify-full"), SslMode::Require);
        assert_eq!(mode("postgres://a@%2Fvar%2Frun%2Fpostgresql/x"), SslMode::Prefer);
    }

    #[test]
    fn a_password_is_not_shown() {
        let settings = PostgresSettings::new("postgres://a:secret@localhost/x").unwrap();
        assert!(!format!("{settings:?}").contains("secret"));
        let error = PostgresSettings::new("postgres://a:secret@localhost:port/x").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn an_address_says_how_to_write() {
        let url = "postgres://a@b/x?lanes=16&connect_timeout=3&mix_groups=false&connections=2";
        let settings = PostgresSettings::new(url).unwrap();
        assert_eq!((settings.lanes, settings.mix_groups, settings.connections), (16, false, 2));
        assert_eq!(settings.config.get_connect_timeout(), Some(&Duration::from_secs(3)));
    }

    #[test]
    fn other_addresses_are_refused() {
        for url in [
            "sqlite://x",
            "postgres://a@db.example/x?sslmode=allow",
            "postgres:///x",
            "postgres://a@b/x?no=1",
        ] {
            assert!(matches!(PostgresSettings::new(url), Err(BackendError::Unavailable(_))), "{url}");
        }
    }
}
