//! All measurements, one after the other.

use std::path::Path;

use anyhow::{Context, Result};
use tempfile::TempDir;
use test_support::machine;
use tokio::runtime::Runtime;

use crate::args::{Args, Engine, Part};
use crate::chain::{self, What};
use crate::report::{Report, line};
use crate::scale::Scale;
use crate::service::{Service, Setup, postgres};
use crate::{bare, closed, fanout, flood, usage};

/// Measures what is asked for, with this program, and tells how far it is. A measurement in which an honest client was refused
/// or missed something, or a node ended, is among the failures; the others go on.
///
/// # Errors
/// If what is needed is not there.
pub fn run(args: &Args, program: &Path, scale: &Scale) -> Result<Report> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let files = usage::raise_open_files();
    let most = scale.fanouts.iter().map(|(groups, readers)| groups * readers).max().unwrap_or_default();
    if args.has(Part::Fanout) && files < u64::try_from(most)?.saturating_add(500) {
        anyhow::bail!("{files} open files are fewer than {most} connections need: see `ulimit -Hn`");
    }
    let report = Report {
        machine: machine::machine(),
        date: machine::today(),
        command: args.command(),
        sizes: Some(chain::sizes(closed::OTHERS)?),
        ..Report::default()
    };
    let mut run = Run { program, scale, runtime, report };
    if args.has(Part::Bare) {
        run.part("the disk", Run::disk);
        for engine in args.engines() {
            run.part(&format!("{} by itself", engine.name()), |run| run.bare(engine));
        }
    }
    for (part, what) in [(Part::Commits, What::Commits), (Part::Messages, What::Messages)] {
        for setup in args.engines().into_iter().flat_map(|engine| setups(engine, scale)) {
            if args.has(part) {
                run.part(&title(what.name(), setup), |run| run.closed(setup, what));
            }
        }
    }
    for setup in args.engines().into_iter().filter_map(|engine| setups(engine, scale).pop()) {
        for &(groups, readers) in &scale.fanouts {
            if args.has(Part::Fanout) {
                let name = title(&format!("{groups} times {readers} devices"), setup);
                run.part(&name, |run| run.fanout(setup, (groups, readers)));
            }
        }
    }
    for engine in args.engines() {
        let setup = Setup { engine, nodes: 1, behind_proxy: true };
        if args.has(Part::Flood) {
            run.part(&title("a flood", setup), |run| run.flood(setup));
        }
    }
    Ok(run.report)
}

fn setups(engine: Engine, scale: &Scale) -> Vec<Setup> {
    let setup = |nodes| Setup { engine, nodes, behind_proxy: false };
    match engine {
        Engine::Sqlite => vec![setup(1)],
        Engine::Postgres => vec![setup(1), setup(scale.nodes)],
    }
}

fn title(what: &str, setup: Setup) -> String {
    format!("{what}: {}, nodes: {}", setup.engine.name(), setup.nodes)
}

struct Run<'a> {
    program: &'a Path,
    scale: &'a Scale,
    runtime: Runtime,
    report: Report,
}

impl Run<'_> {
    /// One measurement; if it fails, the others are made nevertheless.
    fn part(&mut self, name: &str, measure: impl FnOnce(&mut Self) -> Result<()>) {
        println!("-- {name}");
        if let Err(error) = measure(self) {
            println!("FAILED: {error:#}");
            self.report.failures.push(format!("{name}: {error:#}"));
        }
    }

    fn start(&self, folder: &TempDir, setup: Setup) -> Result<Service> {
        Service::start(self.program, folder.path(), setup)
    }

    fn disk(&mut self) -> Result<()> {
        let folder = tempfile::tempdir()?;
        let disk = bare::disk(folder.path(), self.scale.time)?;
        println!("{:.0} syncs a second, {:.2} ms, {:.2} ms", disk.per_second, disk.p50, disk.p99);
        self.report.disk = Some(disk);
        Ok(())
    }

    fn bare(&mut self, engine: Engine) -> Result<()> {
        let sizes = self.report.sizes.context("no sizes")?;
        let how = (self.scale.writers.as_slice(), self.scale.time);
        let tell = |rate: &closed::Rate| println!("{}", line(rate));
        let rates = match engine {
            Engine::Sqlite => bare::sqlite(tempfile::tempdir()?.path(), sizes, how, tell),
            Engine::Postgres => {
                let server = postgres();
                self.runtime.block_on(bare::postgres(&server.database(), sizes, how, tell))
            }
        };
        self.report.rates.extend(rates?);
        Ok(())
    }

    fn closed(&mut self, setup: Setup, what: What) -> Result<()> {
        let folder = tempfile::tempdir()?;
        let service = self.start(&folder, setup)?;
        let tell = |rate: &closed::Rate| println!("{}", line(rate));
        let rates = self.runtime.block_on(closed::measure(&service, setup, what, self.scale, tell))?;
        self.report.rates.extend(rates);
        Ok(())
    }

    fn fanout(&mut self, setup: Setup, devices: (usize, usize)) -> Result<()> {
        let folder = tempfile::tempdir()?;
        let service = self.start(&folder, setup)?;
        let measured = self.runtime.block_on(fanout::measure(&service, setup, devices, self.scale.rounds))?;
        println!("{}", Report { fanouts: vec![measured.clone()], ..Report::default() }.tables().trim());
        self.report.fanouts.push(measured);
        Ok(())
    }

    fn flood(&mut self, setup: Setup) -> Result<()> {
        let folder = tempfile::tempdir()?;
        let service = self.start(&folder, setup)?;
        let measured = self.runtime.block_on(flood::measure(&service, setup, &self.scale.flood))?;
        println!("{}", Report { floods: vec![measured.clone()], ..Report::default() }.tables().trim());
        self.report.floods.push(measured);
        Ok(())
    }
}
