//! The command line.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::cast::{Case, Handshakes, NoCases, Roles, Selection, cases};
use crate::client::Client;
use crate::random::{self, Size};
use crate::scenarios;
use crate::script::Script;

/// Plays MLS clients against each other by the working group's interop interface and checks that they agree.
///
/// Clients are gRPC servers (service mls_client.MLSClient, plain HTTP/2) that are running already. Without --client,
/// two processes of Hushwood are started and play each other.
#[derive(Clone, Debug, Parser)]
#[command(name = "cargo xtask interop", bin_name = "cargo xtask interop", after_help = EXAMPLES)]
pub struct Options {
    /// A client under test; give one for each
    #[arg(long = "client", value_name = "HOST:PORT")]
    pub clients: Vec<String>,

    /// So many processes of Hushwood, started on free ports (2 if there is no --client)
    #[arg(long, value_name = "N")]
    pub own: Option<usize>,

    /// The program that they are [default: hushwood-interop beside this program]
    #[arg(long, value_name = "FILE")]
    pub server: Option<PathBuf>,

    /// Only these suites, such as 1,2; every one that some client has if not given
    #[arg(long, value_name = "N,...", value_delimiter = ',')]
    pub suites: Option<Vec<u16>>,

    /// Only these scenarios or variants, such as commit or commit/add; --list names them
    #[arg(long = "scenario", value_name = "NAME", value_delimiter = ',')]
    pub scenarios: Vec<String>,

    /// How proposals and commits are framed
    #[arg(long, value_enum, default_value_t = Modes::Both)]
    pub handshakes: Modes,

    /// Who plays whom: all distinct assignments, random ones, or one: alice=1,bob=2 (clients by number)
    #[arg(long, value_name = "all|random|ACTOR=N,...", default_value = "all", value_parser = roles)]
    pub roles: RolesWanted,

    /// So many random assignments for each script, suite and mode
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub repeats: usize,

    /// What random assignments and conversations are drawn from
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,

    /// Also a random conversation of so many commits, in a group of up to 16
    #[arg(long, value_name = "N")]
    pub random_steps: Option<usize>,

    /// Also a long one: 90 commits, up to 60 members, several hundred actors
    #[arg(long)]
    pub deep: bool,

    /// After each case also compare exporters, and let everybody write to everybody
    #[arg(long)]
    pub verify: bool,

    /// So many cases at a time; more than one only with clients that keep actors of the same name apart
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub jobs: usize,

    /// The longest that a call may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub call_limit: u64,

    /// The longest that all may take, in seconds; what was not played until then counts against the run
    #[arg(long, value_name = "SECONDS")]
    pub limit: Option<u64>,

    /// How long to wait for a client that does not listen yet, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub wait: u64,

    /// Write everything for machines
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// A row for each variant instead of each scenario
    #[arg(long)]
    pub by_variant: bool,

    /// Times of each kind of call
    #[arg(long)]
    pub times: bool,

    /// Print the scenarios with their steps, and end
    #[arg(long)]
    pub list: bool,
}

/// Framings.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Modes {
    /// PublicMessage
    Public,
    /// PrivateMessage
    Private,
    /// One after the other
    Both,
}

/// What `--roles` says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RolesWanted {
    /// Each distinct assignment.
    All,
    /// `--repeats` of them.
    Random,
    /// This one.
    Given(BTreeMap<String, usize>),
}

/// Why the command line can't be carried out.
#[derive(Debug)]
pub enum Refused {
    /// No scenario or variant has the name.
    Unknown(String, Vec<String>),
    /// No such client.
    NoSuchClient(String, usize),
    /// None of the clients has any of the suites, or nothing else remains.
    Nothing,
    /// The roles can't be given out.
    Cases(NoCases),
}

impl Options {
    /// The scripts that are asked for.
    ///
    /// # Errors
    /// [`Refused::Unknown`].
    pub fn scripts(&self) -> Result<Vec<Arc<Script>>, Refused> {
        let fixed: Vec<Script> = scenarios::all().into_iter().flat_map(|scenario| scenario.scripts).collect();
        let named = |name: &str| self.scenarios.iter().any(|wanted| wanted == name);
        let mut random: Vec<Script> = Vec::new();
        let short_name = format!("{}/{SHORT}", random::SCENARIO);
        let deep_name = format!("{}/{DEEP}", random::SCENARIO);
        if self.random_steps.is_some() || named(random::SCENARIO) || named(&short_name) {
            let size = Size::short(self.random_steps.unwrap_or(RANDOM_STEPS));
            random.push(random::script(SHORT, size, self.seed));
        }
        if self.deep || named(&deep_name) {
            random.push(random::script(DEEP, Size::deep(), self.seed));
        }
        let known = |name: &String| {
            let of = |script: &Script| script.scenario == name || script.full_name() == *name;
            fixed.iter().chain(&random).any(of)
        };
        if let Some(unknown) = self.scenarios.iter().find(|name| !known(name)) {
            let mut names: Vec<_> = fixed.iter().map(|script| script.scenario.to_owned()).collect();
            names.dedup();
            names.extend([short_name, deep_name]);
            return Err(Refused::Unknown(unknown.clone(), names));
        }
        let wanted = |script: &Script| {
            self.scenarios.is_empty() || named(script.scenario) || named(&script.full_name())
        };
        Ok(fixed.into_iter().filter(wanted).chain(random).map(Arc::new).collect())
    }

    /// The cases that are asked for.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn cases(&self, clients: &[Client]) -> Result<Vec<Case>, Refused> {
        let supported: Vec<_> = clients.iter().map(|client| client.suites.clone()).collect();
        let roles = match &self.roles {
            RolesWanted::All => Roles::All,
            RolesWanted::Random => Roles::Random(self.repeats),
            RolesWanted::Given(given) => {
                if let Some((actor, client)) = given.iter().find(|(_, client)| **client >= clients.len()) {
                    return Err(Refused::NoSuchClient(actor.clone(), client.saturating_add(1)));
                }
                Roles::Given(given.clone())
            }
        };
        let handshakes = match self.handshakes {
            Modes::Public => vec![Handshakes::Public],
            Modes::Private => vec![Handshakes::Private],
            Modes::Both => vec![Handshakes::Private, Handshakes::Public],
        };
        let selection = Selection { suites: self.suites.clone(), handshakes, roles, seed: self.seed };
        // Nobody assigns hundreds of actors by hand, and not in every way.
        let (random, fixed): (Vec<_>, Vec<_>) =
            self.scripts()?.into_iter().partition(|script| script.scenario == random::SCENARIO);
        let once = Selection { roles: Roles::Random(1), ..selection.clone() };
        let mut all = cases(&fixed, &supported, &selection).map_err(Refused::Cases)?;
        all.extend(cases(&random, &supported, &once).map_err(Refused::Cases)?);
        if all.is_empty() { Err(Refused::Nothing) } else { Ok(all) }
    }

    /// The command that plays with the same clients and the same conversations again, up to where cases are selected.
    pub fn again(&self) -> String {
        let mut command = "cargo xtask interop".to_owned();
        for client in &self.clients {
            command.push_str(&format!(" --client {client}"));
        }
        if let Some(own) = self.own {
            command.push_str(&format!(" --own {own}"));
        }
        if let Some(server) = &self.server {
            command.push_str(&format!(" --server {}", server.display()));
        }
        if let Some(steps) = self.random_steps {
            command.push_str(&format!(" --random-steps {steps}"));
        }
        if self.verify {
            command.push_str(" --verify");
        }
        command
    }

    /// How many processes of ours are wanted.
    pub fn own(&self) -> usize {
        self.own.unwrap_or(if self.clients.is_empty() { 2 } else { 0 })
    }

    /// [`Options::call_limit`].
    pub fn call_limit(&self) -> Duration {
        Duration::from_secs(self.call_limit)
    }
}

/// Name of the random conversation of `--random-steps`, and its length where it is only named.
const SHORT: &str = "short";
const RANDOM_STEPS: usize = 30;
/// Name of the one of `--deep`.
const DEEP: &str = "deep";

fn roles(text: &str) -> Result<RolesWanted, String> {
    match text {
        "all" => return Ok(RolesWanted::All),
        "random" => return Ok(RolesWanted::Random),
        _ => {}
    }
    let pair = |pair: &str| {
        let (actor, client) = pair.split_once('=')?;
        let position = client.parse::<usize>().ok()?.checked_sub(1)?;
        Some((actor.to_owned(), position))
    };
    let given = text.split(',').map(pair).collect::<Option<_>>();
    given.map(RolesWanted::Given).ok_or_else(|| "all, random, or a list such as alice=1,bob=2".to_owned())
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown(name, names) => {
                write!(f, "no scenario {name}; there are {} (--list has their variants)", names.join(", "))
            }
            Self::NoSuchClient(actor, number) => {
                write!(f, "--roles gives {actor} to client {number}, who is not there")
            }
            Self::Nothing => f.write_str("nothing to play: none of the clients has such a suite"),
            Self::Cases(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Refused {}

const EXAMPLES: &str = "\
Examples:
  cargo xtask interop
      Two processes of Hushwood, every scenario, all suites, all roles.
  cargo xtask interop --client 127.0.0.1:50051
      A client against itself: 78 cases for each suite it has.
  cargo xtask interop --client 127.0.0.1:50051 --own 1 --suites 1
      A client and Hushwood, in every distribution of the roles, in suite 1.
  cargo xtask interop --client HOST:PORT --client HOST:PORT --client HOST:PORT --roles random --repeats 3 --seed 7
      Three clients, three random distributions for each script, the same ones at each run.
  cargo xtask interop --client 127.0.0.1:50051 --own 1 --scenario random/deep --seed 3 --json result.json
      One long conversation in each suite and mode; everything about it in a file.

Each failure is shown with its step, its call and the command that plays exactly that case again.
Exit codes: 0 if nothing failed (what a client answers with UNIMPLEMENTED is unsupported, not failed), 1 if something
did or was not played in time, 2 if nothing could be played.";

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &[&str]) -> Options {
        Options::try_parse_from([&["interop"], arguments].concat()).unwrap()
    }

    fn names(arguments: &[&str]) -> Vec<String> {
        let scripts = options(arguments).scripts().unwrap();
        scripts.iter().map(|script| script.full_name()).collect()
    }

    #[test]
    fn scenarios_are_selected_whole_or_by_variant() {
        assert_eq!(names(&[]).len(), 39);
        assert_eq!(names(&["--scenario", "branch"]).len(), 4);
        assert_eq!(names(&["--scenario", "commit/add,branch/base"]), ["commit/add", "branch/base"]);
        assert_eq!(names(&["--scenario", "commit/add", "--deep"]), ["commit/add", "random/deep"]);
        assert_eq!(names(&["--scenario", "random"]), ["random/short"]);
        assert_eq!(names(&["--scenario", "random/deep"]), ["random/deep"]);
        assert_eq!(names(&["--random-steps", "3"]).len(), 40);
    }

    #[test]
    fn an_unknown_scenario_is_refused_by_name() {
        let refused = options(&["--scenario", "comit"]).scripts().unwrap_err().to_string();
        assert!(refused.starts_with("no scenario comit; there are welcome_join, commit"), "{refused}");
    }

    #[test]
    fn roles_are_all_random_or_given_by_number() {
        assert_eq!(options(&[]).roles, RolesWanted::All);
        assert_eq!(options(&["--roles", "random"]).roles, RolesWanted::Random);
        let given = BTreeMap::from([("alice".to_owned(), 1), ("bob".to_owned(), 0)]);
        assert_eq!(options(&["--roles", "alice=2,bob=1"]).roles, RolesWanted::Given(given));
        for wrong in ["alice", "alice=0", "alice=x", ""] {
            assert!(Options::try_parse_from(["interop", "--roles", wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn two_processes_of_ours_unless_clients_are_given() {
        assert_eq!(options(&[]).own(), 2);
        assert_eq!(options(&["--client", "h:1"]).own(), 0);
        assert_eq!(options(&["--client", "h:1", "--own", "1"]).own(), 1);
    }
}
