//! Plays the cases and prints the table; exits with 1 if any failed, with 2 if none could be played.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use interop_runner::client::Client;
use interop_runner::options::Options;
use interop_runner::own::Own;
use interop_runner::report::Report;
use interop_runner::run::{self, How};

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    // Whoever ends this program ends the processes that it has started.
    let done = if options.list {
        list(&options).map(|()| true)
    } else {
        tokio::select! {
            done = play(&options) => done,
            () = interrupted() => Err(anyhow::anyhow!("interrupted")),
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn play(options: &Options) -> Result<bool> {
    // A name that is wrong is said before anything is started.
    options.scripts()?;
    let own = Own::start(options.server.as_deref(), options.own())?;
    let mut clients = Vec::new();
    for address in options.clients.iter().chain(&own.addresses) {
        let patience = Duration::from_secs(options.wait);
        clients.push(Client::connect(address, patience, options.call_limit()).await?);
    }
    let clients: Arc<[Client]> = clients.into();
    let cases = options.cases(&clients)?;
    let count = cases.len();
    eprintln!("{count} cases, {} clients, seed {}", clients.len(), options.seed);
    let how =
        How { jobs: options.jobs, limit: options.limit.map(Duration::from_secs), verify: options.verify };
    let began = Instant::now();
    let played = run::run(Arc::clone(&clients), cases, how, progress()).await;
    eprintln!("{count} cases took {:.1} s", began.elapsed().as_secs_f64());
    let again = options.again();
    let report = Report { clients: &clients, played: &played, again: &again, seed: options.seed };
    if let Some(file) = &options.json {
        let json = serde_json::to_vec_pretty(&report.json())?;
        std::fs::write(file, json).with_context(|| format!("{} can't be written", file.display()))?;
    }
    print!("{}", report.text(options.by_variant, options.times));
    Ok(report.counts().all_right())
}

/// A line now and then, for those who wait.
fn progress() -> impl Fn(usize, usize) + Send + Sync + 'static {
    let every = Duration::from_secs(if std::io::stderr().is_terminal() { 2 } else { 20 });
    let last = Mutex::new(Instant::now());
    move |done, of| {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() >= every {
            *last = Instant::now();
            eprintln!("{done} of {of}");
        }
    }
}

fn list(options: &Options) -> Result<()> {
    for script in options.scripts()? {
        println!("{}: {}", script.full_name(), script.about);
        for (position, step) in script.steps().iter().enumerate() {
            println!("  {:>3}  {step}", position.saturating_add(1));
        }
    }
    Ok(())
}

/// Done when the program is told to end.
#[cfg(unix)]
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};

    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Done when the program is told to end.
#[cfg(not(unix))]
async fn interrupted() {
    // An error would mean that nobody can tell it.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}
