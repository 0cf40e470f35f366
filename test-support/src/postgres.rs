//! A PostgreSQL server for tests: started in a temporary folder, never as root, and gone when the test process is gone, whatever
//! has ended it.
//!
//! ```no_run
//! let url = test_support::postgres::Postgres::shared().database();
//! ```

use std::fs::{self, File};
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The role that owns the server, and its password over TCP.
pub const USER: &str = "hushwood";
const PASSWORD: &str = "only-for-tests";

/// What to do where there is no PostgreSQL.
pub const HOW_TO_INSTALL: &str = "PostgreSQL 13 or newer is not found: `cargo xtask postgres` puts Debian's into target/tools; or install it \
    and name the folder of its programs in HUSHWOOD_POSTGRES, such as /usr/lib/postgresql/15/bin";

/// A server of our own.
///
/// It listens on a socket in its folder and on a free port of 127.0.0.1. `fsync` is on, as a delivery service refuses others.
pub struct Postgres {
    programs: PathBuf,
    owner: Option<(u32, u32)>,
    settings: Vec<(String, String)>,
    port: u16,
    server: Mutex<Option<Child>>,
    databases: AtomicU32,
    folder: TempDir,
    /// Closed when we end, which is what the guard waits for.
    _guard: ChildStdin,
}

impl Postgres {
    /// The one that all tests of this process share.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&[]))
    }

    /// One that a test has for itself, to kill it; with these settings beside ours.
    pub fn start(settings: &[(&str, &str)]) -> Self {
        let programs = programs().unwrap_or_else(|| panic!("{HOW_TO_INSTALL}"));
        let folder = tempfile::Builder::new().prefix("hushwood-pg-").tempdir().unwrap();
        let owner = other_than_root(folder.path());
        give_to(folder.path(), owner);
        let guard = guard(folder.path());
        let mut this = Self {
            programs,
            owner,
            settings: settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            port: 0,
            server: Mutex::new(None),
            databases: AtomicU32::new(0),
            folder,
            _guard: guard,
        };
        this.init();
        // Somebody may take the port between our looking and the server's.
        for _ in 0..5 {
            this.port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
            if this.try_run().is_ok() {
                return this;
            }
        }
        panic!("PostgreSQL does not start:\n{}", this.log());
    }

    /// A new database, empty, as a URL over the socket.
    pub fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// A database's URL over the socket.
    pub fn url(&self, database: &str) -> String {
        let socket = self.folder.path().to_string_lossy().replace('/', "%2F");
        format!("postgres://{USER}@{socket}:{}/{database}", self.port)
    }

    /// The same over TCP, with a password.
    pub fn tcp_url(&self, url: &str) -> String {
        let database = url.rsplit('/').next().unwrap_or_default();
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs SQL as the owner and gives what it prints, a line for each row.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let mut psql = self.command("psql");
        psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", &self.url(database), "-c", sql]);
        let output = psql.output().unwrap();
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The folder of the server's data, for what only a file can say: certificates, for one.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A file of the server's, readable by it alone.
    pub fn put_file(&self, name: &str, contents: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, contents).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        give_to(&path, self.owner);
        path
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends all of its processes at once with SIGKILL, as the kernel does when memory is out.
    pub fn kill(&self) {
        let mut server = self.server.lock().unwrap();
        let Some(mut server) = server.take() else { return };
        let mut all = children(server.id());
        all.insert(0, server.id());
        signal("-KILL", &all);
        server.wait().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while all.iter().any(|process| is_running(*process)) && Instant::now() < deadline {
            sleep(Duration::from_millis(5));
        }
    }

    /// Stops all of its processes where they are, as a machine that hangs.
    pub fn pause(&self) {
        self.signal_all("-STOP");
    }

    /// Lets them go on.
    pub fn resume(&self) {
        self.signal_all("-CONT");
    }

    /// Starts it again after [`Postgres::kill`], on the same port, and waits until it has recovered.
    pub fn restart(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while let Err(error) = self.try_run() {
            assert!(Instant::now() < deadline, "PostgreSQL does not start again: {error}\n{}", self.log());
        }
    }

    fn signal_all(&self, signal_name: &str) {
        let server = self.server.lock().unwrap();
        let Some(server) = server.as_ref() else { return };
        let mut all = children(server.id());
        all.push(server.id());
        signal(signal_name, &all);
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.folder.path()).stdin(Stdio::null()).env("LC_ALL", "C");
        if let Some((user, group)) = self.owner {
            command.uid(user).gid(group);
        }
        if let Some(libraries) = libraries(&self.programs) {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        command
    }

    /// Fills the folder of data. To make one takes seconds, to copy one does not: nextest has a process for each test.
    fn init(&self) {
        let Some(templates) = templates() else { return self.initdb(&self.data()) };
        let template = templates.join(self.programs.to_string_lossy().replace('/', "_"));
        fs::create_dir_all(&templates).unwrap();
        let one_at_a_time = File::create(templates.join("lock")).unwrap();
        one_at_a_time.lock().unwrap();
        if !template.is_dir() {
            self.initdb(&self.data());
            let unfinished = templates.join("unfinished");
            drop(fs::remove_dir_all(&unfinished));
            copy(&self.data(), &unfinished);
            fs::rename(unfinished, template).unwrap();
            return;
        }
        drop(one_at_a_time);
        copy(&template, &self.data());
    }

    fn initdb(&self, data: &Path) {
        let password = self.put_file("password", PASSWORD.as_bytes());
        let mut initdb = self.command("initdb");
        initdb.args([
            "--username",
            USER,
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
            "--encoding=UTF8",
        ]);
        initdb.args(["--locale=C", "--no-sync", "--no-instructions", "--wal-segsize=4"]);
        initdb.arg("--pwfile").arg(password).arg("--pgdata").arg(data);
        let output = initdb.output().unwrap();
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Starts the server and waits until it answers.
    fn try_run(&self) -> io::Result<()> {
        let log = File::options().create(true).append(true).open(self.folder.path().join("log"))?;
        let mut command = self.command("postgres");
        // A group of its own: what ends the test process may send its signal to all of the test's group.
        command.process_group(0).stdout(log.try_clone()?).stderr(log);
        command.arg("-D").arg(self.data()).arg("-k").arg(self.folder.path());
        command.args(["-p", &self.port.to_string()]);
        let ours =
            [("listen_addresses", "127.0.0.1"), ("max_connections", "200"), ("shared_buffers", "64MB")];
        for (name, value) in ours {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        for (name, value) in &self.settings {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        let mut child = command.spawn()?;
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = child.try_wait()? {
                sleep(Duration::from_millis(50));
                return Err(io::Error::other(status.to_string()));
            }
            // The first line is whose file it is; the last is "ready" when connections are taken.
            let state = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
            let ours = state.lines().next().is_some_and(|line| line.trim() == child.id().to_string());
            if ours && state.lines().last().is_some_and(|line| line.trim() == "ready") {
                break;
            }
            if Instant::now() > deadline {
                signal("-QUIT", &[child.id()]);
                child.wait()?;
                return Err(io::Error::other("not ready in a minute"));
            }
            sleep(Duration::from_millis(10));
        }
        *self.server.lock().unwrap() = Some(child);
        Ok(())
    }

    /// What the server has written, for somebody who wants to know why.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.resume();
        self.kill();
    }
}

/// The folder of PostgreSQL's programs: the one that is named, ours, the PATH's, or Debian's newest.
pub fn programs() -> Option<PathBuf> {
    let named = std::env::var_os("HUSHWOOD_POSTGRES").map(PathBuf::from);
    let executable = std::env::current_exe().ok();
    let tools =
        executable.iter().flat_map(|path| path.ancestors()).map(|folder| folder.join("tools/postgresql"));
    let tools = tools.flat_map(|folder| of_debian(&folder.join("usr/lib/postgresql")));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path: Vec<_> = std::env::split_paths(&path).collect();
    // A link on the PATH leads to the folder that has the others.
    let path = path.iter().filter_map(|folder| {
        let program = folder.join("postgres").canonicalize().ok()?;
        Some(program.parent()?.to_path_buf())
    });
    let debian = of_debian(Path::new("/usr/lib/postgresql"));
    let complete = |folder: &PathBuf| {
        ["initdb", "postgres", "psql"].iter().all(|program| folder.join(program).is_file())
    };
    named.into_iter().chain(tools).chain(path).chain(debian).find(complete)
}

/// Debian's folders, the newest version first.
fn of_debian(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort();
    versions.into_iter().rev().map(|(_, folder)| folder).collect()
}

/// Those that were unpacked beside our own programs.
fn libraries(programs: &Path) -> Option<PathBuf> {
    let root = programs.ancestors().find(|folder| folder.ends_with("tools/postgresql"))?;
    let folders =
        fs::read_dir(root.join("usr/lib")).into_iter().flatten().flatten().map(|entry| entry.path());
    folders.into_iter().find(|folder| folder.to_string_lossy().ends_with("-linux-gnu"))
}

/// PostgreSQL refuses to run as root: then it runs as its own user, or as nobody.
fn other_than_root(ours: &Path) -> Option<(u32, u32)> {
    if fs::metadata(ours).unwrap().uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let find = |name: &str| {
        let mut fields = users.lines().find(|line| line.split(':').next() == Some(name))?.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    Some(find("postgres").or_else(|| find("nobody")).unwrap_or((65534, 65534)))
}

/// A folder that outlives the tests: in the one that cargo builds into.
fn templates() -> Option<PathBuf> {
    let executable = std::env::current_exe().ok()?;
    let target = executable.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file())?;
    Some(target.join("tmp").join("postgresql"))
}

/// With owners and rights.
fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(status.success(), "cp -a");
}

fn give_to(path: &Path, owner: Option<(u32, u32)>) {
    if let Some((user, group)) = owner {
        chown(path, Some(user), Some(group)).unwrap();
    }
}

/// Something that outlives us: when the pipe to it is closed, it ends the server and removes the folder. No destructor has to
/// run for it, so it also happens after a panic, an exit or a signal.
fn guard(folder: &Path) -> ChildStdin {
    let script = r#"cat > /dev/null
        pid=$(head -n 1 "$1/data/postmaster.pid" 2> /dev/null)
        if [ -n "$pid" ]; then
            kill -CONT "$pid" 2> /dev/null
            kill -QUIT "$pid" 2> /dev/null
            i=0
            while kill -0 "$pid" 2> /dev/null && [ $i -lt 100 ]; do sleep 0.1; i=$((i + 1)); done
            kill -KILL "$pid" 2> /dev/null
        fi
        rm -rf "$1""#;
    let mut command = Command::new("sh");
    command.args(["-c", script, "guard"]).arg(folder);
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap().stdin.take().unwrap()
}

/// The processes that a process has started: PostgreSQL has one for each connection.
fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    processes.filter(|process| parent_and_state(*process).is_some_and(|(of, _)| of == parent)).collect()
}

fn is_running(process: u32) -> bool {
    parent_and_state(process).is_some_and(|(_, state)| state != 'Z')
}

/// Of "pid (name) state parent ...", in which the name may hold anything.
fn parent_and_state(process: u32) -> Option<(u32, char)> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut fields = stat.rsplit(')').next()?.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((fields.next()?.parse().ok()?, state))
}

fn signal(name: &str, processes: &[u32]) {
    let mut kill = Command::new("sh");
    kill.args(["-c", r#"signal=$1; shift; kill "$signal" "$@""#, "kill", name]);
    kill.args(processes.iter().map(ToString::to_string)).stderr(Stdio::null());
    // One of them may be gone already.
    kill.status().unwrap();
}
