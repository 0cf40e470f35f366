//! Writes the inputs that fuzzing begins with into a folder, `TARGET/seed-N` each. `cargo xtask fuzz --write-seeds`
//! runs this.

use std::path::PathBuf;
use std::{env, fs, io};

use test_support::fuzz_targets::targets;

fn main() -> io::Result<()> {
    let Some(corpora) = env::args_os().nth(1).map(PathBuf::from) else {
        return Err(io::Error::other("usage: fuzz_seeds FOLDER"));
    };
    for target in targets() {
        let folder = corpora.join(target.name);
        fs::create_dir_all(&folder)?;
        for (number, seed) in (target.seeds)().into_iter().enumerate() {
            fs::write(folder.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
