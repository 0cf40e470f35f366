//! Prints the table of the official test vectors, and fails when a cell fails; with `--generate` writes such
//! files itself and prints their table. `cargo xtask vectors` finds the files and runs this.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, panic, thread};

use hushwood_crypto::{CipherSuiteId, CryptoProvider};
use test_support::mls_vectors::Generator;
use test_support::table::Row;
use test_support::{hpke_vectors, known_signatures, mls_vectors, vectors, wycheproof};

const PROVIDERS: [&CryptoProvider; 2] = [&hushwood_aws_lc::PROVIDER, &hushwood_rustcrypto::PROVIDER];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        [] => official(false),
        ["--strict"] => official(true),
        ["--generate", folder, seed, suites @ ..] => match generate(Path::new(folder), seed, suites) {
            Ok(exit_code) => exit_code,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        },
        _ => {
            eprintln!("usage: vectors [--strict | --generate FOLDER SEED [SUITE...]]");
            ExitCode::from(2)
        }
    }
}

/// Writes the files for these suites, for all if none is named, and tries them on every provider.
fn generate(folder: &Path, seed: &str, suites: &[&str]) -> Result<ExitCode, Box<dyn Error>> {
    let suites = suites.iter().map(|suite| Ok(CipherSuiteId(suite.parse()?)));
    let suites = suites.collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    let generator = Generator::new(&suites, seed.parse()?);
    let generator = generator.map_err(|suite| format!("there is no suite {}", suite.0))?;
    generator.write_all(&folder.join("mls"))?;
    println!("written to {}\n", folder.join("mls").display());
    let mut table = Table::begin();
    mls_files(&mut table, Some(&folder.to_path_buf()), true);
    Ok(table.close())
}

fn mls_files(table: &mut Table, folder: Option<&PathBuf>, strict: bool) {
    for mls_vectors::File { stem, check, .. } in mls_vectors::files() {
        let file = folder.map(|folder| folder.join("mls").join(stem).with_extension("json"));
        match file.and_then(|file| fs::read_to_string(file).ok()) {
            Some(json) => table
                .lines(&on_each(|provider| vec![Row { name: (*stem).to_owned(), ..check(provider, &json) }])),
            None => table.not_found(stem, strict),
        }
    }
}

fn official(strict: bool) -> ExitCode {
    let folder = vectors::folder();
    let mut table = Table::begin();
    mls_files(&mut table, folder.as_ref(), strict);
    for stem in folder.iter().flat_map(|folder| unchecked(&folder.join("mls"))) {
        table.unchecked(&stem, strict);
    }
    table.lines(&on_each(|provider| vec![hpke_vectors::run(provider)]));
    table.lines(&on_each(known_signatures::run));
    table.lines(&on_each(wycheproof::run));
    table.close()
}

/// Files that nothing tries.
fn unchecked(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let stems = files.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()));
    let is_checked = |stem: &String| mls_vectors::files().iter().any(|file| file.stem == stem);
    let mut stems: Vec<String> = stems.filter(|stem| !is_checked(stem)).collect();
    stems.sort();
    stems
}

/// Runs a check on the providers side by side. What panics has failed.
fn on_each(check: impl Fn(&CryptoProvider) -> Vec<Row> + Sync) -> [Vec<Row>; 2] {
    let guarded = |provider: &'static CryptoProvider| {
        panic::catch_unwind(panic::AssertUnwindSafe(|| check(provider))).unwrap_or_else(|_| {
            let mut row = Row::new("a check that panicked", provider.name);
            row.failed.push("see above".to_owned());
            vec![row]
        })
    };
    thread::scope(|scope| {
        let running = PROVIDERS.map(|provider| scope.spawn(move || guarded(provider)));
        running.map(|rows| rows.join().unwrap_or_default())
    })
}

/// What is printed, line by line, and what it comes to.
#[derive(Default)]
struct Table {
    passed: usize,
    skipped: usize,
    faults: Vec<String>,
}

impl Table {
    fn begin() -> Self {
        let providers = PROVIDERS.map(|provider| format!("  {:<24}", provider.name));
        println!("{:<34}{}", "", providers.concat());
        let columns = PROVIDERS.map(|_| format!("  {:>7} {:>7} {:>8}", "passed", "failed", "skipped"));
        println!("{:<34}{}", "file", columns.concat());
        Self::default()
    }

    /// A line for each name among the rows.
    fn lines(&mut self, rows: &[Vec<Row>; 2]) {
        let mut names: Vec<&str> = Vec::new();
        for row in rows.iter().flatten() {
            if !names.contains(&row.name.as_str()) {
                names.push(&row.name);
            }
        }
        for name in names {
            let cells = rows.each_ref().map(|rows| match rows.iter().find(|row| row.name == name) {
                Some(row) => self.cell(row),
                None => format!("  {:>24}", "-"),
            });
            println!("{name:<34}{}", cells.concat());
        }
    }

    fn cell(&mut self, row: &Row) -> String {
        let Row { name, provider, passed, failed, skipped } = row;
        self.passed += passed;
        self.skipped += skipped;
        self.faults.extend(failed.iter().map(|case| format!("{name}, {provider}: {case}")));
        format!("  {passed:>7} {:>7} {skipped:>8}", failed.len())
    }

    fn not_found(&mut self, name: &str, strict: bool) {
        println!("{name:<34}  not found");
        if strict {
            self.faults.push(format!("{name}: not found"));
        }
    }

    /// A file that nothing reads yet: shown as such, and with `--strict` a failure, as one not found.
    fn unchecked(&mut self, name: &str, strict: bool) {
        println!("{name:<34}  not checked");
        if strict {
            self.faults.push(format!("{name}: there is no check for this file"));
        }
    }

    /// What failed, then the totals, then the verdict.
    fn close(self) -> ExitCode {
        let Self { passed, skipped, faults } = self;
        if !faults.is_empty() {
            println!("\nfailed:");
            faults.iter().for_each(|fault| println!("  {fault}"));
            println!();
        }
        println!("totals: {passed} passed, {} failed, {skipped} skipped", faults.len());
        if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
