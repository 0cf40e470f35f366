//! Plays the conversations and prints the table; exits with 1 if any member diverged, 2 on wrong usage.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use peers::{
    peer::{CipherSuite, Peer},
    replay,
    run::{self, Selection},
    scenario::SCENARIOS,
    table,
    ts_mls_peer::TsMls,
};

fn main() -> ExitCode {
    let mut all = peers::peers();
    // Before the rest is read, as the names of all peers can be given there.
    if std::env::args().any(|argument| argument == "--node") {
        match TsMls::in_node() {
            Ok(peer) => all.push(Box::new(peer)),
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::FAILURE;
            }
        }
    }
    let all: Vec<&dyn Peer> = all.iter().map(AsRef::as_ref).collect();
    let request = match parse(std::env::args().skip(1), &all) {
        Ok(request) => request,
        Err(error) => {
            eprintln!("{error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match request {
        Request::Help => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        Request::List => {
            list(&all);
            ExitCode::SUCCESS
        }
        Request::Play { selection, roles } => play(&all, &selection, roles),
        Request::Replay { folder, only } => follow(&all, &folder, only.as_deref()),
    }
}

fn play(all: &[&dyn Peer], selection: &Selection, roles: bool) -> ExitCode {
    // A peer's panic is caught and becomes its cell's verdict; its backtrace would only tear the progress apart.
    std::panic::set_hook(Box::new(|_| {}));
    let start = Instant::now();
    let scenes = run::scenes(all, selection);
    eprintln!("scenarios took {:.1} s", start.elapsed().as_secs_f64());
    let start = Instant::now();
    let chats = run::chats(all, selection);
    eprintln!("random conversations took {:.1} s", start.elapsed().as_secs_f64());
    let report = table::report(&scenes, &chats, roles);
    print!("{}", report.text);
    if report.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Our own implementation reads vectors elsewhere (`cargo xtask vectors`).
fn follow(all: &[&dyn Peer], folder: &Path, only: Option<&str>) -> ExitCode {
    std::panic::set_hook(Box::new(|_| {}));
    let mut others = all.to_vec();
    others.retain(|peer| !peer.name().starts_with("hushwood") && only.is_none_or(|only| only == peer.name()));
    match replay::replay(&others, folder) {
        Ok(replayed) => {
            let report = table::replay_report(&replayed);
            print!("{}", report.text);
            if report.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

fn list(all: &[&dyn Peer]) {
    println!("peers:");
    for peer in all {
        let suites: Vec<_> = peer.suites().iter().map(|suite| suite.0.to_string()).collect();
        println!("  {:24} suites {}", peer.name(), suites.join(" "));
    }
    println!("scenarios:");
    for scenario in SCENARIOS {
        println!("  {:24} {}", scenario.name, scenario.about);
    }
}

enum Request {
    Help,
    List,
    Play { selection: Selection, roles: bool },
    Replay { folder: PathBuf, only: Option<String> },
}

fn parse(mut arguments: impl Iterator<Item = String>, all: &[&dyn Peer]) -> Result<Request, String> {
    let mut selection = Selection::default();
    let mut roles = false;
    let mut vectors = None;
    while let Some(flag) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{flag} needs a value"));
        match flag.as_str() {
            "--help" | "-h" => return Ok(Request::Help),
            "--node" => {}
            "--list" => return Ok(Request::List),
            "--roles" => roles = true,
            "--vectors" => vectors = Some(PathBuf::from(value()?)),
            "--with-itself" => selection.with_itself = true,
            "--random" => selection.random = number(&value()?)?,
            "--seed" => selection.seed = number(&value()?)?,
            "--suite" => selection.suite = Some(CipherSuite(number(&value()?)?)),
            "--only" => selection.only = Some(known(value()?, all.iter().map(|peer| peer.name()))?),
            "--scenario" => {
                let names = SCENARIOS.iter().map(|scenario| scenario.name).chain(["none"]);
                selection.scenario = Some(known(value()?, names)?);
            }
            _ => return Err(format!("unknown argument {flag}")),
        }
    }
    Ok(match vectors {
        Some(folder) => Request::Replay { folder, only: selection.only },
        None => Request::Play { selection, roles },
    })
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text} is not a number that fits"))
}

fn known<'a>(name: String, names: impl Iterator<Item = &'a str>) -> Result<String, String> {
    let names: Vec<_> = names.collect();
    if names.contains(&name.as_str()) {
        return Ok(name);
    }
    Err(format!("{name} is none of: {}", names.join(", ")))
}

const USAGE: &str = "\
Cross-play of MLS implementations in one process.

usage: peers [--random N] [--seed S] [--only PEER] [--scenario NAME] [--suite N] [--roles] [--with-itself] [--node] [--list]
       peers --vectors FOLDER [--only PEER]

  --random N       how many random conversations (200)
  --seed S         the seed of the first; the others follow (1)
  --only PEER      only pairs with this peer
  --scenario NAME  only this scenario, or none
  --suite N        only this cipher suite; random conversations keep theirs
  --roles          a column for each assignment of roles: creator > committer > joiner
  --with-itself    also each peer with itself
  --node           also ts-mls, in Node
  --list           the peers and the scenarios
  --vectors FOLDER instead of talking, follow the conversations in its passive-client-*.json

A cell is pass, n/a with a reason below the table, or FAIL with the divergence below. Exit code 1 if any FAIL.";
